"""Measures of held-out predictions, with 95 % intervals."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from audio_classifier.evaluation.calibration import suggest_threshold
from audio_classifier.evaluation.estimates import Estimate
from audio_classifier.evaluation.ranking import average_precision_and_auc, mean_of_known

Z: Final = 1.959964  # of 95 %
PERCENTILES: Final = (2.5, 97.5)
RESAMPLES: Final = 1000
SMALLEST: Final = 1e-7  # a probability, for the logarithm of the error


@dataclass(frozen=True, slots=True)
class ClassMeasures:
    """The predictions for one class.

    Attributes
    ----------
    threshold
        The threshold with the highest F1.
    precision, recall
        At this threshold.
    average_precision
        Of the examples ranked by probability.
    """

    threshold: float
    precision: Estimate
    recall: Estimate
    average_precision: float


@dataclass(frozen=True, slots=True)
class Measures:
    """The predictions for all classes.

    Attributes
    ----------
    accuracy
        The share of right predictions among the examples with at most one label.
    mean_average_precision
        The mean over the classes.
    classes
        In the order of the classes; None without examples, or if all are in one group.
    confusion
        ``(classes + 1, classes + 1)``: examples by their label and by the predicted class; the last row and
        column are negatives, and examples in which no class reaches its threshold.
    false_alarms
        The share of negatives in which some class reaches its threshold; None without negatives.
    errors
        ``(examples,)``, the mean cross-entropy over the classes, in nats.
    predicted
        ``(examples,)``, the predicted class, or the number of classes for none.
    """

    accuracy: Estimate
    mean_average_precision: Estimate
    classes: list[ClassMeasures | None]
    confusion: NDArray[np.int64]
    false_alarms: Estimate | None
    errors: NDArray[np.float64]
    predicted: NDArray[np.intp]


def measure(
    scores: NDArray[np.float32],
    present: NDArray[np.bool_],
    recordings: Sequence[str],
    measurable: NDArray[np.bool_],
    *,
    seed: int,
) -> Measures:
    """Measure predictions.

    With negatives, the prediction is the most probable class that reaches its threshold, or none; without
    them, it is the most probable class.

    Parameters
    ----------
    scores, present
        ``(examples, classes)``: probabilities, and the truth.
    recordings
        The recording of each example, because examples of one recording are not independent.
    measurable
        ``(classes,)``, whether a class can be predicted: whether it has examples in several groups.
    seed
        Of the bootstrap.
    """
    _, owners = np.unique(np.array(recordings), return_inverse=True)
    count = present.shape[1]
    classes = [
        _measure_class(scores[:, index], present[:, index], owners) if measurable[index] else None
        for index in range(count)
    ]
    minimums = np.array([one.threshold if one else np.inf for one in classes])
    negatives = ~present.any(axis=1)
    reached = scores >= minimums
    alarms = np.asarray(reached.any(axis=1))
    predicted = scores.argmax(axis=1)
    if negatives.any():
        predicted = np.where(alarms, np.where(reached, scores, -1).argmax(axis=1), count)
    single = np.asarray(present.sum(axis=1) <= 1)
    truth = np.where(negatives, count, present.argmax(axis=1))
    confusion = np.zeros((count + 1, count + 1), np.int64)
    np.add.at(confusion, (truth[single], predicted[single]), 1)
    return Measures(
        share((truth == predicted)[single], owners[single]),
        _mean_average_precision(scores, present & measurable, owners, seed),
        classes,
        confusion,
        share(alarms[negatives], owners[negatives]) if negatives.any() else None,
        _errors(scores, present),
        predicted,
    )


def share(hits: NDArray[np.bool_], owners: NDArray[np.intp]) -> Estimate:
    """Estimate a share of examples by Wilson's score interval.

    The number of recordings counts instead of that of examples (Wilson, *Probable Inference, the Law of
    Succession, and Statistical Inference*, Journal of the American Statistical Association 22, 1927).

    Parameters
    ----------
    hits, owners
        ``(examples,)``: what is counted, and the number of the recording.
    """
    if not len(hits):
        return Estimate(math.nan, math.nan, math.nan)
    value, count = float(hits.mean()), len(np.unique(owners))
    centre = value + Z * Z / (2 * count)
    margin = Z * math.sqrt(value * (1 - value) / count + Z * Z / (4 * count * count))
    scale = 1 + Z * Z / count
    return Estimate(value, max(0.0, (centre - margin) / scale), min(1.0, (centre + margin) / scale))


def _measure_class(
    scores: NDArray[np.float32], present: NDArray[np.bool_], owners: NDArray[np.intp]
) -> ClassMeasures | None:
    suggestion = suggest_threshold(scores, present)
    if suggestion is None:
        return None
    detected = scores >= suggestion.threshold
    precision, _ = average_precision_and_auc(scores, present, np.ones((1, len(scores)), np.int64))
    return ClassMeasures(
        suggestion.threshold,
        share(present[detected], owners[detected]),
        share(detected[present], owners[present]),
        float(precision[0]),
    )


def _mean_average_precision(
    scores: NDArray[np.float32], present: NDArray[np.bool_], owners: NDArray[np.intp], seed: int
) -> Estimate:
    """Estimate the mean with resampled recordings (Efron, *Bootstrap Methods*, 1979)."""
    count, rng = owners.max() + 1, np.random.default_rng(seed)
    resamples = [np.bincount(rng.integers(count, size=count), minlength=count) for _ in range(RESAMPLES)]
    weights = np.stack([np.ones(count, np.int64), *resamples])[:, owners]
    precisions = [
        average_precision_and_auc(scores[:, index], present[:, index], weights)[0]
        for index in range(present.shape[1])
    ]
    values = mean_of_known(np.stack(precisions, axis=1))
    known = values[1:][~np.isnan(values[1:])]
    low, high = np.percentile(known, PERCENTILES) if len(known) else (math.nan, math.nan)
    return Estimate(float(values[0]), float(low), float(high))


def _errors(scores: NDArray[np.float32], present: NDArray[np.bool_]) -> NDArray[np.float64]:
    right = np.where(present, scores, 1 - scores).astype(np.float64)
    return np.asarray(-np.log(np.maximum(right, SMALLEST)).mean(axis=1))
