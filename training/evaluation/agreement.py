"""Measures of agreement between a model's scores and the teacher's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from audio_classifier.constants import TOP_K

# The teacher's most frequent top classes; agreement on them is easy, so it is also measured without them.
COMMON_CLASSES: Final = ("Speech", "Music", "Silence")


@dataclass(frozen=True, slots=True)
class Agreement:
    """Agreement over a number of inputs, which are patches or clips.

    Attributes
    ----------
    count
        Number of inputs.
    top1
        Share of inputs for which both rank the same class first.
    top5
        Share of the teacher's top five classes that are among the model's top five.
    cosine
        Mean cosine similarity of the score vectors.
    """

    count: int
    top1: float
    top5: float
    cosine: float

    def __str__(self) -> str:
        return f"top-1 {self.top1:.3f}, top-5 {self.top5:.3f}, cosine {self.cosine:.3f} ({self.count})"


@dataclass(frozen=True, slots=True)
class Comparison:
    """Agreement over all inputs, and over those whose top class is not in `COMMON_CLASSES`."""

    overall: Agreement
    others: Agreement

    def __str__(self) -> str:
        return f"{self.overall}; without {', '.join(COMMON_CLASSES)}: {self.others}"


def compare(scores: NDArray[np.float32], teacher: NDArray[np.float32], names: Sequence[str]) -> Comparison:
    """Compare ``(n, classes)`` scores with the teacher's; ``names`` are the class names."""
    common = [names.index(name) for name in COMMON_CLASSES]
    others = ~np.isin(teacher.argmax(axis=1), common)
    return Comparison(agreement(scores, teacher), agreement(scores[others], teacher[others]))


def agreement(scores: NDArray[np.float32], teacher: NDArray[np.float32]) -> Agreement:
    """Compare ``(n, classes)`` scores with the teacher's."""
    if not len(scores):
        return Agreement(0, float("nan"), float("nan"), float("nan"))
    actual, expected = (np.argsort(-values, axis=1)[:, :TOP_K] for values in (scores, teacher))
    lengths = np.linalg.norm(scores, axis=1) * np.linalg.norm(teacher, axis=1)
    cosine = (scores * teacher).sum(axis=1) / np.maximum(lengths, 1e-12)
    shared = (actual[:, :, np.newaxis] == expected[:, np.newaxis]).any(axis=1)
    return Agreement(
        len(scores),
        float((actual[:, 0] == expected[:, 0]).mean()),
        float(shared.mean()),
        float(cosine.mean()),
    )
