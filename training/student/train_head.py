"""PCA, codes, attention head and its calibration, from an exported embedding network and labelled shards."""

from __future__ import annotations

import argparse
import copy
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from audio_classifier.cpus import available_cpus
from audio_classifier.model.attention import AttentionHead, Dense
from audio_classifier.model.bundle import HEAD, POSTPROCESS
from audio_classifier.model.postprocess import Postprocessor, dequantize
from training.data.balance import class_frequencies, rarity, shares
from training.data.clips import Clip, ClipPool
from training.data.splits import CALIBRATION, TRAINING, VALIDATION, splits
from training.evaluation.agreement import Comparison, compare
from training.logs import log_progress, show_log
from training.student.calibrate import calibrated, fit
from training.student.codes import embed_shard, fit_pca, of_codes
from training.student.head import Head, dense, loss
from training.student.schedule import follow, rate
from training.student.train_embedding import load_student
from training.teacher.label import CLIPS, MIXED, NATURAL, SHARDS
from training.teacher.segments import Segments, SegmentSampler, find_segments, pooled, rows_of, teacher_scores
from training.teacher.shards import ShardReader
from training.teacher.yamnet import known_classes, teacher_classes

_log = logging.getLogger(__name__)

EMBEDDINGS: Final = "embeddings"

LEARNING_RATE: Final = 5e-4
WEIGHT_DECAY: Final = 1e-4
BATCH_SOUNDS: Final = 64
DECAY_SHARE: Final = 0.5
MEAN_HORIZON_STEPS: Final = 200
LOOK_STEPS: Final = 500

CLASS_SHARE: Final = 0.6  # of the draws, by class; the others evenly
RECORDED_FACTOR: Final = 2.0


@dataclass(frozen=True, slots=True)
class Material:
    """Everything the head learns from, of all shards, one behind the other.

    Attributes
    ----------
    embeddings
        ``(rows, 128)`` float32.
    scores
        ``(rows, 521)`` float16, the teacher's.
    segments
        What is one sound.
    split
        Of each segment.
    weights
        How often to learn from each segment.
    """

    embeddings: NDArray[np.float32]
    scores: NDArray[np.float16]
    segments: Segments
    split: NDArray[np.int8]
    weights: NDArray[np.float64]


def gather(work: Path, clips: list[Clip], model: Path) -> Material:
    """Embed the natural shard and those of mixtures."""
    clip_splits, recorded = splits(clips), np.array([not clip.is_synthetic for clip in clips])
    folders = [work / SHARDS / NATURAL, *sorted((work / SHARDS).glob(f"{MIXED}-*"))]
    shards = [ShardReader(folder) for folder in folders]
    frequencies = class_frequencies(shards[0].logits[: shards[0].count])
    columns: list[tuple[NDArray[np.float32], NDArray[np.float16]]] = []
    segments: list[Segments] = []
    clip: list[NDArray[np.int32]] = []
    rare: list[NDArray[np.float32]] = []
    before = 0
    for folder, shard in zip(folders, shards, strict=True):
        embeddings = embed_shard(model, shard, work / EMBEDDINGS / folder.name, log_progress())
        found = find_segments(shard)
        columns.append((embeddings, teacher_scores(shard)))
        segments.append(Segments(found.first + before, found.patches))
        clip.append(shard.clip[found.first])
        rare.append(np.maximum.reduceat(rarity(shard.logits[: shard.count], frequencies), found.first))
        before += shard.count
    owner = np.concatenate(clip)
    by_class = shares(np.concatenate(rare)) * np.where(recorded[owner], RECORDED_FACTOR, 1.0)
    return Material(
        np.concatenate([embeddings for embeddings, _ in columns]),
        np.concatenate([scores for _, scores in columns]),
        Segments(*map(np.concatenate, zip(*segments, strict=True))),
        clip_splits[owner],
        CLASS_SHARE * by_class + (1 - CLASS_SHARE) / len(owner),
    )


def train(
    work: Path, clips: list[Clip], model: Path, classes: Dense, *, minutes: float, seed: int = 0
) -> tuple[Postprocessor, AttentionHead, Comparison]:
    """Fit the PCA, train the head, calibrate it.

    Parameters
    ----------
    model
        ``embedding.tflite``.
    classes
        The student's last layer, ``(128, 521)``, with which the head begins.

    Returns
    -------
    The PCA, the head, and how both agree with the teacher on validation's sounds.
    """
    torch.set_num_threads(available_cpus())
    torch.manual_seed(seed)
    material = gather(work, clips, model)
    learned = material.segments.select(material.split == TRAINING)
    postprocessor = fit_pca(material.embeddings[_all_rows(learned)])
    codes = postprocessor.quantize(material.embeddings)
    sampler = SegmentSampler(learned, material.weights[material.split == TRAINING])
    head = _learn(
        Head(of_codes(classes, postprocessor)), sampler, codes, material.scores, minutes, seed
    ).for_product()
    known = known_classes()

    sounds = _whole(material, CALIBRATION)
    if len(sounds):
        logits = _logits(head, codes[sounds])[:, known]
        scale, offsets = fit(logits, pooled(material.scores[sounds].astype(np.float32)))
        _log.info(
            "calibrated on %d sounds: scale %.3f, offsets to %.2f", len(sounds), scale, np.abs(offsets).max()
        )
        head = calibrated(head, scale, offsets, known)
    sounds = _whole(material, VALIDATION)
    scores = head(dequantize(codes[sounds]))[:, known]
    targets = pooled(material.scores[sounds].astype(np.float32))
    return postprocessor, head, compare(scores, targets, teacher_classes())


def _learn(
    head: Head,
    sampler: SegmentSampler,
    codes: NDArray[np.uint8],
    scores: NDArray[np.float16],
    minutes: float,
    seed: int,
) -> Head:
    rng = np.random.default_rng(seed)
    mean: Head = copy.deepcopy(head).eval()
    optimizer = torch.optim.AdamW(head.parameters(), lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY, fused=True)
    began_s, step = time.monotonic(), 0
    while (share := (time.monotonic() - began_s) / (60 * minutes)) < 1:
        for group in optimizer.param_groups:
            group["lr"] = LEARNING_RATE * rate(share, step, DECAY_SHARE)
        rows = sampler.batch(rng, BATCH_SOUNDS)
        wrong = loss(
            head(torch.from_numpy(dequantize(codes[rows]))),
            torch.from_numpy(pooled(scores[rows].astype(np.float32))),
        )
        optimizer.zero_grad()
        wrong.backward()
        optimizer.step()
        step += 1
        follow(mean, head, step, MEAN_HORIZON_STEPS)
        if step % LOOK_STEPS == 0:
            _log.info(
                "head: %.1f of %.1f min, %d steps, loss %.3f", share * minutes, minutes, step, wrong.detach()
            )
    return mean


def _whole(material: Material, split: int) -> NDArray[np.intp]:
    """The sounds of a split as the product hears them: ``(n, 10)`` rows."""
    chosen = np.flatnonzero(material.split == split)
    return rows_of(material.segments, chosen)


def _all_rows(segments: Segments) -> NDArray[np.intp]:
    return np.concatenate(
        [np.arange(first, first + patches) for first, patches in zip(*segments, strict=True)]
    )


def _logits(head: AttentionHead, codes: NDArray[np.uint8]) -> NDArray[np.float32]:
    probabilities = np.clip(head(dequantize(codes)), 1e-7, 1 - 1e-7)
    return np.asarray(np.log(probabilities / (1 - probabilities)), np.float32)


def save(work: Path, postprocessor: Postprocessor, head: AttentionHead) -> None:
    """Write both as a bundle holds them, the head's kernels and biases as float16."""
    arrays = {name: _half(array) for name, array in head.arrays().items()}
    for name, content in ((POSTPROCESS, postprocessor.arrays()), (HEAD, arrays)):
        partial = work / f"{name}.partial"
        with partial.open("wb") as file:
            np.savez(file, **content)
        partial.replace(work / name)


def _half(array: NDArray[np.generic]) -> NDArray[np.generic]:
    return array.astype(np.float16) if array.dtype == np.float32 else array


def main(arguments: Sequence[str] | None = None) -> None:
    """Train PCA and head for an exported embedding network."""
    parser = argparse.ArgumentParser(prog="python -m training.student.train_head", description=main.__doc__)
    parser.add_argument("--work", type=Path, required=True, help="the work directory, with labelled shards")
    parser.add_argument("--model", type=Path, required=True, help="embedding.tflite")
    parser.add_argument("--checkpoint", type=Path, required=True, help="that it was exported from")
    parser.add_argument("--minutes", type=float, required=True)
    options = parser.parse_args(arguments)
    show_log()
    clips = ClipPool.open(options.work / CLIPS).clips
    classes = dense(load_student(options.checkpoint).classes)
    postprocessor, head, agreed = train(options.work, clips, options.model, classes, minutes=options.minutes)
    save(options.work, postprocessor, head)
    _log.info("validation: %s", agreed)


if __name__ == "__main__":
    main()
