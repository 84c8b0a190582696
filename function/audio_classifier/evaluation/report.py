"""Reports of evaluations: Markdown for people, JSON for programs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from audio_classifier.escaping import printable
from audio_classifier.evaluation.estimates import (
    AUC,
    AVERAGE_PRECISION,
    D_PRIME,
    EVENT_F1,
    EVENT_PRECISION,
    EVENT_RECALL,
    Estimate,
)
from audio_classifier.evaluation.summary import ClassEvaluation, ModelEvaluation

TITLES: Final = {
    AVERAGE_PRECISION: "average precision",
    AUC: "area under the ROC curve",
    D_PRIME: "d'",
    "closed_top1": "right label first of the labels",
    "closed_top5": "right label among the top five labels",
    "open_top1": "right class first of all classes",
    "open_top5": "right class among the top five classes",
    EVENT_PRECISION: "precision of events",
    EVENT_RECALL: "recall of events",
    EVENT_F1: "F1 of events",
}
MEAN_TITLES: Final = {AVERAGE_PRECISION: "mean average precision", AUC: "mean area under the ROC curve"}


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The evaluation of several models on the same recordings.

    Attributes
    ----------
    source
        The name of the folder or table.
    recordings
        The number of recordings that were measured.
    failures
        The name and the error body of each recording that cannot be read.
    resamples
        The number of resamples for the intervals.
    models
        One evaluation for each.
    """

    source: str
    recordings: int
    failures: list[tuple[str, dict[str, str]]]
    resamples: int
    models: list[ModelEvaluation]

    @property
    def names(self) -> list[str]:
        """The name and version of each model, with the digest where they are the same."""
        names = [f"{model.bundle} {model.version}" for model in self.models]
        return [
            f"{name} ({model.digest[:8]})" if names.count(name) > 1 else name
            for name, model in zip(names, self.models, strict=True)
        ]

    def to_dict(self) -> dict[str, Any]:
        """Return the evaluation as JSON represents it."""
        return {
            "source": self.source,
            "recordings": self.recordings,
            "failures": [{"file": name, **body} for name, body in self.failures],
            "resamples": self.resamples,
            "models": [model.to_dict() for model in self.models],
        }


def markdown(evaluation: Evaluation) -> str:
    """Write the report in Markdown."""
    parts = [
        f"# Evaluation on {_cell(evaluation.source)}",
        introduction(evaluation),
        overall_table(evaluation),
    ]
    for name, model in zip(evaluation.names, evaluation.models, strict=True):
        parts += [f"## Classes: {_cell(name)}", _class_table(model.classes)]
        parts += [f"## Calibration: {_cell(name)}", _reliability_table(model)]
    if evaluation.failures:
        rows = [(name, body["message"]) for name, body in evaluation.failures]
        parts += ["## Recordings that could not be read", table(("recording", "reason"), rows)]
    return "\n\n".join(parts) + "\n"


def introduction(evaluation: Evaluation) -> str:
    """Write the number of recordings and labels, and how intervals were computed."""
    failed = len(evaluation.failures)
    failures = f"; {failed} could not be read and are listed at the end" if failed else ""
    intervals = (
        f" Brackets contain 95% intervals from {evaluation.resamples} bootstrap resamples of the recordings."
        if evaluation.resamples
        else ""
    )
    labels = len(evaluation.models[0].classes)
    return f"{evaluation.recordings} recordings, {labels} labels{failures}.{intervals}"


def overall_table(evaluation: Evaluation) -> str:
    """Write the measures over all recordings, a column for each model."""
    models = evaluation.models
    rows = [
        (MEAN_TITLES.get(name, TITLES[name]), *(estimate_text(model.measures[name]) for model in models))
        for name in models[0].measures
    ]
    rows.append(("expected calibration error", *(f"{model.calibration_error:.3f}" for model in models)))
    return table(("measure", *evaluation.names), rows)


def _class_table(classes: Sequence[ClassEvaluation]) -> str:
    """Write a row for each label; only average precision has an interval, so that rows stay readable."""
    names = [name for name in classes[0].measures if name != AVERAGE_PRECISION]
    return table(
        (
            *("label", "recordings", TITLES[AVERAGE_PRECISION]),
            *(TITLES[name] for name in names),
            *("threshold", "F1 there"),
        ),
        [
            (
                *(one.target.label, str(one.recordings), estimate_text(one.measures[AVERAGE_PRECISION])),
                *(_number(one.measures[name].value) for name in names),
                *_suggestion(one),
            )
            for one in classes
        ],
    )


def _suggestion(one: ClassEvaluation) -> tuple[str, str]:
    if one.suggestion is None:
        return "–", "–"
    return f"{one.suggestion.threshold:.3g}", f"{one.suggestion.f1:.3f}"


def _reliability_table(model: ModelEvaluation) -> str:
    return table(
        ("probability", "mean", "present", "pairs of recording and label"),
        [
            (
                f"{bin_.low:.1f} to {bin_.high:.1f}",
                f"{bin_.probability:.3f}",
                f"{bin_.present:.3f}",
                str(bin_.count),
            )
            for bin_ in model.bins
        ],
    )


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Write a table in Markdown."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(_cell(text) for text in line)} |" for line in lines)


def _cell(text: str) -> str:
    return printable(text).replace("|", "\\|")


def estimate_text(measure: Estimate) -> str:
    if math.isnan(measure.low):
        return _number(measure.value)
    return f"{_number(measure.value)} ({_number(measure.low)}–{_number(measure.high)})"


def _number(value: float) -> str:
    if math.isnan(value):
        return "–"
    return f"{value:.3f}" if math.isfinite(value) else "∞" if value > 0 else "-∞"
