"""Answer a prediction request, for every entry point."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict
from operator import itemgetter
from typing import Any, Literal, TypeAlias

from audio_classifier.audio.source import AudioSource
from audio_classifier.errors import RecordingTooLongError
from audio_classifier.inference.sound_events import SoundEvent
from audio_classifier.inference.windows import Window
from audio_classifier.service.parameters import PredictParameters
from audio_classifier.service.shared_classifier import SharedClassifier

TimelineItem: TypeAlias = tuple[Literal["window", "event"], dict[str, Any]]
"""A window or a sound event of a timeline, as JSON."""


def predict(shared: SharedClassifier, source: AudioSource, parameters: PredictParameters) -> dict[str, Any]:
    """Classify a clip, or analyze a whole recording, and build the original's response.

    Raises
    ------
    AudioError, InvalidParameterError, BundleError, TransferError
        See `AudioClassifier.predict` and `SharedClassifier.load`.
    """
    if parameters.timeline:
        response: dict[str, Any] = {"status": "ok"}
        collect_timeline(timeline(shared, source, parameters), response)
        return response
    classification = shared.classify(
        source,
        start_s=parameters.start_time,
        top_k=parameters.top_k,
        threshold=parameters.threshold,
        labels=_labels(shared, parameters),
    )
    return {"status": "ok", "predictions": [asdict(prediction) for prediction in classification.predictions]}


def timeline(
    shared: SharedClassifier, source: AudioSource, parameters: PredictParameters
) -> Iterator[TimelineItem]:
    """Analyze a recording and yield its windows and sound events as JSON.

    Raises
    ------
    RecordingTooLongError
        When the stream reaches the limit: headers are not reliable.
    AudioError, InvalidParameterError, BundleError, TransferError
        See `AudioClassifier.analyze` and `SharedClassifier.load`.
    """
    max_s = shared.settings.max_timeline_s
    items = shared.analyze(
        source,
        window_s=parameters.window,
        hop_s=parameters.hop or parameters.window,
        hysteresis=parameters.hysteresis,
        top_k=parameters.top_k,
        threshold=parameters.threshold,
        labels=_labels(shared, parameters),
    )
    for item in items:
        if isinstance(item, SoundEvent):
            yield "event", _event_json(item)
            continue
        if item.end_s > max_s:
            raise RecordingTooLongError(f"the recording is longer than {max_s} s, the limit of a timeline")
        yield "window", _window_json(item)


def collect_timeline(items: Iterable[TimelineItem], response: dict[str, Any]) -> None:
    """Add ``windows`` and ``events``, each by start, to a response; if the stream fails, those before."""
    response |= {"windows": [], "events": []}
    try:
        for kind, content in items:
            response[f"{kind}s"].append(content)
    finally:
        response["events"].sort(key=itemgetter("start"))


def _labels(shared: SharedClassifier, parameters: PredictParameters) -> list[str] | None:
    return shared.load().labels.split(parameters.filter) or None


def _window_json(window: Window) -> dict[str, Any]:
    predictions = [asdict(prediction) for prediction in window.predictions]
    return {"start": window.start_s, "end": window.end_s, "predictions": predictions}


def _event_json(event: SoundEvent) -> dict[str, Any]:
    return {name.removesuffix("_s"): value for name, value in asdict(event).items()}
