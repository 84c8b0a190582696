"""Calibration: whether probabilities are right, and from which probability on a class should count."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

BINS: Final = 10


@dataclass(frozen=True, slots=True)
class Bin:
    """The pairs of a recording and a class whose probabilities are in one interval.

    Attributes
    ----------
    low, high
        The interval.
    probability
        Mean probability.
    present
        Share of the pairs whose class is present.
    count
        Number of pairs.
    """

    low: float
    high: float
    probability: float
    present: float
    count: int


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A threshold for one class, and its precision, recall and F1 on the recordings that it was chosen by."""

    threshold: float
    precision: float
    recall: float
    f1: float


def reliability(scores: NDArray[np.float32], present: NDArray[np.bool_]) -> list[Bin]:
    """Return the bins of the reliability diagram that are not empty; ``scores`` are probabilities."""
    values, truth = scores.ravel().astype(np.float64), present.ravel()
    positions = np.minimum((values * BINS).astype(int), BINS - 1)
    return [
        Bin(
            position / BINS,
            (position + 1) / BINS,
            float(values[inside].mean()),
            float(truth[inside].mean()),
            int(inside.sum()),
        )
        for position in range(BINS)
        if (inside := positions == position).any()
    ]


def expected_calibration_error(bins: list[Bin]) -> float:
    """Return the mean distance between probability and frequency, weighted by the bins' counts.

    Guo et al., *On Calibration of Modern Neural Networks*, ICML 2017, for every class separately present or
    absent.
    """
    return sum(bin_.count * abs(bin_.probability - bin_.present) for bin_ in bins) / sum(
        bin_.count for bin_ in bins
    )


def suggest_threshold(scores: NDArray[np.float32], present: NDArray[np.bool_]) -> Suggestion | None:
    """Return the threshold with the highest F1, or None if no recording has the class.

    It lies halfway between the lowest score that counts and the next one, rounded to three digits if that
    changes nothing.
    """
    if not present.any():
        return None
    order = np.argsort(-scores, kind="stable")
    ordered = scores[order].astype(np.float64)
    right = np.cumsum(present[order])
    f1 = 2 * right / (np.arange(1, len(ordered) + 1) + right[-1])
    f1[:-1][ordered[1:] == ordered[:-1]] = -1  # equal scores count together
    best = int(np.argmax(f1))
    lowest = ordered[best]
    below = ordered[best + 1] if best + 1 < len(ordered) else 0.0
    rounded = float(f"{(lowest + below) / 2:.3g}")
    threshold = rounded if below < rounded <= lowest else lowest
    return Suggestion(
        float(threshold), float(right[best] / (best + 1)), float(right[best] / right[-1]), float(f1[best])
    )
