"""Which patches to learn from how often: rare classes more, music, speech and silence less.

Most of any collection of free sounds is music, speech and near silence.  A patch is drawn by the rarest class
that the teacher hears in it: ``max over classes of score / frequency ** 0.6``, for scores above 0.1.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

CHUNK: Final = 8192
HEARD: Final = 0.1  # scores below do not count as heard
SMALLEST_FREQUENCY: Final = 2e-4  # so that a class heard once does not take all draws
EXPONENT: Final = 0.6
CAP_QUANTILE: Final = 0.995  # no patch is drawn more often than the one at this place


def sigmoid(logits: NDArray[Any]) -> NDArray[np.float32]:
    """Logistic function of logits of any float type, as float32."""
    return np.asarray(1.0 / (1.0 + np.exp(-np.clip(logits.astype(np.float32), -30, 30))), np.float32)


def class_frequencies(logits: NDArray[Any]) -> NDArray[np.float32]:
    """Mean score of each class over ``(n, classes)`` logits, from below bounded: ``(classes,)``."""
    total = np.zeros(logits.shape[1], np.float64)
    for start in range(0, len(logits), CHUNK):
        total += sigmoid(logits[start : start + CHUNK]).sum(axis=0, dtype=np.float64)
    return (total / max(1, len(logits)) + SMALLEST_FREQUENCY).astype(np.float32)


def rarity(logits: NDArray[Any], frequencies: NDArray[np.float32]) -> NDArray[np.float32]:
    """How rare the rarest class is that is heard in each patch: ``(n,)``, zero where nothing is.

    Parameters
    ----------
    logits
        ``(n, classes)`` of the teacher.
    frequencies
        ``(classes,)``; see `class_frequencies`.
    """
    worth = frequencies**-EXPONENT
    rare = np.zeros(len(logits), np.float32)
    for start in range(0, len(logits), CHUNK):
        scores = sigmoid(logits[start : start + CHUNK])
        rare[start : start + CHUNK] = (scores * (scores > HEARD) * worth).max(axis=1)
    return rare


class Draw:
    """Draws rows in proportion to weights, with replacement.

    Parameters
    ----------
    weights
        ``(n,)``, none negative, not all zero.
    """

    def __init__(self, weights: NDArray[Any]) -> None:
        self._ends = np.cumsum(weights, dtype=np.float64)
        if not self._ends[-1] > 0:
            raise ValueError("there is nothing to draw from")

    def __call__(self, rng: np.random.Generator, rows: int) -> NDArray[np.intp]:
        """Indices of ``rows`` rows."""
        places = rng.random(rows) * self._ends[-1]
        rows_drawn = np.searchsorted(self._ends, places, side="right")
        return np.asarray(np.minimum(rows_drawn, len(self._ends) - 1), np.intp)


def shares(weights: NDArray[Any]) -> NDArray[np.float64]:
    """Weights, the largest of them capped, as shares of their sum; all equal where they are all zero."""
    if not weights.any():
        return np.full(len(weights), 1.0 / max(1, len(weights)))
    capped = np.minimum(weights, np.quantile(weights[weights > 0], CAP_QUANTILE)).astype(np.float64)
    return np.asarray(capped / capped.sum())
