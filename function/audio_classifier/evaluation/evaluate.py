"""Evaluate models on labelled recordings: measure all recordings, then summarize each model."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing

import numpy as np
from numpy.typing import NDArray

from audio_classifier.errors import NoInputError, describe_error
from audio_classifier.evaluation.estimates import Results
from audio_classifier.evaluation.measure import (
    EventOptions,
    FailedRecording,
    Measured,
    MeasuredRecording,
    measure,
)
from audio_classifier.evaluation.recordings import LabelledRecordings
from audio_classifier.evaluation.report import Evaluation
from audio_classifier.evaluation.summary import RESAMPLES, summarize
from audio_classifier.evaluation.targets import Target, TargetColumns, find_targets
from audio_classifier.inference.classifier import AudioClassifier


def evaluate(
    classifiers: Sequence[AudioClassifier],
    labelled: LabelledRecordings,
    *,
    source: str,
    mapping: Mapping[str, Target],
    events: EventOptions,
    resamples: int = RESAMPLES,
    seed: int = 0,
    on_measured: Callable[[Measured], None] | None = None,
) -> Evaluation:
    """Evaluate models on the same recordings.

    Parameters
    ----------
    classifiers
        At least one.
    labelled
        See `read_recordings`.
    source
        The name of the recordings in the report.
    mapping
        See `read_mapping`.
    events
        For labels with times.
    resamples, seed
        For intervals; see `estimates`.
    on_measured
        Called with each recording.

    Raises
    ------
    UnknownLabelError
        If a label is neither in the mapping nor a class of each model.
    InvalidParameterError
        If an option is out of range.
    NoInputError
        If no recording can be read.
    """
    targets, positions = find_targets(labelled.labels, mapping, classifiers[0].labels)
    models = [(classifier, TargetColumns(targets, classifier.labels)) for classifier in classifiers]
    measured: list[MeasuredRecording] = []
    failures: list[tuple[str, dict[str, str]]] = []
    with closing(measure(models, labelled, positions, events)) as items:
        for item in items:
            if isinstance(item, FailedRecording):
                failures.append((item.recording.path, describe_error(item.error)))
            else:
                measured.append(item)
            if on_measured is not None:
                on_measured(item)
    if not measured:
        raise NoInputError(f"none of the {len(failures)} recordings can be read")
    present = _present(measured, positions, len(targets))
    summaries = [
        summarize(
            classifier.bundle,
            targets,
            columns,
            Results.collect(present, [one.scored[index] for one in measured]),
            has_times=labelled.has_times,
            resamples=resamples,
            seed=seed,
        )
        for index, (classifier, columns) in enumerate(models)
    ]
    return Evaluation(source, len(measured), failures, resamples, summaries)


def _present(
    measured: Sequence[MeasuredRecording], positions: Mapping[str, int], targets: int
) -> NDArray[np.bool_]:
    present = np.zeros((len(measured), targets), np.bool_)
    for row, one in zip(present, measured, strict=True):
        row[[positions[label] for label in one.recording.labels]] = True
    return present
