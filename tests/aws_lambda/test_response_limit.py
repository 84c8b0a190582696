from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from audio_classifier.aws_lambda.http import HttpAdapter
from audio_classifier.aws_lambda.response_limit import returned_bytes
from audio_classifier.aws_lambda.response_size import (
    ENVELOPE_BYTES,
    LOAD_BALANCER_MAX_BYTES,
    MAX_BYTES,
    require_fitting_items,
)
from audio_classifier.errors import ResponseTooLargeError
from audio_classifier.server.request_id import RequestIds
from tests.aws_lambda.http_events import http_event

ORIGIN = "https://page.example"
LIMITS = {
    "http_api": MAX_BYTES,
    "function_url": MAX_BYTES,
    "rest_api": MAX_BYTES,
    "load_balancer": LOAD_BALANCER_MAX_BYTES,
}
# The media type of a body, a character, and how many bytes it takes in the JSON that is returned.
BODIES = [
    ("application/json", b"a", 1),
    ("application/json", b'"', 2),
    ("application/octet-stream", b"a", 4 / 3),
]


def adapter(body: bytes, media_type: str = "application/json", **options: Any) -> HttpAdapter:
    """Return an adapter of an application whose responses have this body."""

    async def answer(_: Request) -> Response:
        return Response(body, media_type=media_type, headers={"ETag": '"1"', "Content-Language": "en"})

    routes = [Route(path, answer) for path in ("/long", "/results/1")]
    cors = Middleware(CORSMiddleware, allow_origins=[ORIGIN])
    return HttpAdapter(Starlette(routes=routes, middleware=[Middleware(RequestIds), cors]), **options)


def get_event(kind: str, path: str = "/long") -> dict[str, Any]:
    event = http_event(kind, "GET", path, body=None, isBase64Encoded=False)
    headers = {**event["headers"], "origin": ORIGIN}
    lists = {"multiValueHeaders": {name: [value] for name, value in headers.items()}}
    return {**event, "headers": headers, **(lists if "multiValueHeaders" in event else {})}


def headers_of(response: dict[str, Any]) -> dict[str, str]:
    lists = response.get("multiValueHeaders") or {}
    single: dict[str, str] = response.get("headers") or {}
    return single | {name: ",".join(values) for name, values in lists.items()}


@pytest.mark.parametrize(("media_type", "character", "expansion"), BODIES)
@pytest.mark.parametrize("kind", LIMITS)
def test_response_at_the_limit_is_returned_and_fits(
    kind: str, media_type: str, character: bytes, expansion: float
) -> None:
    body = character * int((LIMITS[kind] - ENVELOPE_BYTES - 2) / expansion)
    response = adapter(body, media_type)(get_event(kind), None)
    assert response["statusCode"] == 200
    returned = (
        base64.b64decode(response["body"]) if response["isBase64Encoded"] else response["body"].encode()
    )
    assert returned == body
    assert LIMITS[kind] - 2 * ENVELOPE_BYTES < len(json.dumps(response)) <= LIMITS[kind]


@pytest.mark.parametrize(("media_type", "character", "expansion"), BODIES)
@pytest.mark.parametrize("kind", LIMITS)
def test_response_beyond_the_limit_is_answered_by_413(
    kind: str, media_type: str, character: bytes, expansion: float
) -> None:
    body = character * int((LIMITS[kind] - ENVELOPE_BYTES + 3) / expansion)
    response = adapter(body, media_type)(get_event(kind), None)
    assert response["statusCode"] == 413
    error = json.loads(response["body"])
    assert error.keys() == {"status", "code", "message", "hint"}
    assert (error["status"], error["code"]) == ("error", "response_too_large")
    assert str(LIMITS[kind] - ENVELOPE_BYTES) in error["message"]
    assert "top_k" in error["hint"]
    assert "/uploads" not in error["hint"]


@pytest.mark.parametrize("kind", LIMITS)
def test_error_keeps_the_headers_that_do_not_describe_the_body(kind: str) -> None:
    response = adapter(bytes(MAX_BYTES))(get_event(kind), None)
    headers = headers_of(response)
    assert headers["access-control-allow-origin"] == ORIGIN
    assert headers["x-request-id"]
    assert headers["content-language"] == "en"
    assert headers["content-type"] == "application/json"
    assert headers["content-length"] == str(len(response["body"]))
    assert "etag" not in headers


def test_hint_names_uploads_if_there_are_any_and_s3_for_results() -> None:
    refuse = adapter(bytes(MAX_BYTES), has_uploads=True)
    assert "POST /uploads" in json.loads(refuse(get_event("http_api"), None)["body"])["hint"]
    hint = json.loads(refuse(get_event("http_api", "/results/1"), None)["body"])["hint"]
    assert "bucket of results" in hint


@pytest.mark.timeout(30)
def test_stream_is_stopped_when_it_is_too_large() -> None:
    sent = 0
    stopped: list[bool] = []

    async def lines() -> AsyncIterator[bytes]:
        nonlocal sent
        while True:
            sent += 1
            yield bytes(1 << 20)

    async def stream(_: Request) -> Response:
        return StreamingResponse(lines(), media_type="application/x-ndjson")

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await Starlette(routes=[Route("/long", stream)])(scope, receive, send)
        stopped.append(True)

    response = HttpAdapter(app)(get_event("http_api"), None)
    assert response["statusCode"] == 413
    assert "JSON lines" in json.loads(response["body"])["hint"]
    assert stopped
    assert sent <= 8


@pytest.mark.parametrize("text", ["plain", '"\\\n\0\x7f', "é漢\U0001f600"])
def test_size_of_text_is_that_of_its_json(text: str) -> None:
    headers = [(b"content-type", b"application/json")]
    assert returned_bytes(text.encode(), headers) == len(json.dumps(text))


@pytest.mark.parametrize("size", [1, 2, 3, 4])
def test_size_of_bytes_is_that_of_their_base64(size: int) -> None:
    body = b"\xff" * size
    for headers in ([(b"content-type", b"application/json")], []):
        assert returned_bytes(body, headers) == len(base64.b64encode(body))


def test_items_of_a_direct_response_must_fit() -> None:
    window = {"text": "a" * 1000}
    fitting = {"status": "ok", "windows": [window] * 6150}
    require_fitting_items(fitting)
    assert MAX_BYTES - 5 * ENVELOPE_BYTES < len(json.dumps(fitting)) <= MAX_BYTES
    with pytest.raises(ResponseTooLargeError) as caught:
        require_fitting_items({"status": "ok", "windows": [window] * 6200})
    assert "top_k" in caught.value.hint
