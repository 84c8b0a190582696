"""Give each request an ID, which its response and its log entries state."""

from __future__ import annotations

import re
import uuid
from typing import Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from audio_classifier.service.log_context import REQUEST_ID_FIELD, REQUEST_ID_KEY, add_log_fields

HEADER: Final = "X-Request-Id"
# IDs of common proxies and gateways; no other character could forge a field of a log entry.
VALID_ID: Final = re.compile(r"[A-Za-z0-9._:/+=@-]{1,128}")


class RequestIds:
    """ASGI middleware that adds the ID: a valid one of the client, otherwise the platform's or a new one."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        sent = Headers(scope=scope).get(HEADER, "")
        request_id = sent if VALID_ID.fullmatch(sent) else scope.get(REQUEST_ID_KEY) or uuid.uuid4().hex
        add_log_fields(**{REQUEST_ID_FIELD: request_id})

        async def send_with_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)[HEADER] = request_id
            await send(message)

        await self._app(scope, receive, send_with_id)
