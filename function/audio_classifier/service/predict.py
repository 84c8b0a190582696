"""Answer a prediction request, for every entry point."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from contextlib import closing
from dataclasses import asdict
from typing import Any, TypeAlias, TypeVar

from audio_classifier.audio.source import AudioSource
from audio_classifier.audio.warnings import AudioWarning
from audio_classifier.errors import RecordingTooLongError
from audio_classifier.inference.embeddings import Embeddings
from audio_classifier.inference.record import warnings_record
from audio_classifier.inference.sound_events import SoundEvent
from audio_classifier.inference.windows import Window
from audio_classifier.s3.objects import S3File
from audio_classifier.service.cancellation import Cancellation
from audio_classifier.service.parameters import PredictParameters
from audio_classifier.service.shared_classifier import SharedClassifier

Item = TypeVar("Item")
TimelineItem: TypeAlias = Window | SoundEvent | AudioWarning


def predict(
    shared: SharedClassifier,
    source: AudioSource,
    parameters: PredictParameters,
    cancellation: Cancellation | None = None,
) -> dict[str, Any]:
    """Classify a clip, or analyze a whole recording, and build the response of the MAX Audio Classifier.

    Raises
    ------
    DeadlineExceededError, RequestCancelledError
        If ``cancellation`` stops the work.
    AudioError, InvalidParameterError, BundleError, TransferError
        See `AudioClassifier.predict` and `SharedClassifier.load`.
    """
    if parameters.timeline:
        response: dict[str, Any] = {"status": "ok"}
        collect_timeline(timeline(shared, source, parameters, cancellation), response)
        return response
    cancellation = cancellation or Cancellation()
    cancellation.check()
    classification = shared.classify(
        cancellation.checked(source),
        start_s=parameters.start_time,
        channel=parameters.channel,
        top_k=parameters.top_k,
        threshold=parameters.threshold,
        labels=_names(shared, parameters.filter, parameters) or None,
        exclude=_names(shared, parameters.exclude, parameters),
        groups=parameters.groups,
    )
    return {
        "status": "ok",
        "predictions": [asdict(prediction) for prediction in classification.predictions],
        **warnings_record(classification.warnings),
    }


def timeline(
    shared: SharedClassifier,
    source: AudioSource,
    parameters: PredictParameters,
    cancellation: Cancellation | None = None,
) -> Generator[TimelineItem, None, None]:
    """Analyze a recording and yield its windows, sound events and warnings.

    Raises
    ------
    RecordingTooLongError
        When the stream reaches the limit, because the length in a file's header is not reliable.
    DeadlineExceededError, RequestCancelledError
        When ``cancellation`` stops the work.
    AudioError, InvalidParameterError, BundleError, TransferError
        See `AudioClassifier.analyze` and `SharedClassifier.load`.
    """
    if isinstance(source, S3File):
        source.allow_whole_object()
    max_s = shared.settings.max_timeline_s
    cancellation = cancellation or Cancellation()
    cancellation.check()
    items = shared.analyze(
        cancellation.checked(source),
        window_s=parameters.window,
        hop_s=parameters.hop or parameters.window,
        hysteresis=parameters.hysteresis,
        channel=parameters.channel,
        top_k=parameters.top_k,
        threshold=parameters.threshold,
        labels=_names(shared, parameters.filter, parameters) or None,
        exclude=_names(shared, parameters.exclude, parameters),
        groups=parameters.groups,
    )
    yield from within_limits(items, cancellation, max_s, "a timeline")


def within_limits(
    items: Generator[Item, None, None], cancellation: Cancellation, max_s: float, limited: str
) -> Generator[Item, None, None]:
    """Yield the items of a recording as long as the work may continue, and close their stream at the end.

    Parameters
    ----------
    max_s
        Where windows and embeddings must end.
    limited
        What has this limit, for the message of the error.

    Raises
    ------
    RecordingTooLongError, DeadlineExceededError, RequestCancelledError
        When a limit is reached, or ``cancellation`` stops the work.
    """
    with closing(items):
        for item in items:
            cancellation.check()
            if isinstance(item, Window | Embeddings) and item.end_s > max_s:
                raise RecordingTooLongError(f"the recording is longer than {max_s} s, the limit of {limited}")
            yield item


def collect_timeline(items: Iterable[TimelineItem], response: dict[str, Any]) -> None:
    """Add ``windows`` and ``events``, each by start, to a response, and ``warnings`` if there are any.

    If the stream fails, the items that precede the failure are added.
    """
    windows: list[dict[str, Any]] = []
    events: list[SoundEvent] = []
    found: list[AudioWarning] = []
    try:
        for item in items:
            if isinstance(item, Window):
                windows.append(item.to_dict())
            elif isinstance(item, AudioWarning):
                found.append(item)
            else:
                events.append(item)
    finally:
        response["windows"] = windows
        response["events"] = [event.to_dict() for event in sorted(events, key=lambda event: event.start_s)]
        response.update(warnings_record(found))


def _names(shared: SharedClassifier, text: str, parameters: PredictParameters) -> list[str]:
    """Split a list of classes, or of classes and groups."""
    classifier = shared.load()
    return (classifier.grouped_labels if parameters.groups else classifier.labels).split(text)
