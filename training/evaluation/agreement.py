"""How far scores agree with the teacher's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from audio_classifier.constants import TOP_K

# What the teacher hears most of the time, whatever else there is; the sounds of which it does are easy.
COMMON_CLASSES: Final = ("Speech", "Music", "Silence")


@dataclass(frozen=True, slots=True)
class Agreement:
    """Over patches or clips.

    Attributes
    ----------
    sounds
        How many.
    top1
        Share of sounds where both name the same class first.
    top5
        Share of the teacher's five first classes that are among the student's.
    cosine
        Between both score vectors, on average.
    """

    sounds: int
    top1: float
    top5: float
    cosine: float

    def __str__(self) -> str:
        return f"top-1 {self.top1:.3f}, top-5 {self.top5:.3f}, cosine {self.cosine:.3f} ({self.sounds})"


@dataclass(frozen=True, slots=True)
class Comparison:
    """Over all sounds, and over the others than speech, music and silence."""

    overall: Agreement
    others: Agreement

    def __str__(self) -> str:
        return f"{self.overall}; without {', '.join(COMMON_CLASSES)}: {self.others}"


def compare(scores: NDArray[np.float32], teacher: NDArray[np.float32], names: Sequence[str]) -> Comparison:
    """Compare ``(n, classes)`` scores with the teacher's; ``names`` are those of the classes."""
    common = [names.index(name) for name in COMMON_CLASSES]
    others = ~np.isin(teacher.argmax(axis=1), common)
    return Comparison(agreement(scores, teacher), agreement(scores[others], teacher[others]))


def agreement(scores: NDArray[np.float32], teacher: NDArray[np.float32]) -> Agreement:
    """Compare ``(n, classes)`` scores with the teacher's."""
    if not len(scores):
        return Agreement(0, float("nan"), float("nan"), float("nan"))
    best, wanted = (np.argsort(-values, axis=1)[:, :TOP_K] for values in (scores, teacher))
    lengths = np.linalg.norm(scores, axis=1) * np.linalg.norm(teacher, axis=1)
    cosine = (scores * teacher).sum(axis=1) / np.maximum(lengths, 1e-12)
    shared = (best[:, :, np.newaxis] == wanted[:, np.newaxis]).any(axis=1)
    return Agreement(
        len(scores),
        float((best[:, 0] == wanted[:, 0]).mean()),
        float(shared.mean()),
        float(cosine.mean()),
    )
