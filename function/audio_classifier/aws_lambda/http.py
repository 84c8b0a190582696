"""Serve HTTP events with an ASGI application."""

from __future__ import annotations

from typing import Any, Final

import pybase64
from mangum import Mangum
from starlette.types import ASGIApp, Receive, Scope, Send

from audio_classifier.aws_lambda.deadlines import remaining_s
from audio_classifier.aws_lambda.root_path import RootPathMiddleware
from audio_classifier.service.cancellation import DEADLINE_KEY

HEALTH_CHECK: Final = {
    "version": "2.0",
    "rawPath": "/healthz",
    "rawQueryString": "",
    "headers": {},
    "requestContext": {"http": {"method": "GET", "path": "/healthz", "sourceIp": "127.0.0.1"}},
}


class DeadlineMiddleware:
    """ASGI middleware that limits the deadlines of requests to the time that the function has left."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        limit_s = remaining_s(scope["aws.context"])
        await self._app(scope if limit_s is None else {**scope, DEADLINE_KEY: limit_s}, receive, send)


class HttpAdapter:
    """Calls the application with HTTP events of API Gateway, function URLs and load balancers."""

    def __init__(self, app: ASGIApp) -> None:
        self._handler = Mangum(DeadlineMiddleware(RootPathMiddleware(app)), lifespan="off")

    def __call__(self, event: dict[str, Any], context: Any) -> Any:
        """Respond to an HTTP event."""
        return self._handler(_decoded(event), context)

    def warm_up(self) -> None:
        """Serve one request, because libraries import some of their modules only then."""
        response = self(HEALTH_CHECK, None)
        if response["statusCode"] != 200:
            raise RuntimeError(f"the HTTP application does not work: {response}")


def _decoded(event: dict[str, Any]) -> dict[str, Any]:
    """Decode a base64 body, which takes Mangum longer than the classification."""
    if not event.get("isBase64Encoded"):
        return event
    return {**event, "body": pybase64.b64decode(event.get("body") or b""), "isBase64Encoded": False}
