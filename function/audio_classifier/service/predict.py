"""A client's request, whichever door it came by -> the answer."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict
from operator import itemgetter
from typing import Any

from pydantic import ValidationError

from audio_classifier.audio.source import AudioSource
from audio_classifier.constants import EVENT_THRESHOLD
from audio_classifier.errors import InvalidParameterError, RecordingTooLongError
from audio_classifier.inference.selection import Selection
from audio_classifier.inference.sound_events import Event, EventTracker, Hysteresis, require_no_gaps
from audio_classifier.server.schemas import PredictParameters
from audio_classifier.service.shared_classifier import Service


def parse_parameters(fields: dict[str, Any]) -> PredictParameters:
    """Check what a client asks for.

    Raises
    ------
    InvalidParameterError
        If something is out of its range; it is named.
    """
    try:
        return PredictParameters.model_validate(fields)
    except ValidationError as error:
        first = error.errors()[0]
        raise InvalidParameterError(".".join(map(str, first["loc"])), first["msg"]) from error


def predict(service: Service, source: AudioSource, parameters: PredictParameters) -> dict[str, Any]:
    """Classify a sound, or all of it window by window, and answer as the original does.

    Raises
    ------
    AudioError, InvalidParameterError, BundleError, TransferError
        See `AudioClassifier.predict` and `Service.load`.
    """
    if parameters.timeline:
        answer: dict[str, Any] = {"status": "ok"}
        gather(timeline(service, source, parameters), answer)
        return answer
    result = service.classify(source, _selection(service, parameters), start_s=parameters.start_time)
    return {"status": "ok", "predictions": list(map(asdict, result.predictions))}


def gather(heard: Iterable[tuple[str, dict[str, Any]]], answer: dict[str, Any]) -> None:
    """Add ``windows`` and ``events``, by their start, to an answer; if the stream breaks off, up to there.

    Parameters
    ----------
    heard
        See `timeline`.
    """
    answer |= {"windows": [], "events": []}
    try:
        for kind, one in heard:
            answer[f"{kind}s"].append(one)
    finally:
        answer["events"].sort(key=itemgetter("start"))


def timeline(
    service: Service, source: AudioSource, parameters: PredictParameters
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Windows and events of a recording as they are answered: ``("window", {...})``, ``("event", {...})``.

    Raises
    ------
    RecordingTooLongError
        When it gets there: a header cannot be asked before.
    AudioError, InvalidParameterError, BundleError, TransferError
        See `AudioClassifier.events` and `Service.load`.
    """
    selection, max_s = _selection(service, parameters), service.settings.max_timeline_s
    hysteresis = Hysteresis(
        parameters.threshold or EVENT_THRESHOLD, parameters.release, parameters.min_duration
    )
    tracker = EventTracker(selection.classes, hysteresis)
    hop_s = parameters.hop or parameters.window
    require_no_gaps(parameters.window, hop_s)
    for heard in service.listen(source, window_s=parameters.window, hop_s=hop_s):
        if heard.end_s > max_s:
            raise RecordingTooLongError(
                f"the recording is longer than the {max_s} s that a timeline may cover"
            )
        predictions = list(map(asdict, selection.rank(heard.probabilities)))
        yield "window", {"start": heard.start_s, "end": heard.end_s, "predictions": predictions}
        yield from (("event", _answered(event)) for event in tracker.add(heard))
    yield from (("event", _answered(event)) for event in tracker.finish())


def _selection(service: Service, parameters: PredictParameters) -> Selection:
    labels = service.load().labels
    names = labels.split(parameters.filter) or None
    return Selection(labels, top_k=parameters.top_k, threshold=parameters.threshold, labels=names)


def _answered(event: Event) -> dict[str, Any]:
    """An event by the names that answers over HTTP have."""
    return {name.removesuffix("_s"): value for name, value in asdict(event).items()}
