"""Serve HTTP events with an ASGI application."""

from __future__ import annotations

import warnings
from typing import Any, Final, NoReturn

from mangum import Mangum
from starlette.types import ASGIApp, Receive, Scope, Send

from audio_classifier.aws_lambda.base64_text import decode_base64
from audio_classifier.aws_lambda.deadlines import remaining_s
from audio_classifier.aws_lambda.response_limit import HTTP_HINT, UPLOADS_HINT, LimitResponses
from audio_classifier.aws_lambda.root_path import RootPathMiddleware
from audio_classifier.errors import RequestError
from audio_classifier.service.cancellation import DEADLINE_KEY
from audio_classifier.service.log_context import REQUEST_ID_KEY

BODY_ERROR: Final = "audio_classifier.body_error"  # the key in an event for what is wrong with its body
HEALTH_CHECK: Final = {
    "version": "2.0",
    "rawPath": "/healthz",
    "rawQueryString": "",
    "headers": {},
    "requestContext": {"http": {"method": "GET", "path": "/healthz", "sourceIp": "127.0.0.1"}},
}


class InvocationMiddleware:
    """ASGI middleware that passes on what an invocation has: a request's ID, and the time that is left."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        event, context = scope["aws.event"], scope["aws.context"]
        # Load balancers have no request IDs.
        request_id = event["requestContext"].get("requestId") or getattr(context, "aws_request_id", None)
        values = {REQUEST_ID_KEY: request_id, DEADLINE_KEY: remaining_s(context)}
        known = {key: value for key, value in values.items() if value is not None}
        await self._app({**scope, **known}, receive, send)


class BodyErrorMiddleware:
    """ASGI middleware that raises `RequestError` when a body is read that could not be decoded."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        reason = scope["aws.event"].get(BODY_ERROR)
        await self._app(scope, receive if reason is None else _refuse(reason), send)


class HttpAdapter:
    """Calls the application with HTTP events of API Gateway, function URLs and load balancers.

    Parameters
    ----------
    has_uploads
        Whether clients can upload long recordings to S3.
    """

    def __init__(self, app: ASGIApp, *, has_uploads: bool = False) -> None:
        app = BodyErrorMiddleware(InvocationMiddleware(RootPathMiddleware(app)))
        app = LimitResponses(app, UPLOADS_HINT if has_uploads else HTTP_HINT)
        with warnings.catch_warnings():
            # Mangum asks for the thread's event loop; while there is none, Python 3.12 and later warn.
            warnings.simplefilter("ignore", DeprecationWarning)
            self._handler = Mangum(app, lifespan="off")

    def __call__(self, event: dict[str, Any], context: Any) -> Any:
        """Respond to an HTTP event."""
        return self._handler(_decoded(event), context)

    def warm_up(self) -> None:
        """Serve one request, because libraries import some of their modules only then."""
        response = self(HEALTH_CHECK, None)
        if response["statusCode"] != 200:
            raise RuntimeError(f"the HTTP application does not work: {response}")


def _decoded(event: dict[str, Any]) -> dict[str, Any]:
    """Decode the body, which takes Mangum longer than the classification if it is base64."""
    body = event.get("body") or ""
    try:
        if event.get("isBase64Encoded"):
            content = decode_base64(body)
        elif isinstance(body, str):
            content = body.encode(errors="replace")
        else:
            raise ValueError(f"it is {type(body).__name__} instead of text")
    except ValueError as error:
        return {**event, "body": b"", "isBase64Encoded": False, BODY_ERROR: str(error)}
    return {**event, "body": content, "isBase64Encoded": False}


def _refuse(reason: str) -> Receive:
    async def receive() -> NoReturn:
        raise RequestError(
            f"the body of the event cannot be decoded: {reason}",
            hint="isBase64Encoded must be true if the body is base64, otherwise false.",
        )

    return receive
