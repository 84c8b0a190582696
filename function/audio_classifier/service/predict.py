"""Answer a prediction request, for every entry point."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from contextlib import closing
from dataclasses import asdict, dataclass
from itertools import chain
from typing import Any, TypeAlias, TypeVar

from audio_classifier.audio.info import AudioInfo
from audio_classifier.audio.source import AudioSource
from audio_classifier.audio.warnings import AudioWarning
from audio_classifier.errors import RecordingTooLongError
from audio_classifier.inference.embeddings import Embeddings
from audio_classifier.inference.record import audio_record, model_record, warnings_record
from audio_classifier.inference.selection import Prediction
from audio_classifier.inference.sound_events import SoundEvent
from audio_classifier.inference.windows import Window
from audio_classifier.s3.objects import S3File
from audio_classifier.service.cancellation import Cancellation
from audio_classifier.service.parameters import PredictParameters
from audio_classifier.service.shared_classifier import SharedClassifier

Item = TypeVar("Item")
TimelineItem: TypeAlias = "ClipPredictions | Window | SoundEvent | AudioWarning | Details"


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
        items = whole_timeline(shared, source, parameters, cancellation)
        collect_timeline(items, response)
        return response
    cancellation = cancellation or Cancellation()
    cancellation.check()
    classification = shared.classify(cancellation.checked(source), **_clip_options(shared, parameters))
    return {
        "status": "ok",
        "predictions": [asdict(prediction) for prediction in classification.predictions],
        **warnings_record(classification.warnings),
        **(
            details_record(shared, classification.analyzed_s, classification.audio)
            if parameters.details
            else {}
        ),
    }


def details_record(
    shared: SharedClassifier, analyzed_s: float, audio: AudioInfo | None = None
) -> dict[str, Any]:
    """Describe the model, the recording and how much of it was analyzed, as stored results do."""
    classifier = shared.load()
    return {
        **({"audio": audio_record(audio)} if audio else {}),
        "analyzed_seconds": analyzed_s,
        "model": model_record(classifier.bundle, classifier.thresholds),
    }


@dataclass(frozen=True, slots=True)
class ClipPredictions:
    """The predictions for the clip of a recording, which precede its timeline."""

    predictions: list[Prediction]

    def to_dict(self) -> list[dict[str, Any]]:
        """Return the predictions as JSON represents them."""
        return [asdict(prediction) for prediction in self.predictions]


@dataclass(frozen=True, slots=True)
class Details:
    """What follows a timeline on request; see `details_record`."""

    record: dict[str, Any]


def whole_timeline(
    shared: SharedClassifier,
    source: AudioSource,
    parameters: PredictParameters,
    cancellation: Cancellation | None = None,
) -> Generator[TimelineItem, None, None]:
    """Yield the predictions for the clip, the items of `timeline`, and details if they are requested.

    The clip is that of a request without a timeline, and its predictions are the same.

    Raises
    ------
    RecordingTooLongError, DeadlineExceededError, RequestCancelledError
        See `timeline`.
    AudioError, InvalidParameterError, BundleError, TransferError
        See `AudioClassifier.analyze` and `SharedClassifier.load`.
    """
    cancellation = cancellation or Cancellation()
    cancellation.check()
    # The classifier itself, so that the seconds of the clip are not counted twice.
    classification = shared.load().classify(cancellation.checked(source), **_clip_options(shared, parameters))
    analyzed_s = 0.0
    with closing(timeline(shared, source, parameters, cancellation)) as items:
        first = next(items)  # so that errors of parameters precede all items
        yield ClipPredictions(classification.predictions)
        for item in chain([first], items):
            if isinstance(item, Window):
                analyzed_s = item.end_s
            yield item
    if parameters.details:
        yield Details(details_record(shared, analyzed_s, classification.audio))


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
        hop_s=parameters.hop,
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
    """Add ``predictions``, ``windows`` and ``events``, each by start, and what else there is to a response.

    If the stream fails, the items that precede the failure are added.
    """
    windows: list[dict[str, Any]] = []
    events: list[SoundEvent] = []
    found: list[AudioWarning] = []
    details: dict[str, Any] = {}
    try:
        for item in items:
            if isinstance(item, Window):
                windows.append(item.to_dict())
            elif isinstance(item, AudioWarning):
                found.append(item)
            elif isinstance(item, SoundEvent):
                events.append(item)
            elif isinstance(item, ClipPredictions):
                response["predictions"] = item.to_dict()
            else:
                details = item.record
    finally:
        response["windows"] = windows
        response["events"] = [event.to_dict() for event in sorted(events, key=lambda event: event.start_s)]
        response.update(warnings_record(found) | details)


def _clip_options(shared: SharedClassifier, parameters: PredictParameters) -> dict[str, Any]:
    """Return the options of `AudioClassifier.classify`."""
    return {
        "start_s": parameters.start_time,
        "channel": parameters.channel,
        "top_k": parameters.top_k,
        "threshold": parameters.threshold,
        "labels": _names(shared, parameters.filter, parameters) or None,
        "exclude": _names(shared, parameters.exclude, parameters),
        "groups": parameters.groups,
    }


def _names(shared: SharedClassifier, text: str, parameters: PredictParameters) -> list[str]:
    """Split a list of classes, or of classes and groups."""
    classifier = shared.load()
    return (classifier.grouped_labels if parameters.groups else classifier.labels).split(text)
