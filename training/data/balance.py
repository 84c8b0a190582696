"""Sampling weights that balance classes.

Most recordings in any free collection contain music, speech or near silence. A patch is therefore drawn in
proportion to the rarest class that the teacher finds in it: ``max over classes of score / frequency ** 0.6``,
over the classes with scores above 0.1.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

CHUNK: Final = 8192
PRESENT_SCORE: Final = 0.1  # classes with lower scores count as absent
SMALLEST_FREQUENCY: Final = 2e-4  # prevents a class that occurs once from taking all draws
EXPONENT: Final = 0.6
CAP_QUANTILE: Final = 0.995  # larger weights are lowered to this quantile


def sigmoid(logits: NDArray[Any]) -> NDArray[np.float32]:
    """Apply the logistic function to logits of any float type; return float32."""
    return np.asarray(1.0 / (1.0 + np.exp(-np.clip(logits.astype(np.float32), -30, 30))), np.float32)


def class_frequencies(logits: NDArray[Any]) -> NDArray[np.float32]:
    """Compute the mean score of each class, ``(classes,)``, from ``(n, classes)`` logits; none is zero."""
    total = np.zeros(logits.shape[1], np.float64)
    for start in range(0, len(logits), CHUNK):
        total += sigmoid(logits[start : start + CHUNK]).sum(axis=0, dtype=np.float64)
    return (total / max(1, len(logits)) + SMALLEST_FREQUENCY).astype(np.float32)


def rarity(logits: NDArray[Any], frequencies: NDArray[np.float32]) -> NDArray[np.float32]:
    """Compute the rarity of the rarest class present in each patch.

    Parameters
    ----------
    logits
        ``(n, classes)``, the teacher's logits.
    frequencies
        ``(classes,)``; see `class_frequencies`.

    Returns
    -------
    ``(n,)`` float32, zero for patches in which no class is present.
    """
    worth = frequencies**-EXPONENT
    rare = np.zeros(len(logits), np.float32)
    for start in range(0, len(logits), CHUNK):
        scores = sigmoid(logits[start : start + CHUNK])
        rare[start : start + CHUNK] = (scores * (scores > PRESENT_SCORE) * worth).max(axis=1)
    return rare


class Draw:
    """Draw rows in proportion to weights, with replacement.

    Parameters
    ----------
    weights
        ``(n,)``, non-negative with a positive sum.
    """

    def __init__(self, weights: NDArray[Any]) -> None:
        self._ends = np.cumsum(weights, dtype=np.float64)
        if not self._ends[-1] > 0:
            raise ValueError(f"weights must have a positive sum, got {self._ends[-1]:g}")

    def __call__(self, rng: np.random.Generator, rows: int) -> NDArray[np.intp]:
        """Draw the indices of ``rows`` rows."""
        positions = rng.random(rows) * self._ends[-1]
        rows_drawn = np.searchsorted(self._ends, positions, side="right")
        return np.asarray(np.minimum(rows_drawn, len(self._ends) - 1), np.intp)


def shares(weights: NDArray[Any]) -> NDArray[np.float64]:
    """Cap the largest weights and normalise all to a sum of 1; if all are zero, return equal shares."""
    if not weights.any():
        return np.full(len(weights), 1.0 / max(1, len(weights)))
    capped = np.minimum(weights, np.quantile(weights[weights > 0], CAP_QUANTILE)).astype(np.float64)
    return np.asarray(capped / capped.sum())
