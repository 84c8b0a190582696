"""A client's request, whichever door it came by -> the answer."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from pydantic import ValidationError

from audio_classifier.errors import InvalidParameterError
from audio_classifier.guarded_file import AudioSource
from audio_classifier.http_schema import PredictParameters
from audio_classifier.selection import Selection
from audio_classifier.service import Service


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
        return {
            "status": "ok",
            "windows": [
                {
                    "start": window.start_s,
                    "end": window.end_s,
                    "predictions": list(map(asdict, window.predictions)),
                }
                for window in windows
            ],
        }
    selection = Selection(
        classifier.labels, top_k=parameters.top_k, threshold=parameters.threshold, labels=names
    )
    result = service.classify(source, selection, start_s=parameters.start_time)
    return {"status": "ok", "predictions": list(map(asdict, result.predictions))}
