from __future__ import annotations

from dataclasses import replace
from typing import Any
from unittest.mock import Mock

import pytest

from audio_classifier.errors import (
    AccessDeniedError,
    InvalidParameterError,
    ObjectTooLargeError,
    TransferError,
)
from audio_classifier.s3.location import S3Location
from audio_classifier.service.object_access import ObjectAccess
from audio_classifier.service.settings import Settings


def access_with(**changes: Any) -> ObjectAccess:
    return ObjectAccess(replace(Settings.from_environment({}), **changes))


@pytest.mark.usefixtures("s3")
def test_client_is_kept_until_it_is_discarded() -> None:
    access = access_with()
    first = access.client()
    assert access.client() is first
    access.discard_client()
    second = access.client()
    assert second is not first
    assert access.client() is second


@pytest.mark.parametrize("settings", [{"read_buckets": ("uploads",)}, {"uploads_bucket": "uploads"}])
def test_object_of_an_allowed_bucket_is_opened(buckets: Any, settings: dict[str, Any]) -> None:
    buckets.put_object(Bucket="uploads", Key="a b.wav", Body=b"some")
    assert access_with(**settings).open_allowed("s3://uploads/a b.wav").read() == b"some"


def test_object_that_the_deployment_may_not_read_is_an_invalid_parameter(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    access, denied = access_with(uploads_bucket="uploads"), AccessDeniedError("access requires s3:GetObject")
    monkeypatch.setattr(access, "open", Mock(side_effect=denied))
    with pytest.raises(InvalidParameterError, match="audio: access requires s3:GetObject") as caught:
        access.open_allowed("s3://uploads/private.wav")
    assert caught.value.hint == denied.hint


@pytest.mark.parametrize("uri", ["s3://private/a.wav", "s3://results/a.wav"])
def test_object_of_another_bucket_is_refused_before_s3_is_asked(
    uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    access = access_with(read_buckets=("uploads",), results_bucket="results")
    monkeypatch.setattr(access, "client", lambda: pytest.fail("S3 was asked"))
    with pytest.raises(InvalidParameterError, match="may not be read") as caught:
        access.open_allowed(uri)
    assert "AUDIO_CLASSIFIER_READ_BUCKETS" in caught.value.hint


def test_no_bucket_is_allowed_by_default() -> None:
    with pytest.raises(InvalidParameterError, match="may not be read"):
        access_with().open_allowed("s3://uploads/a.wav")


@pytest.mark.usefixtures("buckets")
def test_missing_object_is_an_invalid_parameter() -> None:
    with pytest.raises(InvalidParameterError, match=r"audio: s3://uploads/gone\.wav does not exist"):
        access_with(read_buckets=("uploads",)).open_allowed("s3://uploads/gone.wav")


def test_object_larger_than_the_limit_is_refused(buckets: Any) -> None:
    access = access_with(read_buckets=("uploads",), max_object_bytes=3)
    buckets.put_object(Bucket="uploads", Key="a.wav", Body=b"123")
    assert access.open_allowed("s3://uploads/a.wav").size == 3
    buckets.put_object(Bucket="uploads", Key="a.wav", Body=b"1234")
    with pytest.raises(ObjectTooLargeError, match="at most 3 bytes, got 4"):
        access.open_allowed("s3://uploads/a.wav")


def test_exists_reports_whether_there_is_such_an_object(buckets: Any) -> None:
    access = access_with()
    assert not access.exists(S3Location("uploads", "a.wav"))
    buckets.put_object(Bucket="uploads", Key="a.wav", Body=b"")
    assert access.exists(S3Location("uploads", "a.wav"))


@pytest.mark.usefixtures("s3")
def test_exists_raises_if_s3_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    monkeypatch.setattr("audio_classifier.s3.client.ATTEMPTS", 1)
    with pytest.raises(TransferError):
        access_with().exists(S3Location("uploads", "a.wav"))
