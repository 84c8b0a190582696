"""What is stored of a sound that was classified, wherever results are kept."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, Final, TypeAlias

from audio_classifier.errors import AudioClassifierError
from audio_classifier.inference.clip import Classification
from audio_classifier.model.bundle import Bundle
from audio_classifier.s3.objects import S3File

Result: TypeAlias = dict[str, Any]

WRITTEN_BY: Final = "audio-classifier"  # user metadata of every result: such objects are never classified
LOST_RACE: Final = (409, 412)  # what S3 answers to a write on a condition if something stands there


def answer_of(classification: Classification) -> dict[str, Any]:
    """What is heard, and what the audio is."""
    audio = classification.audio
    return {
        "status": "ok",
        "predictions": [asdict(prediction) for prediction in classification.predictions],
        "audio": {
            "format": audio.format,
            "subtype": audio.subtype,
            "sample_rate_hz": audio.sample_rate_hz,
            "channels": audio.channels,
            "seconds": audio.duration_s,
        },
    }


def failure_of(error: AudioClassifierError) -> dict[str, Any]:
    """Why nothing can be heard."""
    return {"status": "error", "error": {"code": error.code, "message": str(error), "hint": error.hint}}


def model_of(bundle: Bundle) -> dict[str, Any]:
    """Which model it was."""
    return {"bundle": bundle.manifest.name, "version": bundle.manifest.version, "digest": bundle.digest}


def source_of(file: S3File) -> dict[str, Any]:
    """Which object it was, in which state."""
    return {
        "bucket": file.ref.bucket,
        "key": file.ref.key,
        "version_id": file.version_id,
        "etag": file.etag,
        "size": file.size,
        "last_modified": file.last_modified.isoformat(),
    }


def identity_of(result: Result) -> dict[str, Any]:
    """What a result is of: the same answer would come of it again."""
    source = {name: value for name, value in result["source"].items() if name != "last_modified"}
    return {
        "source": source,
        "digest": result["model"]["digest"],
        "parameters": result["parameters"],
    }
