"""The parts of a stored result, wherever results are stored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, Final, Literal, TypeAlias, TypeGuard

from audio_classifier.audio.info import AudioInfo
from audio_classifier.audio.warnings import AudioWarning
from audio_classifier.constants import READER_VERSION
from audio_classifier.errors import AudioClassifierError, ProcessingFailedError, describe_error
from audio_classifier.inference.clip import Classification
from audio_classifier.inference.thresholds import Thresholds
from audio_classifier.model.bundle import Bundle

Result: TypeAlias = dict[str, Any]
Status: TypeAlias = Literal["ok", "error"]

WRITTEN_BY: Final = "audio-classifier"  # user metadata of every stored result


def classification_record(classification: Classification) -> dict[str, Any]:
    """Describe the predictions and the audio file."""
    return {
        "status": "ok",
        "predictions": [asdict(prediction) for prediction in classification.predictions],
        **warnings_record(classification.warnings),
        "audio": audio_record(classification.audio),
    }


def audio_record(audio: AudioInfo) -> dict[str, Any]:
    """Describe an audio file by its header."""
    return {
        "format": audio.format,
        "subtype": audio.subtype,
        "sample_rate_hz": audio.sample_rate_hz,
        "channels": audio.channels,
        "seconds": audio.duration_s,
    }


def warnings_record(found: Sequence[AudioWarning]) -> dict[str, Any]:
    """Return ``{"warnings": [...]}``, or nothing if there are none."""
    return {"warnings": [warning.to_dict() for warning in found]} if found else {}


def error_record(error: AudioClassifierError) -> dict[str, Any]:
    """Describe a permanent failure."""
    return dict(describe_error(error))


def model_record(bundle: Bundle, thresholds: Thresholds | None = None) -> dict[str, Any]:
    """Identify the model, its thresholds of single classes, and the version of the reader of recordings."""
    return {
        "bundle": bundle.manifest.name,
        "version": bundle.manifest.version,
        "digest": bundle.digest,
        "reader": READER_VERSION,
        **({"thresholds": thresholds.digest} if thresholds else {}),
    }


def is_result(document: Any) -> bool:
    """Return whether a JSON document is a stored result: what this package reads of it has the right type."""
    if not isinstance(document, dict) or document.get("status") not in ("ok", "error"):
        return False
    if not isinstance(document.get("message", ""), str):
        return False
    source, model = document.get("source"), document.get("model")
    return _is_flat(source) and _is_flat(model) and isinstance(source.get("last_modified", ""), str)


def is_provisional(result: Result) -> bool:
    """Return whether a stored result only reports failed attempts, so that a later one replaces it."""
    return result.get("code") == ProcessingFailedError.code


def is_batch_result(document: Any) -> bool:
    """Return whether a JSON document is a stored result of a batch, which `result_identity` accepts."""
    return (
        is_result(document) and "digest" in document["model"] and isinstance(document.get("parameters"), dict)
    )


def result_status(result: Result) -> Status:
    """Return whether a result has predictions or the error of a permanent failure."""
    return "ok" if result["status"] == "ok" else "error"


def result_identity(result: Result) -> dict[str, Any]:
    """Return the inputs of a result: two results with equal inputs are equal.

    Parameters that are None have their defaults, like those that the version which wrote the result lacked.
    """
    source = {name: value for name, value in result["source"].items() if name != "last_modified"}
    return {
        "source": source,
        "digest": result["model"]["digest"],
        "reader": result["model"].get("reader", 1),
        "thresholds": result["model"].get("thresholds"),
        "parameters": {name: value for name, value in result["parameters"].items() if value is not None},
    }


def _is_flat(value: Any) -> TypeGuard[dict[str, Any]]:
    """Return whether a JSON value is an object without objects or arrays in it."""
    return isinstance(value, dict) and not any(isinstance(item, dict | list) for item in value.values())
