from __future__ import annotations

import socket

import pytest

from audio_classifier.errors import TransferError
from audio_classifier.s3 import client
from audio_classifier.s3.client import s3_client
from audio_classifier.s3.errors import s3_errors


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


def test_call_fails_after_three_attempts_when_the_endpoint_does_not_respond(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("audio_classifier.s3.client.READ_TIMEOUT_S", 0.1)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{silent.getsockname()[1]}")
        with pytest.raises(TransferError, match="timeout"), s3_errors("s3://bucket/key"):
            s3_client().head_object(Bucket="bucket", Key="key")
        silent.setblocking(False)
        for _ in range(3):
            silent.accept()[0].close()
        with pytest.raises(BlockingIOError):
            silent.accept()


def test_call_takes_less_time_than_the_shortest_function() -> None:
    pauses_s = sum(2**attempt for attempt in range(client.ATTEMPTS - 1))
    worst_case_s = client.ATTEMPTS * (client.CONNECT_TIMEOUT_S + client.READ_TIMEOUT_S) + pauses_s
    assert worst_case_s == 24  # the API function has 28 s
