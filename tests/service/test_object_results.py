from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from audio_classifier.errors import TransferError
from audio_classifier.s3.json_documents import StoredDocument
from audio_classifier.s3.location import S3Location
from audio_classifier.service.object_access import ObjectAccess
from audio_classifier.service.object_results import (
    ObjectResults,
    Stored,
    Unchanged,
    error_message,
)
from audio_classifier.service.upload_states import Skipped
from audio_classifier.service.uploads import Uploads
from tests.service.deployment import SETTINGS, read_result, shared_with

RESULT = {"status": "ok", "source": {"key": "a.wav"}, "model": {"version": "1", "digest": "d"}}
# An error as version 0.1 stored it.
OLD_ERROR = (
    b'{"status": "error", "error": {"message": "damaged"}, "source": {"bucket": "uploads", "key": "a.wav", '
    b'"last_modified": "9999"}, "model": {"digest": "d"}}'
)
LOCATION = S3Location("results", "results/a.wav.json")


def results_with(**changes: Any) -> ObjectResults:
    settings = replace(SETTINGS, **changes)
    return ObjectResults(ObjectAccess(settings), settings)


@pytest.mark.parametrize(
    ("settings", "location"),
    [
        ({}, S3Location("results", "results/in/a.wav.json")),
        ({"results_bucket": None}, S3Location("uploads", "results/in/a.wav.json")),
        ({"results_prefix": "r/{bucket}/"}, S3Location("results", "r/uploads/in/a.wav.json")),
    ],
)
def test_location_follows_the_settings(settings: dict[str, Any], location: S3Location) -> None:
    assert results_with(**settings).location(S3Location("uploads", "in/a.wav")) == location


@pytest.mark.parametrize(
    ("settings", "location", "below"),
    [
        ({}, S3Location("results", "results/a.json"), True),
        ({}, S3Location("results", "other/a.json"), False),
        ({}, S3Location("uploads", "results/a.json"), False),
        ({"results_bucket": None}, S3Location("uploads", "results/a.json"), True),
        ({"results_bucket": None}, S3Location("uploads", "in/a.wav"), False),
        ({"results_prefix": "r/{bucket}/"}, S3Location("results", "r/any-bucket/a.json"), True),
        ({"results_prefix": "{bucket}/"}, S3Location("results", "results/a.json"), True),
        ({"results_prefix": "{bucket}/"}, S3Location("results", "a.json"), False),
    ],
)
def test_is_below_results_follows_the_settings(
    settings: dict[str, Any], location: S3Location, below: bool
) -> None:
    assert results_with(**settings).is_below_results(location) is below


def test_prefix_may_contain_the_bucket_of_the_object(buckets: Any, rain: bytes) -> None:
    buckets.create_bucket(Bucket="others")
    uploads = Uploads(shared_with(results_prefix="results/{bucket}/"))
    for bucket in ("uploads", "others"):
        buckets.put_object(Bucket=bucket, Key="a.wav", Body=rain)
        assert isinstance(uploads.process(S3Location(bucket, "a.wav")), Stored)
    for bucket in ("uploads", "others"):
        assert read_result(buckets, f"results/{bucket}/a.wav.json")["source"]["bucket"] == bucket
        assert uploads.process(S3Location("results", f"results/{bucket}/a.wav.json")) == Skipped()


@pytest.mark.parametrize(
    ("garbage", "content"),
    [
        (b"{ half", None),
        (b"[]", []),
        (b"5", 5),
        (b'{"source": null}', {"source": None}),
        (b'{"source": {"last_modified": 5}}', {"source": {"last_modified": 5}}),
        (OLD_ERROR, json.loads(OLD_ERROR)),
    ],
)
def test_object_that_is_not_a_result_is_replaced(
    buckets: Any, uploads: Uploads, rain: bytes, garbage: bytes, content: Any
) -> None:
    buckets.put_object(Bucket="uploads", Key="a.wav", Body=rain)
    put = buckets.put_object(Bucket="results", Key="results/a.wav.json", Body=garbage)
    assert uploads.results.find(LOCATION) == StoredDocument(content, put["ETag"])
    assert isinstance(uploads.process(S3Location("uploads", "a.wav")), Stored)
    assert read_result(buckets, "results/a.wav.json")["status"] == "ok"


def test_result_is_encrypted_with_the_configured_key(buckets: Any, rain: bytes) -> None:
    buckets.put_object(Bucket="uploads", Key="a.wav", Body=rain)
    Uploads(shared_with(results_kms_key="alias/results")).process(S3Location("uploads", "a.wav"))
    head = buckets.head_object(Bucket="results", Key="results/a.wav.json")
    assert head["ServerSideEncryption"] == "aws:kms"
    assert head["SSEKMSKeyId"] == "alias/results"


def test_final_result_that_was_stored_in_the_meantime_is_kept(buckets: Any) -> None:
    results = results_with()
    other = {**RESULT, "status": "error", "message": "damaged"}
    assert results.store(LOCATION, other, existing=None, is_final=lambda _: True) == Stored(
        LOCATION, "damaged"
    )
    outcome = results.store(LOCATION, RESULT, existing=None, is_final=lambda _: True)
    assert outcome == Unchanged(LOCATION, "damaged")
    assert read_result(buckets, LOCATION.key) == other


def test_result_that_is_not_final_is_replaced(buckets: Any) -> None:
    results = results_with()
    results.store(LOCATION, {**RESULT, "status": "error"}, existing=None, is_final=lambda _: True)
    outcome = results.store(LOCATION, RESULT, existing=None, is_final=lambda _: False)
    assert outcome == Stored(LOCATION, "")
    assert read_result(buckets, LOCATION.key) == RESULT


def test_result_that_others_keep_replacing_is_a_transfer_error(
    buckets: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("audio_classifier.s3.json_documents.write", lambda *_, **__: False)
    with pytest.raises(TransferError, match="other writers keep replacing it"):
        results_with().store(LOCATION, RESULT, existing=None, is_final=lambda _: True)


@pytest.mark.parametrize(
    ("outcome", "text"),
    [
        (Stored(LOCATION, ""), "stored s3://results/results/a.wav.json"),
        (Unchanged(LOCATION, "damaged"), "unchanged s3://results/results/a.wav.json: damaged"),
    ],
)
def test_text_of_an_outcome_has_state_location_and_error(outcome: Stored | Unchanged, text: str) -> None:
    assert str(outcome) == text


def test_error_message_is_empty_for_a_classification() -> None:
    assert error_message({"status": "error", "message": "damaged"}) == "damaged"
    assert error_message({"status": "ok", "message": "damaged"}) == ""
