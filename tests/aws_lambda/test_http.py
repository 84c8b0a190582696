from __future__ import annotations

import base64
import json
import subprocess
import sys
from types import SimpleNamespace
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from audio_classifier.aws_lambda.http import HEALTH_CHECK, HttpAdapter
from audio_classifier.server.errors import add_error_handlers
from audio_classifier.service.log_context import REQUEST_ID_KEY
from tests.aws_lambda.http_events import http_event

BODY = bytes(range(256))


async def reverse(request: Request) -> Response:
    return Response((await request.body())[::-1], media_type="application/octet-stream")


def post_event(**fields: Any) -> dict[str, Any]:
    http = {"method": "POST", "path": "/reverse", "sourceIp": "::1"}
    context = {"http": http, "stage": "$default"}
    return {**HEALTH_CHECK, "rawPath": "/reverse", "requestContext": context, **fields}


@pytest.fixture
def adapter() -> HttpAdapter:
    return HttpAdapter(Starlette(routes=[Route("/reverse", reverse, methods=["POST"])]))


def test_first_adapter_of_a_process_causes_no_warning() -> None:
    # Python 3.12 and later warn if the event loop does not exist yet.
    script = "from audio_classifier.aws_lambda.http import HttpAdapter; HttpAdapter(None)"
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", script], capture_output=True, text=True, check=False
    )
    assert (run.returncode, run.stderr) == (0, "")


def test_base64_body_is_decoded(adapter: HttpAdapter) -> None:
    event = post_event(body=base64.b64encode(BODY).decode(), isBase64Encoded=True)
    response = adapter(event, None)
    assert response["statusCode"] == 200
    assert base64.b64decode(response["body"]) == BODY[::-1]


@pytest.mark.parametrize(
    ("fields", "body"),
    [({"body": "abc"}, b"cba"), ({}, b""), ({"body": None, "isBase64Encoded": True}, b"")],
)
def test_body_may_be_text_or_missing(adapter: HttpAdapter, fields: dict[str, Any], body: bytes) -> None:
    assert base64.b64decode(adapter(post_event(**fields), None)["body"]) == body


@pytest.mark.parametrize(
    ("body", "is_base64", "reason"),
    [("RIFF\0", True, "base64"), ("abc", True, ""), ({"a": 1}, True, "dict"), ([1], False, "list")],
)
def test_body_with_a_wrong_is_base64_encoded_is_refused(body: Any, is_base64: bool, reason: str) -> None:
    app = Starlette(routes=[Route("/reverse", reverse, methods=["POST"])])
    add_error_handlers(app)  # type: ignore[arg-type]  # FastAPI is a Starlette
    response = HttpAdapter(app)(post_event(body=body, isBase64Encoded=is_base64), None)
    assert response["statusCode"] == 400
    error = json.loads(response["body"])
    assert error["code"] == "request"
    assert reason in error["message"]
    assert "isBase64Encoded" in error["hint"]


async def name_request(request: Request) -> Response:
    return Response(request.scope.get(REQUEST_ID_KEY, "none"), media_type="text/plain")


@pytest.mark.parametrize(
    ("kind", "request_id"),
    [("http_api", "of the API"), ("rest_api", "of the API"), ("load_balancer", "of the invocation")],
)
def test_request_has_the_id_of_the_api_otherwise_of_the_invocation(kind: str, request_id: str) -> None:
    event = http_event(kind, "GET", "/name", body=None, isBase64Encoded=False)
    if kind != "load_balancer":
        event["requestContext"]["requestId"] = "of the API"
    app = Starlette(routes=[Route("/name", name_request)])
    context = SimpleNamespace(aws_request_id="of the invocation", get_remaining_time_in_millis=lambda: 9000)
    assert HttpAdapter(app)(event, context)["body"] == request_id


def test_health_check_without_a_context_has_no_id() -> None:
    event = {
        **post_event(),
        "rawPath": "/name",
        "requestContext": {"http": {"method": "GET", "path": "/name", "sourceIp": "::1"}},
    }
    assert HttpAdapter(Starlette(routes=[Route("/name", name_request)]))(event, None)["body"] == "none"


def test_text_that_is_not_unicode_is_passed_on(adapter: HttpAdapter) -> None:
    assert base64.b64decode(adapter(post_event(body="\ud800"), None)["body"]) == b"?"


def test_warm_up_of_an_application_that_does_not_work_fails(adapter: HttpAdapter) -> None:
    with pytest.raises(RuntimeError, match="404"):
        adapter.warm_up()
