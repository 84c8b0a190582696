from __future__ import annotations

import base64
import contextlib
import http.client
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from unittest.mock import Mock
from urllib.parse import urlsplit

import anyio
import pytest
import requests
from starlette.requests import Request
from starlette.types import Message

from audio_classifier.server.body import CURL_TYPE, UploadedAudio, audio_request
from audio_classifier.server.spool import SPOOL_BYTES, Spool
from audio_classifier.service.object_access import ObjectAccess
from audio_classifier.service.settings import Settings
from tests.server.client import PREDICT, check_error, labels_of, post
from tests.server.deployment import BUCKETS
from tests.support.serving import serving
from tests.support.sounds import busy, encode


def test_audio_may_be_the_whole_body_or_a_field_of_a_form(url: str, assets: Path) -> None:
    content = (assets / "rain.wav").read_bytes()
    responses = [
        post(url, content, media_type).json()
        for media_type in ("audio/wav", "application/octet-stream", None, CURL_TYPE)
    ]
    with (assets / "rain.wav").open("rb") as file:
        responses.append(requests.post(url + PREDICT, files={"audio": file}, timeout=30).json())
    chunks = (content[i : i + 10_000] for i in range(0, len(content), 10_000))
    responses.append(post(url, chunks).json())
    assert responses == [responses[0]] * 6
    assert responses[0]["status"] == "ok"


@pytest.mark.parametrize(("duration_s", "temporary_files"), [(10, 0), (30, 1)])
def test_only_long_recordings_are_written_to_temporary_files(
    url: str, monkeypatch: pytest.MonkeyPatch, duration_s: float, temporary_files: int
) -> None:
    create_file = Mock(wraps=tempfile.TemporaryFile)
    monkeypatch.setattr("tempfile.TemporaryFile", create_file)
    content = encode(busy(duration_s, 44_100, channels=2), 44_100)
    form_response = requests.post(url + PREDICT, files={"audio": content}, timeout=30).json()
    assert create_file.call_count == temporary_files
    assert post(url, content).json() == form_response
    assert create_file.call_count == 2 * temporary_files


def test_body_that_was_decoded_as_text_is_explained(url: str, assets: Path) -> None:
    decoded = (assets / "rain.wav").read_bytes().decode(errors="replace").encode()[4:]
    assert "binary media types" in check_error(post(url, decoded), 400, "not a readable audio file")
    assert "FLAC" in check_error(post(url, b"something else"), 400, "not a readable audio file")


@pytest.mark.parametrize("media_type", [None, "application/octet-stream", "audio/wav"])
@pytest.mark.parametrize(
    ("body", "hint"),
    [
        (b'--b\r\nContent-Disposition: form-data; name="audio"\r\n\r\n', "multipart/form-data"),
        (b'{"audio": "s3://bucket/key"}', "application/json"),
        (b"s3://bucket/key", '{"audio": "s3://bucket/key"}'),
        (base64.b64encode(b"RIFF\0\0\0\0WAVEfmt " + bytes(100)), "isBase64Encoded"),
    ],
)
def test_other_body_that_is_sent_as_audio_is_explained(
    url: str, media_type: str | None, body: bytes, hint: str
) -> None:
    assert hint in check_error(post(url, body, media_type), 400, "not a readable audio file")


@pytest.mark.parametrize("media_type", ["application/x-www-form-urlencoded", "text/plain", "application/xml"])
def test_body_of_an_unsupported_type_is_refused(url: str, media_type: str) -> None:
    assert "multipart/form-data" in check_error(post(url, b"a=b", media_type), 415, media_type)


def test_body_without_audio_is_refused(url: str) -> None:
    check_error(post(url, b""), 422, "audio: ")
    check_error(requests.post(url + PREDICT, files={"other": b"x"}, timeout=5), 422, "audio: ")
    form = requests.Request("POST", url + PREDICT, files={"x": (None, "y")}).prepare()
    check_error(requests.Session().send(form), 422, "audio: ")


def test_invalid_multipart_body_is_explained(url: str) -> None:
    hint = check_error(post(url, b"nonsense", "multipart/form-data; boundary=b"), 400, "multipart")
    assert "gateway" in hint
    check_error(post(url, b"nonsense", "multipart/form-data"), 400, "multipart")


def test_invalid_json_is_refused(url: str) -> None:
    deep = "[" * 100_000 + "]" * 100_000
    check_error(post(url, f'{{"audio": {deep}}}'.encode(), "application/json"), 400, "not JSON")
    check_error(post(url, b'{"audio": "' + b"x" * 300_000 + b'"}', "application/json"), 413, "262144 bytes")
    check_error(
        post(url, b'{"audio": "s3://bucket/\\ud800"}', "application/json"),
        422,
        "not the location of an object",
    )


def test_long_form_field_is_refused(url: str) -> None:
    response = requests.post(url + PREDICT, files={"audio": b"x"}, data={"filter": "a," * 100_000}, timeout=5)
    check_error(response, 422, "filter: ")


def test_body_is_refused_when_larger_than_the_limit() -> None:
    with serving(max_upload_bytes=100_000) as (url, _):
        assert post(url, encode(busy(2, 16_000), 16_000)).status_code == 200
        too_large = encode(busy(10, 16_000), 16_000)
        assert "FLAC" in check_error(post(url, too_large), 413, "100000 bytes")
        check_error(requests.post(url + PREDICT, files={"audio": too_large}, timeout=5), 413, "100000 bytes")


def test_chunked_body_is_refused_when_it_exceeds_the_limit() -> None:
    with (
        serving(max_upload_bytes=100_000) as (url, _),
        contextlib.closing(http.client.HTTPConnection(urlsplit(url).netloc, timeout=5)) as connection,
    ):
        connection.putrequest("POST", PREDICT)
        connection.putheader("Content-Type", "audio/wav")
        connection.putheader("Transfer-Encoding", "chunked")
        connection.endheaders()
        connection.send(b"%x\r\n" % 200_000 + bytes(200_000) + b"\r\n")  # and no last chunk
        assert connection.getresponse().status == 413


@pytest.mark.usefixtures("s3")
def test_hint_for_a_large_body_names_the_route_of_uploads(rain: bytes) -> None:
    with serving(**BUCKETS, max_upload_bytes=1000) as (url, _):
        response = requests.post(url + PREDICT, files={"audio": rain}, timeout=5)
    assert response.status_code == 413
    assert "POST /uploads" in response.json()["hint"]


def test_json_body_may_name_an_object_of_an_allowed_bucket(
    url_with_buckets: str, s3: Any, rain: bytes
) -> None:
    s3.put_object(Bucket="shared", Key="in/a b.wav", Body=rain)
    response = requests.post(
        url_with_buckets + PREDICT, json={"audio": "s3://shared/in/a b.wav", "top_k": 2}, timeout=10
    )
    assert response.status_code == 200
    assert len(labels_of(response.json())) == 2


@pytest.mark.parametrize(
    ("body", "status", "message"),
    [
        ({"audio": "s3://private/a.wav"}, 422, "'private' may not be read"),
        ({"audio": "s3://shared/gone.wav"}, 422, "does not exist"),
        ({"audio": "http://169.254.169.254/latest"}, 422, "is not s3://bucket/key"),
        ({"audio": "/etc/passwd"}, 422, "is not s3://bucket/key"),
        ({}, 422, "is not s3://bucket/key"),
        ([], 400, "not an object"),
        ({"audio": "s3://shared/a", "top_k": 0}, 422, "top_k"),
    ],
)
def test_json_body_that_names_no_allowed_object_is_refused(
    url_with_buckets: str, body: Any, status: int, message: str
) -> None:
    response = requests.post(url_with_buckets + PREDICT, json=body, timeout=5)
    assert response.status_code == status
    assert message in response.json()["message"]


def test_file_of_a_form_is_closed_when_its_request_is_cancelled() -> None:
    content = bytes(2 * SPOOL_BYTES)  # closing a temporary file awaits a thread
    head = b'--x\r\nContent-Disposition: form-data; name="audio"; filename="a.wav"\r\n\r\n'
    body = head + content + b"\r\n--x--\r\n"
    headers = [(b"content-type", b"multipart/form-data; boundary=x")]

    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    async def is_closed_after_cancellation() -> bool:
        with anyio.CancelScope() as scope:
            request = Request({"type": "http", "headers": headers}, receive)
            access = ObjectAccess(Settings.from_environment({}))
            async with audio_request(request, access, Spool(1, 3 * SPOOL_BYTES)) as audio:
                scope.cancel()
                await anyio.lowlevel.checkpoint()
        assert isinstance(audio, UploadedAudio)
        return audio.file.closed

    with ThreadPoolExecutor(1) as pool:  # because Mangum leaves an event loop in the main thread
        assert pool.submit(anyio.run, is_closed_after_cancellation).result()
