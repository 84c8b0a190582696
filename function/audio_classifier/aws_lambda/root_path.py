"""Where in an address the application begins, if API Gateway puts it below a stage or a base path."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import unquote

from starlette.types import ASGIApp, Receive, Scope, Send

DEFAULT_STAGE: Final = "$default"  # which no path names


class BelowGateway:
    """ASGI middleware that tells the application its root path, which Mangum leaves empty."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        root_path, route = split_path(scope["aws.event"])
        await self._app({**scope, "path": root_path + route, "root_path": root_path}, receive, send)


def split_path(event: Mapping[str, Any]) -> tuple[str, str]:
    """Root path and route, as an HTTP event has them.

    A REST API's stage stands in the whole path alone, a custom domain's base path in all paths, a stage of an
    HTTP API in its only one.  The route that matched says what comes after them; one that matches all does
    not, but there a stage's name may be recognised.
    """
    request = event["requestContext"]
    path = unquote(event.get("path") or event.get("rawPath") or "/")
    whole = unquote(request.get("path") or "") or path
    route = _matched_route(event)
    stage = request.get("stage", DEFAULT_STAGE)
    if not route and stage != DEFAULT_STAGE and f"{whole}/".startswith(f"/{stage}/"):
        route = whole.removeprefix(f"/{stage}") or "/"
    if route == "/":
        return whole.removesuffix("/"), route
    if route and whole.endswith(route):
        return whole.removesuffix(route), route
    return "", path


def _matched_route(event: Mapping[str, Any]) -> str:
    """As ``/results/{id}`` or ``/{proxy+}``, filled in; empty if it matches all."""
    template: str = event.get("resource") or event.get("routeKey") or ""
    _, slash, route = template.partition("/")
    for name, value in (event.get("pathParameters") or {}).items():
        route = route.replace(f"{{{name}}}", value).replace(f"{{{name}+}}", value)
    return unquote(slash + route)
