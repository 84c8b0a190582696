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
def test_form_is_signed_with_version_4_in_every_region(monkeypatch: pytest.MonkeyPatch, region: str) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", region)
    form = s3_client().generate_presigned_post("bucket", "key")
    assert form["fields"]["x-amz-algorithm"] == "AWS4-HMAC-SHA256"
    assert "bucket." in form["url"]


def test_custom_endpoint_is_addressed_by_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://minio:9000")
    assert s3_client().generate_presigned_post("bucket", "key")["url"].startswith("http://minio:9000/bucket")
