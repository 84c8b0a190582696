"""Fit the PCA, train the attention head and calibrate it, for an exported embedding network."""

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

from audio_classifier.assets import audioset_labels_path
from audio_classifier.cpus import available_cpus
from audio_classifier.model.attention import AttentionHead
from audio_classifier.model.labels import LabelSet
from audio_classifier.model.manifest import HEAD, POSTPROCESS
from audio_classifier.model.postprocess import Postprocessor, dequantize
from training.data.balance import class_frequencies, rarity, shares
from training.data.clips import Clip, ClipPool
from training.data.splits import CALIBRATION, TRAINING, VALIDATION, splits
from training.evaluation.agreement import Comparison, compare
from training.logs import log_progress, show_log
from training.student.calibrate import calibrated, fit
from training.student.codes import embed_shard, fit_pca, layer_for_codes
from training.student.head import Head, loss, student_classes
from training.student.network import Student
from training.student.schedule import learning_rate_factor, update_mean
from training.student.train_embedding import load_student
from training.teacher.label import CLIPS, MIXED, NATURAL, SHARDS
from training.teacher.segments import Rows, Segments, SegmentSampler, TeacherScores, find_segments, rows_of
from training.teacher.shards import ShardReader

_log = logging.getLogger(__name__)

EMBEDDINGS: Final = "embeddings"

LEARNING_RATE: Final = 5e-4
WEIGHT_DECAY: Final = 1e-4
BATCH_SIZE: Final = 64
DECAY_SHARE: Final = 0.5
MEAN_HORIZON_STEPS: Final = 200
LOG_STEPS: Final = 500

CLASS_SHARE: Final = 0.6  # of the draws are by class, the others uniform
RECORDED_FACTOR: Final = 2.0  # recordings are drawn more often than synthetic clips


@dataclass(frozen=True, slots=True)
class TrainingData:
    """Embeddings and labels of all shards, concatenated.

    Attributes
    ----------
    embeddings
        ``(rows, 128)`` float32.
    scores
        The teachers'.
    segments
        The rows of each clip or mixture.
    split
        Split of each segment.
    weights
        Sampling weight of each segment.
    """

    embeddings: NDArray[np.float32]
    scores: TeacherScores
    segments: Segments
    split: NDArray[np.int8]
    weights: NDArray[np.float64]


def gather(work: Path, clips: list[Clip], model: Path) -> TrainingData:
    """Embed the natural shard and the shards of mixtures."""
    clip_splits, recorded = splits(clips), np.array([not clip.is_synthetic for clip in clips])
    folders = [work / SHARDS / NATURAL, *sorted((work / SHARDS).glob(f"{MIXED}-*"))]
    shards = [ShardReader(folder) for folder in folders]
    frequencies = class_frequencies(shards[0].logits[: shards[0].count])
    embeddings: list[NDArray[np.float32]] = []
    segments: list[Segments] = []
    clip: list[NDArray[np.int32]] = []
    rare: list[NDArray[np.float32]] = []
    before = 0
    for folder, shard in zip(folders, shards, strict=True):
        embeddings.append(embed_shard(model, shard, work / EMBEDDINGS / folder.name, log_progress()))
        found = find_segments(shard)
        segments.append(Segments(found.first + before, found.patches))
        clip.append(shard.clip[found.first])
        rare.append(np.maximum.reduceat(rarity(shard.logits[: shard.count], frequencies), found.first))
        before += shard.count
    owner = np.concatenate(clip)
    by_class = shares(np.concatenate(rare)) * np.where(recorded[owner], RECORDED_FACTOR, 1.0)
    return TrainingData(
        np.concatenate(embeddings),
        TeacherScores(shards),
        Segments(*map(np.concatenate, zip(*segments, strict=True))),
        clip_splits[owner],
        CLASS_SHARE * by_class + (1 - CLASS_SHARE) / len(owner),
    )


def train(
    work: Path, clips: list[Clip], model: Path, student: Student, *, minutes: float, seed: int = 0
) -> tuple[Postprocessor, AttentionHead, Comparison]:
    """Fit the PCA, and train and calibrate the head.

    Parameters
    ----------
    work
        Work directory with the labelled shards.
    clips
        The clips of the pool.
    model
        ``embedding.tflite``.
    student
        The student that the model was exported from; the head begins with its classes.
    minutes
        Training time of the head.
    seed
        Seed of the batches and of dropout.

    Returns
    -------
    The PCA, the head, and their agreement with the teachers on the validation segments.
    """
    torch.set_num_threads(available_cpus())
    torch.manual_seed(seed)
    data = gather(work, clips, model)
    segments = data.segments.select(data.split == TRAINING)
    postprocessor = fit_pca(data.embeddings[_all_rows(segments)])
    codes = postprocessor.quantize(data.embeddings)
    sampler = SegmentSampler(segments, data.weights[data.split == TRAINING])
    classes = student_classes(student, has_clip_teacher=data.scores.clips is not None)
    known = data.scores.classes
    head = _train_head(
        Head(layer_for_codes(classes, postprocessor)), sampler, codes, data.scores, minutes, seed
    ).for_inference(known)

    rows = _rows_of_split(data, CALIBRATION)
    if len(rows.patches):
        logits = _logits(head, codes[rows.patches])[:, known]
        scale, offsets = fit(logits, data.scores.targets(rows)[:, known])
        _log.info(
            "calibrated on %d segments: scale %.3f, largest offset %.2f",
            len(rows.patches), scale, np.abs(offsets).max(),
        )  # fmt: skip
        head = calibrated(head, scale, offsets, known)
    rows = _rows_of_split(data, VALIDATION)
    scores = head(dequantize(codes[rows.patches]))
    names = [label.name for label in LabelSet.read(audioset_labels_path())]
    return postprocessor, head, compare(scores, data.scores.targets(rows), names)


def _train_head(
    head: Head,
    sampler: SegmentSampler,
    codes: NDArray[np.uint8],
    scores: TeacherScores,
    minutes: float,
    seed: int,
) -> Head:
    rng = np.random.default_rng(seed)
    mean: Head = copy.deepcopy(head).eval()
    optimizer = torch.optim.AdamW(head.parameters(), lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY, fused=True)
    began_s, step = time.monotonic(), 0
    while (share := (time.monotonic() - began_s) / (60 * minutes)) < 1:
        for group in optimizer.param_groups:
            group["lr"] = LEARNING_RATE * learning_rate_factor(share, step, DECAY_SHARE)
        rows = sampler.batch(rng, BATCH_SIZE)
        batch_loss = loss(
            head(torch.from_numpy(dequantize(codes[rows.patches]))),
            torch.from_numpy(scores.targets(rows)),
            scores.classes,
        )
        optimizer.zero_grad()
        batch_loss.backward()
        optimizer.step()
        step += 1
        update_mean(mean, head, step, MEAN_HORIZON_STEPS)
        if step % LOG_STEPS == 0:
            _log.info(
                "head: %.1f of %.1f min, %d steps, loss %.3f",
                share * minutes, minutes, step, batch_loss.detach(),
            )  # fmt: skip
    return mean


def _rows_of_split(data: TrainingData, split: int) -> Rows:
    """Return the first ten rows of each segment of a split, as at inference."""
    chosen = np.flatnonzero(data.split == split)
    return rows_of(data.segments, chosen)


def _all_rows(segments: Segments) -> NDArray[np.intp]:
    return np.concatenate(
        [np.arange(first, first + patches) for first, patches in zip(*segments, strict=True)]
    )


def _logits(head: AttentionHead, codes: NDArray[np.uint8]) -> NDArray[np.float32]:
    probabilities = np.clip(head(dequantize(codes)), 1e-7, 1 - 1e-7)
    return np.asarray(np.log(probabilities / (1 - probabilities)), np.float32)


def save(work: Path, postprocessor: Postprocessor, head: AttentionHead) -> None:
    """Write the PCA and the head in the bundle's format, with the head's weights as float16."""
    arrays = {name: _half(array) for name, array in head.arrays().items()}
    for name, content in ((POSTPROCESS, postprocessor.arrays()), (HEAD, arrays)):
        partial = work / f"{name}.partial"
        with partial.open("wb") as file:
            np.savez(file, **content)
        partial.replace(work / name)


def _half(array: NDArray[np.generic]) -> NDArray[np.generic]:
    return array.astype(np.float16) if array.dtype == np.float32 else array


def main(arguments: Sequence[str] | None = None) -> None:
    """Fit the PCA and train the head for an exported embedding network."""
    parser = argparse.ArgumentParser(prog="python -m training.student.train_head", description=main.__doc__)
    parser.add_argument("--work", type=Path, required=True, help="work directory with the labelled shards")
    parser.add_argument("--model", type=Path, required=True, help="path of embedding.tflite")
    parser.add_argument(
        "--checkpoint", type=Path, required=True, help="checkpoint that the model was exported from"
    )
    parser.add_argument("--minutes", type=float, required=True, help="minutes of training")
    options = parser.parse_args(arguments)
    show_log()
    clips = ClipPool.open(options.work / CLIPS).clips
    student = load_student(options.checkpoint)
    postprocessor, head, agreed = train(options.work, clips, options.model, student, minutes=options.minutes)
    save(options.work, postprocessor, head)
    _log.info("validation: %s", agreed)


if __name__ == "__main__":
    main()
