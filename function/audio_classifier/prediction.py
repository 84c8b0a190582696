"""A client's request, whichever door it came by -> the answer."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from pydantic import ValidationError

from audio_classifier.errors import InvalidParameterError, RecordingTooLongError
from audio_classifier.guarded_file import AudioSource
from audio_classifier.http_schema import PredictParameters
from audio_classifier.selection import Selection
from audio_classifier.service import Service
from audio_classifier.timeline import TimelineWindow


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
    classifier = service.load()
    names = classifier.labels.split(parameters.filter) or None
    if parameters.timeline:
        windows = classifier.timeline(
            source, top_k=parameters.top_k, threshold=parameters.threshold, labels=names
        )
        return {"status": "ok", "windows": list(_bounded(windows, service.settings.max_timeline_s))}
    selection = Selection(
        classifier.labels, top_k=parameters.top_k, threshold=parameters.threshold, labels=names
    )
    result = service.classify(source, selection, start_s=parameters.start_time)
    return {"status": "ok", "predictions": list(map(asdict, result.predictions))}


def _bounded(windows: Iterator[TimelineWindow], max_s: int) -> Iterator[dict[str, Any]]:
    """Windows as they are answered, as long as they are not too many: a header cannot be asked before."""
    for window in windows:
        if window.end_s > max_s:
            raise RecordingTooLongError(
                f"the recording is longer than the {max_s} s that a timeline may cover"
            )
        yield {
            "start": window.start_s,
            "end": window.end_s,
            "predictions": list(map(asdict, window.predictions)),
        }
