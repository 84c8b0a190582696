"""Evaluate a bundle by its agreement with the teachers on recordings that were not used for training."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import soundfile
from numpy.typing import NDArray

from audio_classifier import AudioClassifier
from audio_classifier.assets import audioset_labels_path
from audio_classifier.audio.log_mel import log_mel_patches
from audio_classifier.audio.reader import read_window
from audio_classifier.constants import CLIP_PATCHES, SAMPLE_RATE_HZ
from audio_classifier.evaluation.ranking import average_precision_and_auc
from audio_classifier.model.labels import LabelSet
from training.data.balance import sigmoid
from training.data.clips import ClipPool
from training.data.splits import VALIDATION, splits
from training.evaluation.agreement import COMMON_CLASSES, Agreement, agreement
from training.teacher.clip_teacher import ClipTeacher
from training.teacher.segments import combined, pooled
from training.teacher.yamnet import Teacher, as_audioset, known_classes, teacher_log_mels, unknown_classes

# The top level of AudioSet's ontology, as ranges in its order of classes.
GROUPS: Final = {
    "human sounds": range(72),
    "animals": range(72, 137),
    "music": range(137, 283),
    "natural sounds": range(283, 300),
    "sounds of things": range(300, 459),
    "source-ambiguous sounds": range(459, 500),
    "channel, environment and background": range(500, 527),
}
PRESENT_SCORE: Final = 0.3  # a class counts as present if the teacher's score is higher
# The second teacher scores the classes that only it knows low, also where they are right.
LOW_PRESENT_SCORE: Final = 0.05
MIN_INPUTS: Final = 3  # a class must be present in this many inputs for its average precision to be reported
BINS: Final = 10
CLIP_SAMPLES: Final = 10 * SAMPLE_RATE_HZ


@dataclass(frozen=True, slots=True)
class EvaluationSet:
    """Audio files and the teachers' scores of them.

    Attributes
    ----------
    names
        Name of each input.
    sources
        Path or content of each audio file.
    teacher
        ``(n, 527)``, YAMNet's scores of each input, pooled over its patches.
    clip_teacher
        ``(n, 527)``, the clip teacher's; None if there is none.
    """

    names: list[str]
    sources: list[Path | bytes]
    teacher: NDArray[np.float32]
    clip_teacher: NDArray[np.float32] | None = None

    @property
    def target(self) -> NDArray[np.float32]:
        """The scores that the model learns, ``(n, 527)``."""
        return combined(self.teacher[:, known_classes()], self.clip_teacher)


@dataclass(frozen=True, slots=True)
class Bin:
    """A bin of the reliability diagram: scores whose probabilities are in the same interval.

    Attributes
    ----------
    probability
        Mean probability of the bundle.
    teacher
        Mean score of the teachers.
    count
        Number of scores.
    """

    probability: float
    teacher: float
    count: int


@dataclass(frozen=True, slots=True)
class TeacherAgreement:
    """Agreement of a bundle with one teacher.

    Attributes
    ----------
    everything, uncommon
        Agreement over all inputs, and over those whose top class is not speech, music or silence.
    precisions
        Average precision by class, for the classes that are present in at least `MIN_INPUTS` inputs.
    input_counts
        Number of inputs in which each of these classes is present.
    """

    everything: Agreement
    uncommon: Agreement
    precisions: dict[str, float]
    input_counts: dict[str, int]

    @property
    def mean_precision(self) -> float:
        """Mean average precision over all reported classes."""
        return float(np.mean([*self.precisions.values()])) if self.precisions else float("nan")

    @property
    def uncommon_precision(self) -> float:
        """Mean average precision without speech, music and silence."""
        values = [value for name, value in self.precisions.items() if name not in COMMON_CLASSES]
        return float(np.mean(values)) if values else float("nan")


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Measurements of one bundle.

    Attributes
    ----------
    scores
        ``(n, 527)``, the bundle's probabilities.
    with_teacher
        Agreement with YAMNet.
    with_clip_teacher
        Agreement with the clip teacher; None if there is none.
    groups
        Agreement with YAMNet by the ontology group of its top class.
    areas
        For the classes that YAMNet does not know, the area under the ROC curve and the number of inputs in
        which the class is present; NaN if it is present in none.
    reliability
        Bins of the reliability diagram by their index; empty bins are left out.
    """

    scores: NDArray[np.float32]
    with_teacher: TeacherAgreement
    with_clip_teacher: TeacherAgreement | None
    groups: dict[str, Agreement]
    areas: dict[str, tuple[float, int]]
    reliability: dict[int, Bin]

    @property
    def calibration_error(self) -> float:
        """Expected calibration error: mean distance of the bins' probabilities from the teachers' scores.

        The lowest bin is left out, because it contains nearly all of the 527 classes and its error is always
        small.
        """
        bins = [one for index, one in self.reliability.items() if index > 0]
        gaps = sum(one.count * abs(one.probability - one.teacher) for one in bins)
        return gaps / max(sum(one.count for one in bins), 1)


def validation_set(
    pool: ClipPool, teacher: Teacher, clip_teacher: ClipTeacher | None = None
) -> EvaluationSet:
    """Score the first ten seconds of every validation clip with the teachers."""
    chosen = np.flatnonzero(splits(pool.clips) == VALIDATION)
    names = [f"{pool.clips[index].source}/{pool.clips[index].recording}" for index in chosen]
    sources = [_wav(pool.samples(int(index))[:CLIP_SAMPLES]) for index in chosen]
    return score(names, sources, teacher, clip_teacher)


def wav_files(folder: Path, teacher: Teacher, clip_teacher: ClipTeacher | None = None) -> EvaluationSet:
    """Score the WAV files in a folder with the teachers."""
    paths = sorted(folder.glob("*.wav"))
    return score([path.stem for path in paths], paths, teacher, clip_teacher)


def score(
    names: list[str],
    sources: Sequence[Path | bytes],
    teacher: Teacher,
    clip_teacher: ClipTeacher | None,
) -> EvaluationSet:
    """Score audio files with the teachers."""
    return EvaluationSet(
        names,
        [*sources],
        np.stack([_teacher_scores(source, teacher) for source in sources]),
        np.stack([_clip_teacher_scores(source, clip_teacher) for source in sources])
        if clip_teacher
        else None,
    )


def evaluate(classifier: AudioClassifier, inputs: EvaluationSet) -> Evaluation:
    """Classify the inputs with a bundle's classifier, and compare the results with the teachers' scores."""
    scores = np.stack([classifier.probabilities(source) for source in inputs.sources])
    first = inputs.teacher.argmax(axis=1)
    clip_teacher = inputs.clip_teacher
    return Evaluation(
        scores=scores,
        with_teacher=_with_teacher(scores, inputs.teacher),
        with_clip_teacher=None if clip_teacher is None else _with_teacher(scores, clip_teacher),
        groups={
            name: agreement(scores[inside], inputs.teacher[inside])
            for name, group in GROUPS.items()
            if (inside := np.isin(first, [*group])).any()
        },
        areas={} if clip_teacher is None else _areas(scores, clip_teacher),
        reliability=_reliability(scores, inputs.target),
    )


def is_uncommon(teacher: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Return whether the top class of each ``(n, 527)`` score is not speech, music or silence, ``(n,)``."""
    common = [index for index, name in enumerate(class_names()) if name in COMMON_CLASSES]
    return ~np.isin(teacher.argmax(axis=1), common)


def average_precision(scores: NDArray[np.float32], present: NDArray[np.bool_]) -> float:
    """Compute the mean of the precisions at the ranks of the inputs in which a class is present."""
    ranked = present[np.argsort(-scores, kind="stable")]
    hits = np.flatnonzero(ranked)
    return float(np.mean((1 + np.arange(len(hits))) / (1 + hits)))


def _with_teacher(scores: NDArray[np.float32], teacher: NDArray[np.float32]) -> TeacherAgreement:
    uncommon = is_uncommon(teacher)
    return TeacherAgreement(
        agreement(scores, teacher),
        agreement(scores[uncommon], teacher[uncommon]),
        *_precisions(scores, teacher),
    )


def _areas(scores: NDArray[np.float32], clip_teacher: NDArray[np.float32]) -> dict[str, tuple[float, int]]:
    areas = {}
    once = np.ones((1, len(scores)), int)
    for index in unknown_classes():
        present = clip_teacher[:, index] > LOW_PRESENT_SCORE
        _, (area,) = average_precision_and_auc(scores[:, index], present, once)
        areas[class_names()[index]] = (float(area), int(present.sum()))
    return areas


def _precisions(
    scores: NDArray[np.float32], teacher: NDArray[np.float32]
) -> tuple[dict[str, float], dict[str, int]]:
    present = teacher > PRESENT_SCORE
    reported = [int(index) for index in np.flatnonzero(present.sum(axis=0) >= MIN_INPUTS)]
    names = class_names()
    return (
        {names[index]: average_precision(scores[:, index], present[:, index]) for index in reported},
        {names[index]: int(present[:, index].sum()) for index in reported},
    )


def _reliability(scores: NDArray[np.float32], teacher: NDArray[np.float32]) -> dict[int, Bin]:
    actual, expected = (values[:, known_classes()].ravel() for values in (scores, teacher))
    bins = np.minimum((actual * BINS).astype(int), BINS - 1)
    return {
        index: Bin(float(actual[inside].mean()), float(expected[inside].mean()), int(inside.sum()))
        for index in range(BINS)
        if (inside := bins == index).any()
    }


def _teacher_scores(source: Path | bytes, teacher: Teacher) -> NDArray[np.float32]:
    """Score the ten patches that the classifier reads, ``(527,)``; patches of a short file are repeated."""
    patches = log_mel_patches(read_window(source))
    logits, _ = teacher(teacher_log_mels(patches[np.arange(CLIP_PATCHES) % len(patches)]))
    return as_audioset(pooled(sigmoid(logits)))


def _clip_teacher_scores(source: Path | bytes, clip_teacher: ClipTeacher) -> NDArray[np.float32]:
    """Score the ten seconds that the classifier reads, ``(527,)``; a short file is repeated."""
    samples = read_window(source)
    return sigmoid(clip_teacher(samples, len(log_mel_patches(samples))).clip[0])


def class_names() -> list[str]:
    """Return the names of all 527 classes, in order."""
    return [label.name for label in LabelSet.read(audioset_labels_path())]


def _wav(samples: NDArray[np.int16]) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, samples, SAMPLE_RATE_HZ, format="WAV", subtype="PCM_16")
    return file.getvalue()
