from __future__ import annotations

import pytest

from audio_classifier.errors import InvalidParameterError
from audio_classifier.s3.location import S3Location


@pytest.mark.parametrize(
    "uri", ["", "s3://", "s3://bucket", "s3://bucket/", "https://bucket/key", "bucket/key", None, 7, []]
)
def test_uri_without_bucket_or_key_is_refused(uri: object) -> None:
    with pytest.raises(InvalidParameterError, match="audio: "):
        S3Location.parse(uri)


def test_key_may_have_any_characters() -> None:
    assert S3Location.parse("s3://bucket/a b/c?d#e+%/ü") == S3Location("bucket", "a b/c?d#e+%/ü")


@pytest.mark.parametrize(
    ("bucket", "key", "version_id"),
    [("", "key", None), ("bucket", "", None), ("bucket", "\ud800", None), ("bucket", 7, None), ("b", "k", 7)],
)
def test_location_without_valid_text_is_refused(bucket: str, key: str, version_id: str | None) -> None:
    with pytest.raises(InvalidParameterError, match="is not the location of an object"):
        S3Location(bucket, key, version_id)


def test_text_of_a_location_is_its_uri() -> None:
    location = S3Location("bucket", "a b/ü", "v1")
    assert str(location) == "s3://bucket/a b/ü"
    assert S3Location.parse(str(location)) == S3Location("bucket", "a b/ü")


def test_text_of_a_location_is_printable_and_its_uri_is_exact() -> None:
    location = S3Location("bucket", "a\nERROR forged\x1b[2J\u202e")
    assert str(location) == "s3://bucket/a\\nERROR forged\\x1b[2J\\u202e"
    assert S3Location.parse(location.uri) == location


@pytest.mark.parametrize(("version_id", "version"), [(None, {}), ("v1", {"VersionId": "v1"})])
def test_arguments_are_those_of_boto3(version_id: str | None, version: dict[str, str]) -> None:
    location = S3Location("bucket", "key", version_id)
    assert location.arguments() == {"Bucket": "bucket", "Key": "key", **version}
