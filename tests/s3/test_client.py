from __future__ import annotations

import pytest

from audio_classifier.s3.client import s3_client


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")


@pytest.mark.parametrize("region", ["us-east-1", "eu-central-1"])
def test_forms_are_signed_for_every_region(monkeypatch: pytest.MonkeyPatch, region: str) -> None:
    """By signature version 4, as encryption with a key demands."""
    monkeypatch.setenv("AWS_DEFAULT_REGION", region)
    form = s3_client().generate_presigned_post("bucket", "key")
    assert form["fields"]["x-amz-algorithm"] == "AWS4-HMAC-SHA256"
    assert "bucket." in form["url"]


def test_an_endpoint_of_ones_own_keeps_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://minio:9000")
    assert s3_client().generate_presigned_post("bucket", "key")["url"].startswith("http://minio:9000/bucket")
