"""Serve HEAD where GET is served, and the routes of the API with a slash at their end."""

from __future__ import annotations

from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

# The pages are not included, because their links are relative.
API_FOLDERS: Final = ("/model/", "/uploads/", "/results/", "/events/", "/healthz/", "/readyz/", "/metrics/")


class HeadAsGet:
    """ASGI middleware that answers HEAD like GET, but without the body."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await self._app(scope, receive, send)
            return

        async def send_without_body(message: Message) -> None:
            await send({**message, "body": b""} if message["type"] == "http.response.body" else message)

        await self._app({**scope, "method": "GET"}, receive, send_without_body)


class IgnoreTrailingSlash:
    """ASGI middleware that removes a slash at the end of an API route's path.

    A redirect would lose the body of some clients, and would name the client's ``Host`` header.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            path, root_path = scope["path"], scope.get("root_path", "")
            if path.endswith("/") and path.removeprefix(root_path).startswith(API_FOLDERS):
                scope = {**scope, "path": path[:-1]}
        await self._app(scope, receive, send)
