"""Labelling of natural, augmented and mixed patches."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from audio_classifier.audio.log_mel import log_mel_patches
from audio_classifier.constants import CLIP_PATCHES, PATCH_HOP_SAMPLES, PATCH_SAMPLES
from tests.training.material import FakeTeacher, make_pool
from training.data.clips import ClipPool
from training.data.splits import TRAINING, splits
from training.data.windows import read_patch
from training.teacher.label import (
    AUGMENTED,
    MIXED,
    label_augmented,
    label_natural,
    weighted_windows,
    window_offsets,
)
from training.teacher.segments import find_segments
from training.teacher.shards import ShardReader
from training.teacher.yamnet import teacher_log_mels

TEACHER: Any = FakeTeacher()


def ignore(done: int, of: int) -> None:
    """Ignore progress."""


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory) -> ClipPool:
    return make_pool(tmp_path_factory.mktemp("pool"))


@pytest.fixture(scope="module")
def natural(pool: ClipPool, tmp_path_factory: pytest.TempPathFactory) -> ShardReader:
    return label_natural(pool, TEACHER, tmp_path_factory.mktemp("natural"), ignore)


def calls(times: int) -> Callable[[], bool]:
    """Return a condition that is false for the first ``times`` calls and true afterwards."""
    answers = iter([False] * times)
    return lambda: next(answers, True)


@pytest.mark.parametrize(
    ("samples", "offsets"),
    [
        (100, [0]),
        (PATCH_SAMPLES, [0]),
        (PATCH_SAMPLES + 7680, [0, 7680]),
        (PATCH_SAMPLES + 15360, [0, 15360, 7680]),
    ],
)
def test_windows_begin_at_every_half_hop(samples: int, offsets: list[int]) -> None:
    assert window_offsets(samples).tolist() == offsets


def test_every_window_is_stored_with_its_own_label(pool: ClipPool, natural: ShardReader) -> None:
    assert natural.count == sum(len(window_offsets(clip.samples)) for clip in pool.clips)
    for row in (0, natural.count // 2, natural.count - 1):
        patch = log_mel_patches(read_patch(pool, natural.clip[row], natural.offset[row]))
        np.testing.assert_allclose(natural.mel[row], patch[0], atol=1e-2)
        np.testing.assert_allclose(natural.logits[row], TEACHER(teacher_log_mels(patch))[0][0], atol=2e-2)


def test_labelling_continues_after_an_interruption(
    pool: ClipPool, natural: ShardReader, tmp_path: Path
) -> None:
    class LabellingStopError(Exception):
        pass

    def interrupt(done: int, of: int) -> None:
        raise LabellingStopError

    with pytest.raises(LabellingStopError):
        label_natural(pool, TEACHER, tmp_path, interrupt)
    assert 0 < len(ShardReader(tmp_path)) < natural.count
    continued = label_natural(pool, TEACHER, tmp_path, ignore)
    assert continued.clip[: continued.count].tolist() == natural.clip[: natural.count].tolist()
    assert continued.offset[: continued.count].tolist() == natural.offset[: natural.count].tolist()
    assert (continued.mel[: continued.count] == natural.mel[: natural.count]).all()


def test_only_training_clips_are_augmented(pool: ClipPool, natural: ShardReader) -> None:
    windows, weights = weighted_windows(pool, natural)
    assert {*windows[:, 0]} == {*np.flatnonzero(splits(pool.clips) == TRAINING)}
    assert (weights > 0).all()
    assert len(windows) == len(weights) < natural.count


@pytest.mark.parametrize("kind", [AUGMENTED, MIXED])
def test_augmentation_stops_on_condition_or_when_the_shard_is_full(
    pool: ClipPool, natural: ShardReader, tmp_path: Path, kind: str
) -> None:
    def label(times: int) -> ShardReader:
        options: Any = {"seed": 3, "capacity": 1000, "until": calls(times), "progress": ignore}
        label_augmented(pool, natural, TEACHER, tmp_path, kind=kind, **options)
        return ShardReader(tmp_path)

    first = label(1)
    assert 200 < first.count <= 256
    both = label(1)
    assert both.count == 2 * first.count
    # The second run makes different patches.
    assert not (both.mel[first.count : both.count] == both.mel[: first.count]).all()
    assert label(9).count == 3 * first.count  # the capacity is too small for a fourth batch


def test_mixtures_are_segments_of_ten_patches(pool: ClipPool, natural: ShardReader, tmp_path: Path) -> None:
    label_augmented(
        pool, natural, TEACHER, tmp_path, kind=MIXED, seed=1, capacity=500, until=calls(1), progress=ignore
    )
    shard = ShardReader(tmp_path)
    assert set(find_segments(shard).patches.tolist()) == {CLIP_PATCHES}
    assert (np.diff(shard.offset[:CLIP_PATCHES]) == PATCH_HOP_SAMPLES).all()
