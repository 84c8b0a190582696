from __future__ import annotations

from typing import Any

import pytest

from audio_classifier import AudioClassifier
from audio_classifier.constants import READER_VERSION
from audio_classifier.errors import UnreadableAudioError
from audio_classifier.inference.record import (
    classification_record,
    error_record,
    is_batch_result,
    is_result,
    model_record,
    result_identity,
)
from tests.support.sounds import busy, encode


def result(last_modified: str = "2025-01-01", **changes: Any) -> dict[str, Any]:
    return {
        "status": "ok",
        "source": {"key": "a.wav", "etag": "1", "last_modified": last_modified},
        "model": {"version": "1", "digest": "d"},
        "parameters": {"top_k": 5},
        **changes,
    }


def test_classification_record_has_predictions_and_header(classifier: AudioClassifier) -> None:
    content = encode(busy(2, 8_000, channels=2), 8_000)
    record = classification_record(classifier.classify(content, top_k=1))
    (prediction,) = classifier.predict(content, top_k=1)
    assert record == {
        "status": "ok",
        "predictions": [
            {
                "label_id": prediction.label_id,
                "label": prediction.label,
                "probability": pytest.approx(prediction.probability, abs=1e-5),
            }
        ],
        "audio": {
            "format": "WAV", "subtype": "PCM_16", "sample_rate_hz": 8_000, "channels": 2, "seconds": 2.0,
        },
    }  # fmt: skip


def test_error_record_is_the_error_body() -> None:
    assert error_record(UnreadableAudioError("not audio", hint="Use WAV.")) == {
        "status": "error", "code": "unreadable_audio", "message": "not audio", "hint": "Use WAV.",
    }  # fmt: skip


def test_model_record_identifies_the_bundle(classifier: AudioClassifier) -> None:
    bundle = classifier.bundle
    assert model_record(bundle) == {
        "bundle": "compact",
        "version": bundle.manifest.version,
        "digest": bundle.digest,
        "reader": READER_VERSION,
    }


@pytest.mark.parametrize(
    ("other", "equal"),
    [
        (result(last_modified="2026-01-01"), True),
        (result(status="error"), True),
        (result(model={"version": "2", "digest": "d"}), True),
        (result(model={"version": "1", "digest": "d", "reader": 2}), False),
        (result(model={"version": "1", "digest": "e"}), False),
        (result(parameters={"top_k": 1}), False),
        (result(parameters={"top_k": 5, "exclude": None}), True),
        (result(parameters={"top_k": 5, "exclude": ["/m/06mb1"]}), False),
        (result(source={"key": "a.wav", "etag": "2"}), False),
    ],
)
def test_result_identity_has_source_digest_and_parameters(other: dict[str, Any], equal: bool) -> None:
    assert (result_identity(other) == result_identity(result())) is equal


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, True),
        ({"error": "x"}, True),
        ({"status": 5}, False),
        ({"source": []}, False),
        ({"source": {"key": ["a.wav"]}}, False),
        ({"source": {"last_modified": 5}}, False),
        ({"model": "compact"}, False),
        ({"model": {"digest": {}}}, False),
        ({"status": "error", "message": {}}, False),
    ],
)
def test_is_result_checks_the_types_of_all_parts_that_are_read(
    changes: dict[str, Any], expected: bool
) -> None:
    assert is_result(result(**changes)) is expected


@pytest.mark.parametrize(
    "document",
    [
        None,
        5,
        "x",
        [],
        {},
        result(model={}),
        {"status": "ok", "source": {}, "model": {"digest": "d"}},
        result(parameters=["top_k"]),
        result(parameters=None),
    ],
)
def test_result_of_a_batch_has_a_digest_and_parameters(document: Any) -> None:
    assert is_batch_result(result())
    assert not is_batch_result(document)
