"""Serve HTTP events with an ASGI application."""

from __future__ import annotations

from typing import Any, Final

import pybase64
from mangum import Mangum
from starlette.types import ASGIApp

from audio_classifier.aws_lambda.root_path import RootPathMiddleware

HEALTH_CHECK: Final = {
    "version": "2.0",
    "rawPath": "/healthz",
    "rawQueryString": "",
    "headers": {},
    "requestContext": {"http": {"method": "GET", "path": "/healthz", "sourceIp": "127.0.0.1"}},
}


class HttpAdapter:
    """Calls the application with HTTP events of API Gateway, function URLs and load balancers."""

    def __init__(self, app: ASGIApp) -> None:
        self._handler = Mangum(RootPathMiddleware(app), lifespan="off")

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
