"""How good a bundle is: its agreement with the teacher on recordings that nothing was learned from."""

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
from audio_classifier.model.labels import LabelSet
from training.data.balance import sigmoid
from training.data.clips import ClipPool
from training.data.splits import VALIDATION, splits
from training.evaluation.agreement import COMMON_CLASSES, Agreement, agreement
from training.teacher.segments import pooled
from training.teacher.yamnet import Teacher, as_audioset, known_classes, teacher_log_mels

# Where the ontology's first level begins in AudioSet's order of classes.
GROUPS: Final = {
    "human sounds": range(72),
    "animals": range(72, 137),
    "music": range(137, 283),
    "nature": range(283, 300),
    "vehicles and things": range(300, 459),
    "sounds of unclear origin": range(459, 500),
    "background": range(500, 527),
}
HEARD: Final = 0.3  # of the teacher's score: from there on it hears a class
FEWEST_SOUNDS: Final = 3  # in which a class is heard, for its average precision to mean anything
BINS: Final = 10
CLIP_SAMPLES: Final = 10 * SAMPLE_RATE_HZ


@dataclass(frozen=True, slots=True)
class Sounds:
    """What is judged.

    Attributes
    ----------
    names
        Of each.
    sources
        Files, or what would be in them.
    teacher
        ``(n, 527)``, the teacher's scores of each, pooled over its patches.
    """

    names: list[str]
    sources: list[Path | bytes]
    teacher: NDArray[np.float32]

    @property
    def uncommon(self) -> NDArray[np.bool_]:
        """Where the teacher hears something else first than speech, music or silence, ``(n,)``."""
        common = [index for index, name in enumerate(names_of_classes()) if name in COMMON_CLASSES]
        return ~np.isin(self.teacher.argmax(axis=1), common)


@dataclass(frozen=True, slots=True)
class Bin:
    """Probabilities of about the same size, and what the teacher says where they are given."""

    probability: float
    teacher: float
    count: int


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What was measured of one bundle.

    Attributes
    ----------
    scores
        ``(n, 527)``, its probabilities.
    everything, uncommon
        Agreement over all sounds, and over those that are not speech, music or silence first.
    groups
        The same by group of the ontology that the teacher's first class is of.
    precisions
        Average precision against what the teacher hears, by class, where it is heard often enough.
    heard
        In how many sounds those classes are heard.
    reliability
        Probabilities by size: bins by their number.
    """

    scores: NDArray[np.float32]
    everything: Agreement
    uncommon: Agreement
    groups: dict[str, Agreement]
    precisions: dict[str, float]
    heard: dict[str, int]
    reliability: dict[int, Bin]

    @property
    def mean_precision(self) -> float:
        """Over classes."""
        return float(np.mean([*self.precisions.values()])) if self.precisions else float("nan")

    @property
    def uncommon_precision(self) -> float:
        """The same without speech, music and silence."""
        left = [value for name, value in self.precisions.items() if name not in COMMON_CLASSES]
        return float(np.mean(left)) if left else float("nan")

    @property
    def calibration_error(self) -> float:
        """How far probabilities are from the teacher's scores, bin by bin, on average (ECE).

        Without the lowest bin, where nearly all of the 527 are, and which is right of itself.
        """
        bins = [one for index, one in self.reliability.items() if index > 0]
        gaps = sum(one.count * abs(one.probability - one.teacher) for one in bins)
        return gaps / max(sum(one.count for one in bins), 1)


def validation_sounds(pool: ClipPool, teacher: Teacher) -> Sounds:
    """The first ten seconds of every clip of validation's recordings."""
    chosen = np.flatnonzero(splits(pool.clips) == VALIDATION)
    names = [f"{pool.clips[index].source}/{pool.clips[index].recording}" for index in chosen]
    return judged(names, [_wav(pool.samples(int(index))[:CLIP_SAMPLES]) for index in chosen], teacher)


def sound_files(folder: Path, teacher: Teacher) -> Sounds:
    """The WAV files in a folder."""
    paths = sorted(folder.glob("*.wav"))
    return judged([path.stem for path in paths], paths, teacher)


def judged(names: list[str], sources: Sequence[Path | bytes], teacher: Teacher) -> Sounds:
    """Sounds, and what the teacher hears in them."""
    return Sounds(names, [*sources], np.stack([_teacher_scores(source, teacher) for source in sources]))


def evaluate(classifier: AudioClassifier, sounds: Sounds) -> Evaluation:
    """Judge a bundle by the product's own way from a WAV file to probabilities."""
    scores = np.stack([classifier.probabilities(source) for source in sounds.sources])
    first = sounds.teacher.argmax(axis=1)
    precisions, heard = _precisions(scores, sounds.teacher)
    return Evaluation(
        scores=scores,
        everything=agreement(scores, sounds.teacher),
        uncommon=agreement(scores[sounds.uncommon], sounds.teacher[sounds.uncommon]),
        groups={
            name: agreement(scores[inside], sounds.teacher[inside])
            for name, group in GROUPS.items()
            if (inside := np.isin(first, [*group])).any()
        },
        precisions=precisions,
        heard=heard,
        reliability=_reliability(scores, sounds.teacher),
    )


def average_precision(scores: NDArray[np.float32], heard: NDArray[np.bool_]) -> float:
    """Mean, over the sounds in which a class is heard, of the precision down to each of them."""
    ranked = heard[np.argsort(-scores, kind="stable")]
    hits = np.flatnonzero(ranked)
    return float(np.mean((1 + np.arange(len(hits))) / (1 + hits)))


def _precisions(
    scores: NDArray[np.float32], teacher: NDArray[np.float32]
) -> tuple[dict[str, float], dict[str, int]]:
    heard = teacher > HEARD
    often = [int(index) for index in np.flatnonzero(heard.sum(axis=0) >= FEWEST_SOUNDS)]
    names = names_of_classes()
    return (
        {names[index]: average_precision(scores[:, index], heard[:, index]) for index in often},
        {names[index]: int(heard[:, index].sum()) for index in often},
    )


def _reliability(scores: NDArray[np.float32], teacher: NDArray[np.float32]) -> dict[int, Bin]:
    given, said = (values[:, known_classes()].ravel() for values in (scores, teacher))
    bins = np.minimum((given * BINS).astype(int), BINS - 1)
    return {
        index: Bin(float(given[inside].mean()), float(said[inside].mean()), int(inside.sum()))
        for index in range(BINS)
        if (inside := bins == index).any()
    }


def _teacher_scores(source: Path | bytes, teacher: Teacher) -> NDArray[np.float32]:
    """``(527,)``: of what the product hears, ten patches, those of a short sound repeated."""
    patches = log_mel_patches(read_window(source))
    logits, _ = teacher(teacher_log_mels(patches[np.arange(CLIP_PATCHES) % len(patches)]))
    return as_audioset(pooled(sigmoid(logits)))


def names_of_classes() -> list[str]:
    """Of all 527, in order."""
    return [label.name for label in LabelSet.read(audioset_labels_path())]


def _wav(samples: NDArray[np.int16]) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, samples, SAMPLE_RATE_HZ, format="WAV", subtype="PCM_16")
    return file.getvalue()
