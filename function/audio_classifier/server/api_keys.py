"""Require an API key of all requests, apart from those to pages, documents and health checks."""

from __future__ import annotations

import hmac
from collections.abc import Iterable, Iterator
from hashlib import sha256
from typing import Any, Final

from fastapi import FastAPI
from starlette.types import ASGIApp, Receive, Scope, Send

from audio_classifier.errors import UnauthorizedError
from audio_classifier.server.errors import error_response
from audio_classifier.server.schemas import ErrorResponse

HEADER: Final = "X-Api-Key"
OPEN_PATHS: Final = frozenset({"/", "/demo", "/healthz", "/openapi.json", "/readyz", "/swagger.json"})
OPEN_FOLDERS: Final = ("/demo/", "/static/")
SECURITY_SCHEMES: Final = {
    "ApiKey": {"type": "apiKey", "in": "header", "name": HEADER},
    "Bearer": {"type": "http", "scheme": "bearer"},
}


class RequireApiKey:
    """ASGI middleware that answers 401 to requests without one of the keys, before their body is read.

    Routes need a key unless they are listed in this module, and so do paths that do not exist.
    """

    def __init__(self, app: ASGIApp, keys: Iterable[str]) -> None:
        self._app = app
        self._digests = [_digest(key.encode()) for key in keys]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan" or is_open(_route_path(scope)) or self._has_key(scope):
            await self._app(scope, receive, send)
            return
        response = error_response(UnauthorizedError("the request has no valid API key"))
        await response(scope, receive, send)

    def _has_key(self, scope: Scope) -> bool:
        """Compare in a time that depends neither on the keys nor on which of them is right."""
        matches = [
            hmac.compare_digest(_digest(sent), digest)
            for sent in _sent_keys(scope)
            for digest in self._digests
        ]
        return any(matches)


def is_open(path: str) -> bool:
    """Return whether a route needs no key."""
    return path in OPEN_PATHS or path.startswith(OPEN_FOLDERS)


def document_api_keys(app: FastAPI) -> None:
    """Describe the keys in the OpenAPI document, so that Swagger UI asks for one."""
    describe = app.openapi
    unauthorized = {
        "description": "the request has no valid API key",
        "content": {
            "application/json": {"schema": {"$ref": f"#/components/schemas/{ErrorResponse.__name__}"}}
        },
    }

    def describe_with_keys() -> dict[str, Any]:
        document = describe()
        document["components"]["securitySchemes"] = SECURITY_SCHEMES
        for path, operations in document["paths"].items():
            for operation in () if is_open(path) else operations.values():
                operation["security"] = [{name: []} for name in SECURITY_SCHEMES]
                operation["responses"]["401"] = unauthorized
        return document

    app.openapi = describe_with_keys  # type: ignore[method-assign]  # as FastAPI documents


def _sent_keys(scope: Scope) -> Iterator[bytes]:
    for name, value in scope["headers"]:
        if name == HEADER.lower().encode():
            yield value
        elif name == b"authorization":
            scheme, _, token = value.partition(b" ")
            if scheme.lower() == b"bearer":
                yield token.strip()


def _route_path(scope: Scope) -> str:
    path: str = scope["path"]
    return path.removeprefix(scope.get("root_path", ""))


def _digest(key: bytes) -> bytes:
    """Hash a key, because keys of different lengths cannot be compared in constant time."""
    return sha256(key).digest()
