"""Measures of one model over all recordings, for each class and overall, with bootstrap intervals.

Recordings are resampled with replacement (Efron, *Bootstrap Methods*, 1979); an interval is between the 2.5th
and the 97.5th percentile of a measure over the resamples.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from audio_classifier.evaluation.measure import OPEN_TOP, Scored
from audio_classifier.evaluation.ranking import average_precision_and_auc, d_prime, mean_of_known, ratio

PERCENTILES: Final = (2.5, 97.5)
MAX_WEIGHTS: Final = 1 << 19  # of the recordings in all resamples that are computed at once
CLOSED_TOP: Final = (1, 5)

AVERAGE_PRECISION, AUC, D_PRIME = "average_precision", "auc", "d_prime"
EVENT_PRECISION, EVENT_RECALL, EVENT_F1 = "event_precision", "event_recall", "event_f1"


@dataclass(frozen=True, slots=True)
class Estimate:
    """A measure and its interval; NaN if it is not defined, for example without recordings of a class."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Results:
    """Predictions of one model, and the truth.

    Attributes
    ----------
    present
        ``(recordings, targets)``, the truth.
    scores
        ``(recordings, targets)`` probabilities.
    among_top
        ``(recordings, len(OPEN_TOP), targets)``; see `Scored`.
    events
        ``(recordings, 3, targets)``; see `Scored`.
    """

    present: NDArray[np.bool_]
    scores: NDArray[np.float32]
    among_top: NDArray[np.bool_]
    events: NDArray[np.int64]

    @classmethod
    def collect(cls, present: NDArray[np.bool_], scored: Sequence[Scored]) -> Results:
        """Collect the predictions for at least one recording."""
        return cls(
            present,
            np.stack([one.scores for one in scored]),
            np.stack([one.among_top for one in scored]),
            np.stack([one.events for one in scored]),
        )

    def closed_top(self, count: int) -> NDArray[np.bool_]:
        """Return whether each target is among the ``count`` most probable targets of a recording."""
        top = np.argsort(-self.scores, axis=1, kind="stable")[:, :count]
        hits = np.zeros(self.scores.shape, np.bool_)
        np.put_along_axis(hits, top, True, axis=1)
        return hits


def estimate(
    results: Results, *, has_times: bool, resamples: int, seed: int
) -> tuple[dict[str, Estimate], list[dict[str, Estimate]]]:
    """Estimate all measures by name: overall, and for each target.

    Overall, average precision and AUC are means over the targets, and d' is that of the mean AUC.  A
    recording with labels is right if any of them is among the top classes; a target counts as right only for
    itself.  ``closed`` measures rank the targets, ``open`` ones all classes of the model.
    """
    samples = [_measures(results, weights, has_times) for weights in _weights(results, resamples, seed)]
    overall = {name: np.concatenate([one[0][name] for one in samples]) for name in samples[0][0]}
    by_target = {name: np.concatenate([one[1][name] for one in samples]) for name in samples[0][1]}
    return (
        {name: _estimate(values) for name, values in overall.items()},
        [
            {name: _estimate(values[:, target]) for name, values in by_target.items()}
            for target in range(results.present.shape[1])
        ],
    )


def _weights(results: Results, resamples: int, seed: int) -> Iterator[NDArray[np.int64]]:
    """Yield ``(resamples, recordings)`` weights: all ones first, then those of the resamples."""
    count = len(results.present)
    rng = np.random.default_rng(seed)
    yield np.ones((1, count), np.int64)
    at_once = max(1, MAX_WEIGHTS // count)
    for first in range(0, resamples, at_once):
        rows = range(min(at_once, resamples - first))
        yield np.stack([np.bincount(rng.integers(count, size=count), minlength=count) for _ in rows])


def _measures(
    results: Results, weights: NDArray[np.int64], has_times: bool
) -> tuple[dict[str, NDArray[np.float64]], dict[str, NDArray[np.float64]]]:
    """Return each measure overall, ``(resamples,)``, and by target, ``(resamples, targets)``."""
    present, targets = results.present, results.present.shape[1]
    ranked = [
        average_precision_and_auc(results.scores[:, target], present[:, target], weights)
        for target in range(targets)
    ]
    precisions, aucs = (np.stack(values, axis=1) for values in zip(*ranked, strict=True))
    mean_auc = mean_of_known(aucs)
    overall = {AVERAGE_PRECISION: mean_of_known(precisions), AUC: mean_auc, D_PRIME: _d_primes(mean_auc)}
    by_target = {AVERAGE_PRECISION: precisions, AUC: aucs, D_PRIME: _d_primes(aucs)}
    hits = {f"closed_top{count}": results.closed_top(count) for count in CLOSED_TOP if count < targets}
    hits |= {f"open_top{count}": results.among_top[:, index] for index, count in enumerate(OPEN_TOP)}
    for name, hit in hits.items():
        right = hit & present
        overall[name] = ratio(weights @ right.any(axis=1), weights @ present.any(axis=1))
        by_target[name] = ratio(weights @ right, weights @ present)
    if has_times:
        counts = np.tensordot(weights, results.events, axes=1)
        overall |= _event_measures(counts.sum(axis=-1))
        by_target |= _event_measures(counts)
    return overall, by_target


def _event_measures(counts: NDArray[np.int64]) -> dict[str, NDArray[np.float64]]:
    """Return precision, recall and F1 of ``(resamples, 3, ...)`` matching, detected and labelled events."""
    matching, detected, labelled = counts[:, 0], counts[:, 1], counts[:, 2]
    return {
        EVENT_PRECISION: ratio(matching, detected),
        EVENT_RECALL: ratio(matching, labelled),
        EVENT_F1: ratio(2 * matching, detected + labelled),
    }


def _d_primes(aucs: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.array([d_prime(auc) for auc in aucs.ravel().tolist()]).reshape(aucs.shape)


def _estimate(values: NDArray[np.float64]) -> Estimate:
    """Return the first value with the percentiles of the others."""
    known = values[1:][~np.isnan(values[1:])]
    if not len(known) or math.isnan(values[0]):
        return Estimate(float(values[0]), math.nan, math.nan)
    low, high = np.percentile(known, PERCENTILES, method="nearest")  # infinite values are not interpolated
    return Estimate(float(values[0]), float(low), float(high))
