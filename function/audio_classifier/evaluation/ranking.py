"""Average precision and area under the ROC curve, with weights for resampled recordings."""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray


def average_precision_and_auc(
    scores: NDArray[np.float32], present: NDArray[np.bool_], weights: NDArray[np.integer]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Compute average precision and AUC of one class, in one pass over the sorted scores.

    Average precision is the sum of the precisions at all distinct scores, each multiplied by the increase of
    recall.  The AUC is the probability that a recording with the class scores higher than one without it;
    equal scores count half.

    Parameters
    ----------
    scores
        ``(recordings,)``.
    present
        ``(recordings,)``, whether the class is present.
    weights
        ``(resamples, recordings)``, how often each recording occurs.

    Returns
    -------
    average_precision, auc
        ``(resamples,)`` each; NaN where recordings with the class, or for the AUC without it, are missing.
    """
    order = np.argsort(-scores, kind="stable")
    last_of_equal = np.append(np.diff(scores[order]) != 0, np.full(min(1, len(scores)), True))
    ordered = weights[:, order]
    with_class = np.cumsum(ordered * present[order], axis=1)[:, last_of_equal]
    total = np.cumsum(ordered, axis=1)[:, last_of_equal]
    without_class = total - with_class
    gained = np.diff(with_class, axis=1, prepend=0)
    lost = np.diff(without_class, axis=1, prepend=0)
    positives, negatives = with_class[:, -1], without_class[:, -1]
    precision = with_class / np.maximum(total, 1)
    pairs = (gained * (negatives[:, np.newaxis] - without_class + lost / 2)).sum(axis=1)
    return (
        ratio((gained * precision).sum(axis=1), positives),
        ratio(pairs, positives.astype(np.float64) * negatives),
    )


def d_prime(auc: float) -> float:
    """Return ``sqrt(2) * inverse normal distribution(auc)``; infinite for 0 and 1.

    It is the distance between two normal distributions of unit variance with that AUC.
    """
    if math.isnan(auc) or not 0 < auc < 1:
        return math.nan if math.isnan(auc) else math.copysign(math.inf, auc - 0.5)
    return math.sqrt(2) * NormalDist().inv_cdf(auc)


def ratio(numerator: NDArray[np.generic], denominator: NDArray[np.generic]) -> NDArray[np.float64]:
    """Divide; NaN where the denominator is 0."""
    quotient = np.full(np.shape(denominator), math.nan)
    np.divide(numerator, denominator, out=quotient, where=denominator != 0)
    return quotient


def mean_of_known(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the means of the last axis without NaN; NaN where there is nothing else."""
    known = ~np.isnan(values)
    return ratio(np.where(known, values, 0).sum(axis=-1), known.sum(axis=-1))
