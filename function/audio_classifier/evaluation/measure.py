"""Run models on labelled recordings; each recording is read once for all models with the same input."""

from __future__ import annotations

import os
from collections.abc import Generator, Mapping, Sequence
from contextlib import AbstractContextManager, closing
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from audio_classifier.audio.front_end import FrontEnd
from audio_classifier.audio.source import AudioSource
from audio_classifier.batch.inputs import FileInput
from audio_classifier.constants import EVENT_HOP_S, EVENT_WINDOW_S
from audio_classifier.errors import AudioClassifierError, InvalidParameterError, UnreadableAudioError
from audio_classifier.evaluation.event_matching import count_matches
from audio_classifier.evaluation.recordings import LabelledRecording, LabelledRecordings
from audio_classifier.evaluation.targets import TargetColumns
from audio_classifier.inference.classifier import AudioClassifier
from audio_classifier.inference.clip import PreparedClip
from audio_classifier.inference.prefetch import prefetched_batches
from audio_classifier.inference.sound_events import DEFAULT_HYSTERESIS, EventTracker, Hysteresis, SoundEvent
from audio_classifier.model.labels import Label

OPEN_TOP: tuple[int, ...] = (1, 5)


@dataclass(frozen=True, slots=True)
class EventOptions:
    """How sound events are found and compared with labels that have times.

    Attributes
    ----------
    window_s, hop_s, hysteresis
        See `AudioClassifier.analyze`.
    collar_s
        See `event_matching`.
    """

    window_s: float = EVENT_WINDOW_S
    hop_s: float = EVENT_HOP_S
    hysteresis: Hysteresis = DEFAULT_HYSTERESIS
    collar_s: float = 1.0


@dataclass(frozen=True, slots=True)
class Scored:
    """What one model predicts for one recording.

    Attributes
    ----------
    scores
        ``(targets,)`` probabilities.
    among_top
        ``(len(OPEN_TOP), targets)``, whether a class of the target is among the most probable of all classes.
    events
        ``(3, targets)``: matching, detected and labelled events; zeros if the labels have no times.
    """

    scores: NDArray[np.float32]
    among_top: NDArray[np.bool_]
    events: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class MeasuredRecording:
    """A recording, and what each model predicts for it."""

    recording: LabelledRecording
    scored: list[Scored]


@dataclass(frozen=True, slots=True)
class FailedRecording:
    """A recording that cannot be read."""

    recording: LabelledRecording
    error: AudioClassifierError | OSError


Measured: TypeAlias = MeasuredRecording | FailedRecording
Model: TypeAlias = tuple[AudioClassifier, TargetColumns]


def measure(
    models: Sequence[Model],
    labelled: LabelledRecordings,
    positions: Mapping[str, int],
    options: EventOptions,
) -> Generator[Measured, None, None]:
    """Yield each recording with the predictions of all models, or the error that it cannot be read.

    Clips, the first ten seconds of each recording, are classified if labels have no times; otherwise whole
    recordings are, and the highest probabilities of their windows count.

    Parameters
    ----------
    models
        At least one, each with the columns of its targets.
    positions
        The position of the target of each label.
    options
        For labels with times.

    Raises
    ------
    InvalidParameterError
        If an option is out of range.
    """
    if labelled.has_times:
        return _measure_timelines(models, labelled.recordings, positions, options)
    return _measure_clips(models, labelled.recordings)


def _measure_clips(
    models: Sequence[Model], recordings: Sequence[LabelledRecording]
) -> Generator[Measured, None, None]:
    readers = {classifier.front_end: classifier for classifier, _ in models}

    def prepare(
        recording: LabelledRecording,
    ) -> tuple[LabelledRecording, dict[FrontEnd, PreparedClip]] | FailedRecording:
        try:
            with _open(recording) as source:
                return recording, {key: reader.prepare(source) for key, reader in readers.items()}
        except (AudioClassifierError, OSError) as error:
            return FailedRecording(recording, error)

    with closing(prefetched_batches(prepare, recordings, threads=models[0][0].reader_threads)) as batches:
        for batch in batches:
            prepared = [item[1] for item in batch if not isinstance(item, FailedRecording)]
            of_models = [_score_clips(model, prepared) for model in models]
            scored = iter(zip(*of_models, strict=True))
            for item in batch:
                if isinstance(item, FailedRecording):
                    yield item
                else:
                    yield MeasuredRecording(item[0], [*next(scored)])


def _open(recording: LabelledRecording) -> AbstractContextManager[AudioSource]:
    if os.path.exists(recording.path) and not os.path.isfile(recording.path):
        raise UnreadableAudioError("expected a file, found a folder, a pipe or a device", hint="")
    return FileInput(recording.path).open()


def _score_clips(model: Model, prepared: Sequence[Mapping[FrontEnd, PreparedClip]]) -> list[Scored]:
    classifier, columns = model
    if not prepared:
        return []
    clips = [clips_by_front_end[classifier.front_end] for clips_by_front_end in prepared]
    return [
        _scored(columns, row, np.zeros((3, len(columns.classes)), np.int64))
        for row in classifier.prepared_probabilities(clips)
    ]


def _measure_timelines(
    models: Sequence[Model],
    recordings: Sequence[LabelledRecording],
    positions: Mapping[str, int],
    options: EventOptions,
) -> Generator[Measured, None, None]:
    for recording in recordings:
        try:
            yield MeasuredRecording(
                recording, [_score_timeline(model, recording, positions, options) for model in models]
            )
        except InvalidParameterError:  # of the options, not of the recording
            raise
        except (AudioClassifierError, OSError) as error:
            yield FailedRecording(recording, error)


def _score_timeline(
    model: Model, recording: LabelledRecording, positions: Mapping[str, int], options: EventOptions
) -> Scored:
    classifier, columns = model
    targets = [Label(index, str(index), str(index)) for index in range(len(columns.classes))]
    tracker = EventTracker(targets, options.hysteresis)
    highest = np.zeros(len(classifier.labels), np.float32)
    detected: list[SoundEvent] = []
    with _open(recording) as source:
        for window in classifier.timeline(source, window_s=options.window_s, hop_s=options.hop_s, top_k=1):
            np.maximum(highest, window.probabilities, out=highest)
            detected += tracker.add(replace(window, probabilities=columns.scores(window.probabilities)))
    detected += tracker.finish()
    return _scored(columns, highest, _count_events(recording, detected, positions, len(targets), options))


def _count_events(
    recording: LabelledRecording,
    detected: Sequence[SoundEvent],
    positions: Mapping[str, int],
    targets: int,
    options: EventOptions,
) -> NDArray[np.int64]:
    """Return ``(3, targets)``: matching, detected and labelled events."""
    spans: list[tuple[list[tuple[float, float]], list[tuple[float, float]]]] = [
        ([], []) for _ in range(targets)
    ]
    for labelled in recording.events:
        spans[positions[labelled.label]][0].append((labelled.start_s, labelled.end_s))
    for event in detected:
        spans[int(event.label_id)][1].append((event.start_s, event.end_s))
    counts = [
        (count_matches(of_labels, sorted(of_model), options.collar_s), len(of_model), len(of_labels))
        for of_labels, of_model in spans
    ]
    return np.array(counts, np.int64).T


def _scored(columns: TargetColumns, probabilities: NDArray[np.float32], events: NDArray[np.int64]) -> Scored:
    among_top = np.array([columns.among_top(probabilities, count) for count in OPEN_TOP])
    return Scored(columns.scores(probabilities), among_top, events)
