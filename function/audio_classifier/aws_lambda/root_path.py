"""Find the root path of the application below API Gateway's stages and base paths."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import unquote

from starlette.types import ASGIApp, Receive, Scope, Send

DEFAULT_STAGE: Final = "$default"  # not part of any path


class RootPathMiddleware:
    """ASGI middleware that sets the root path, which Mangum leaves empty."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        root_path, route = split_path(scope["aws.event"])
        await self._app({**scope, "path": root_path + route, "root_path": root_path}, receive, send)


def split_path(event: Mapping[str, Any]) -> tuple[str, str]:
    """Split the path of an HTTP event into root path and route.

    The stage of a REST API is part of the whole path only, a custom domain's base path is part of all paths,
    and the stage of an HTTP API is part of its only path.  The matched route is the rest of the path.  For a
    catch-all route, only a leading stage is removed.
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
    """Return the matched route, such as ``/results/{id}``, with its values; empty if it matches all paths."""
    template: str = event.get("resource") or event.get("routeKey") or ""
    _, slash, route = template.partition("/")
    for name, value in (event.get("pathParameters") or {}).items():
        route = route.replace(f"{{{name}}}", value).replace(f"{{{name}+}}", value)
    return unquote(slash + route)
