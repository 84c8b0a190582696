"""Label patches with the teacher: every window of every clip, augmented patches, and ten-patch mixtures.

The teacher always scores exactly the log-mels that are stored, so augmentation cannot make a label wrong.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from audio_classifier.audio.log_mel import log_mel_patches
from audio_classifier.constants import CLIP_PATCHES, PATCH_HOP_SAMPLES, PATCH_SAMPLES
from training.data.augment import Augmenter
from training.data.balance import class_frequencies, rarity, shares, sigmoid
from training.data.clips import ClipPool
from training.data.mixtures import Mixer
from training.data.splits import TRAINING, splits
from training.data.windows import cut, read_patch
from training.logs import Progress, log_progress, show_log
from training.teacher.clip_teacher import ClipLogits, ClipTeacher
from training.teacher.shards import ShardReader, ShardWriter
from training.teacher.yamnet import Teacher, teacher_classes, teacher_log_mels

# Folders of the work directory, and the kinds of shards.
CLIPS: Final = "clips"
SHARDS: Final = "shards"
NATURAL: Final = "natural"
AUGMENTED: Final = "augmented"
MIXED: Final = "mixed"

# Windows of natural patches begin every 0.48 s.
WINDOW_HOP_SAMPLES: Final = PATCH_HOP_SAMPLES // 2
BATCH_PATCHES: Final = 256

# The share of windows to augment that is drawn by class; the others are balanced between sources.
CLASS_SHARE: Final = 0.6
RECORDED_FACTOR: Final = 2.5  # recordings are drawn more often than synthetic clips
COMMON_FACTORS: Final = {"Music": 0.3, "Speech": 0.5, "Silence": 0.25}


def window_offsets(samples: int) -> NDArray[np.int32]:
    """Return the offsets of a clip's windows: the multiples of the hop first, then those half a hop later."""
    last = max(0, samples - PATCH_SAMPLES)
    phases = (np.arange(first, last + 1, PATCH_HOP_SAMPLES) for first in (0, WINDOW_HOP_SAMPLES))
    return np.concatenate([*phases]).astype(np.int32)


def label_natural(
    pool: ClipPool,
    teacher: Teacher,
    folder: Path,
    progress: Progress,
    clip_teacher: ClipTeacher | None = None,
) -> ShardReader:
    """Label every window of every clip without augmentation, continuing an interrupted shard.

    Raises
    ------
    ShardError
        If other teachers have labelled the existing rows.
    """
    ends = np.cumsum([len(window_offsets(clip.samples)) for clip in pool.clips])
    writer = ShardWriter(folder, capacity=int(ends[-1]), has_clip_logits=clip_teacher is not None)
    patches: list[NDArray[np.float32]] = []
    owners: list[int] = []
    clip_logits: list[ClipLogits] = []
    for index in range(int(np.searchsorted(ends, writer.count, side="right")), len(pool)):
        samples = pool.clips[index].samples
        signal = read_patch(pool, index, 0) if samples < PATCH_SAMPLES else cut(pool, index, 0, samples)
        for phase in (signal, signal[WINDOW_HOP_SAMPLES:]):
            patches.append(log_mel_patches(phase))
            if clip_teacher and len(patches[-1]):
                clip_logits.append(clip_teacher(phase, len(patches[-1])))
        owners.append(index)
        if sum(map(len, patches)) >= BATCH_PATCHES or index == len(pool) - 1:
            offsets = [window_offsets(pool.clips[owner].samples) for owner in owners]
            clip = np.repeat(owners, list(map(len, offsets)))
            _append(writer, teacher, np.concatenate(patches), clip, np.concatenate(offsets), clip_logits)
            patches, owners, clip_logits = [], [], []
            progress(writer.count, writer.capacity)
    return ShardReader(folder)


def label_augmented(
    pool: ClipPool,
    natural: ShardReader,
    teacher: Teacher,
    folder: Path,
    *,
    kind: str,
    seed: int,
    capacity: int,
    until: Callable[[], bool],
    progress: Progress,
    clip_teacher: ClipTeacher | None = None,
) -> None:
    """Label augmented patches or mixtures of training clips, continuing an interrupted shard.

    Parameters
    ----------
    natural
        The labels of all windows, which determine how often each is drawn.
    kind
        `AUGMENTED` for independent patches, `MIXED` for mixtures of ten consecutive rows.
    seed
        A different one for each shard; together with the number of existing rows it determines the next ones.
    capacity
        Maximum number of rows in the shard.
    until
        Labelling stops when this returns true, or when the shard is full.
    clip_teacher
        Scores mixtures, too; single patches are too short for it.

    Raises
    ------
    ShardError
        If other teachers have labelled the existing rows.
    """
    if kind == AUGMENTED:
        clip_teacher = None
    writer = ShardWriter(folder, capacity, has_clip_logits=clip_teacher is not None)
    make = (_augmented if kind == AUGMENTED else _mixed)(
        pool, *weighted_windows(pool, natural), (seed << 32) + writer.count
    )
    while writer.room >= BATCH_PATCHES and not until():
        made = make()
        scored = [clip_teacher(mixture, CLIP_PATCHES) for mixture in made.mixtures] if clip_teacher else []
        _append(writer, teacher, made.patches, made.clip, made.offset, scored)
        progress(writer.count, capacity)


class _Made(NamedTuple):
    """Patches with their clips and offsets, and the mixtures that they were cut from."""

    patches: NDArray[np.float32]
    clip: NDArray[Any]
    offset: NDArray[Any]
    mixtures: list[NDArray[np.float32]]


def _augmented(
    pool: ClipPool, windows: NDArray[np.int32], weights: NDArray[Any], seed: int
) -> Callable[[], _Made]:
    augmenter = Augmenter(pool, windows, weights, seed)

    def make() -> _Made:
        made = [augmenter.patch() for _ in range(BATCH_PATCHES)]
        patches = np.concatenate([log_mel_patches(patch.samples) for patch in made])
        clip, offset = (
            np.array(values) for values in zip(*((one.clip, one.offset) for one in made), strict=True)
        )
        return _Made(patches, clip, offset, [])

    return make


def _mixed(
    pool: ClipPool, windows: NDArray[np.int32], weights: NDArray[Any], seed: int
) -> Callable[[], _Made]:
    mixer = Mixer(pool, windows, weights, seed)
    within = PATCH_HOP_SAMPLES * np.arange(CLIP_PATCHES)

    def make() -> _Made:
        made = [mixer.mixture() for _ in range(BATCH_PATCHES // CLIP_PATCHES)]
        mixtures = [mixture.samples for mixture in made]
        patches = np.concatenate([*map(log_mel_patches, mixtures)])
        clip = np.repeat([mixture.clip for mixture in made], CLIP_PATCHES)
        return _Made(patches, clip, np.concatenate([mixture.offset + within for mixture in made]), mixtures)

    return make


def weighted_windows(pool: ClipPool, natural: ShardReader) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
    """Return the windows of training clips, ``(n, 2)``, and their sampling weights, ``(n,)``."""
    rows = np.flatnonzero(splits(pool.clips)[natural.clip[: natural.count]] == TRAINING)
    logits, clip, offset = natural.logits[rows], natural.clip[rows], natural.offset[rows]
    factor = np.where(np.array([c.is_synthetic for c in pool.clips])[clip], 1.0, RECORDED_FACTOR)
    names = teacher_classes()
    for name, common_factor in COMMON_FACTORS.items():
        factor *= np.where(sigmoid(logits[:, names.index(name)]) > 0.5, common_factor, 1.0)
    by_class = shares(rarity(logits, class_frequencies(logits)))
    weights = (CLASS_SHARE * by_class + (1 - CLASS_SHARE) * _by_source(pool, clip)) * factor
    return np.column_stack([clip, offset]), weights


def _by_source(pool: ClipPool, clip: NDArray[np.int32]) -> NDArray[np.float64]:
    """Weight windows so that the share of a source grows with the square root of its window count."""
    _, source = np.unique([clip.source for clip in pool.clips], return_inverse=True)
    weights = np.bincount(source[clip])[source[clip]] ** -0.5
    return np.asarray(weights / weights.sum())


def _append(
    writer: ShardWriter,
    teacher: Teacher,
    patches: NDArray[np.float32],
    clip: NDArray[Any],
    offset: NDArray[Any],
    clip_logits: Sequence[ClipLogits],
) -> None:
    logits, hint = teacher(teacher_log_mels(patches))
    rows = {"mel": patches, "logits": logits, "hint": hint, "clip": clip, "offset": offset}
    if clip_logits:
        clips, pairs = zip(*clip_logits, strict=True)
        rows |= {"clip_logits": np.concatenate(clips), "pair_logits": np.concatenate(pairs)}
    writer.append(rows)


def main(arguments: Sequence[str] | None = None) -> None:
    """Label patches in one of several parallel processes."""
    parser = argparse.ArgumentParser(prog="python -m training.teacher.label", description=main.__doc__)
    parser.add_argument("kind", choices=(NATURAL, AUGMENTED, MIXED), help="kind of patches to label")
    parser.add_argument("--work", type=Path, required=True, help="work directory with the pool of clips")
    parser.add_argument("--teacher", type=Path, required=True, help="path of yamnet.tflite")
    parser.add_argument("--clip-teacher", type=Path, help="bundle of the clip teacher")
    parser.add_argument("--seed", type=int, default=0, help="seed of the shard, different for each worker")
    parser.add_argument("--minutes", type=float, default=60.0, help="how long to label augmented patches")
    parser.add_argument("--patches", type=int, default=500_000, help="maximum number of patches in the shard")
    options = parser.parse_args(arguments)
    show_log()
    pool, teacher = ClipPool.open(options.work / CLIPS), Teacher(options.teacher)
    clip_teacher = ClipTeacher(options.clip_teacher) if options.clip_teacher else None
    shards = options.work / SHARDS
    if options.kind == NATURAL:
        label_natural(pool, teacher, shards / NATURAL, log_progress(), clip_teacher)
        return
    end_s = time.monotonic() + 60 * options.minutes
    label_augmented(
        pool,
        ShardReader(shards / NATURAL),
        teacher,
        shards / f"{options.kind}-{options.seed}",
        kind=options.kind,
        seed=options.seed,
        capacity=options.patches,
        until=lambda: time.monotonic() > end_s,
        progress=log_progress(),
        clip_teacher=clip_teacher,
    )


if __name__ == "__main__":
    main()
