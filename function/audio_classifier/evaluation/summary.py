"""The evaluation of one model: measures, calibration and thresholds, as values for reports."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from audio_classifier.evaluation.calibration import (
    Bin,
    Suggestion,
    expected_calibration_error,
    reliability,
    suggest_threshold,
)
from audio_classifier.evaluation.estimates import Estimate, Results, estimate
from audio_classifier.evaluation.targets import Target, TargetColumns
from audio_classifier.model.bundle import Bundle
from audio_classifier.model.labels import Label

RESAMPLES: Final = 1000


@dataclass(frozen=True, slots=True)
class ClassEvaluation:
    """The evaluation of one target.

    Attributes
    ----------
    target
        The label, and the classes that count as right.
    classes
        These classes of the model.
    recordings
        The number of recordings that have the label.
    measures
        See `estimates.estimate`.
    suggestion
        A threshold; None without recordings.
    """

    target: Target
    classes: list[Label]
    recordings: int
    measures: dict[str, Estimate]
    suggestion: Suggestion | None


@dataclass(frozen=True, slots=True)
class ModelEvaluation:
    """The evaluation of one model."""

    bundle: str
    version: str
    digest: str
    measures: dict[str, Estimate]
    calibration_error: float
    bins: list[Bin]
    classes: list[ClassEvaluation]

    def to_dict(self) -> dict[str, Any]:
        """Return the evaluation as JSON represents it; numbers that are not finite are null."""
        return {
            "bundle": self._bundle(),
            "measures": _estimates(self.measures),
            "calibration_error": _number(self.calibration_error),
            "reliability": [asdict(bin_) for bin_ in self.bins],
            "classes": [
                {
                    "label": one.target.label,
                    "classes": [label.name for label in one.classes],
                    "recordings": one.recordings,
                    "measures": _estimates(one.measures),
                    "threshold": asdict(one.suggestion) if one.suggestion else None,
                }
                for one in self.classes
            ],
        }

    def thresholds(self) -> dict[str, Any]:
        """Return the content of ``thresholds.json``.

        Each class of a target has the threshold of the target; the lowest one if it belongs to several.
        """
        minimums: dict[str, float] = {}
        for one in self.classes:
            if one.suggestion:
                for label in one.classes:
                    lowest = min(one.suggestion.threshold, minimums.get(label.label_id, math.inf))
                    minimums[label.label_id] = lowest
        return {"bundle": self._bundle(), "thresholds": minimums}

    def _bundle(self) -> dict[str, str]:
        return {"name": self.bundle, "version": self.version, "digest": self.digest}


def summarize(
    bundle: Bundle,
    targets: Sequence[Target],
    columns: TargetColumns,
    results: Results,
    *,
    has_times: bool,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> ModelEvaluation:
    """Evaluate the predictions of a model; ``resamples`` may be 0, for no intervals."""
    overall, by_target = estimate(results, has_times=has_times, resamples=resamples, seed=seed)
    bins = reliability(results.scores, results.present)
    return ModelEvaluation(
        bundle.manifest.name,
        bundle.manifest.version,
        bundle.digest,
        overall,
        expected_calibration_error(bins),
        bins,
        [
            ClassEvaluation(
                target,
                columns.classes[index],
                int(results.present[:, index].sum()),
                by_target[index],
                suggest_threshold(results.scores[:, index], results.present[:, index]),
            )
            for index, target in enumerate(targets)
        ],
    )


def _estimates(measures: dict[str, Estimate]) -> dict[str, dict[str, float | None]]:
    return {
        name: {part: _number(number) for part, number in asdict(measure).items()}
        for name, measure in measures.items()
    }


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None
