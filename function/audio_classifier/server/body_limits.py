"""Limit the size of request bodies, and the time that clients take to send them."""

from __future__ import annotations

import time
from typing import Final

import anyio
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from audio_classifier.errors import RequestTimeoutError, RequestTooLargeError

MIN_BYTES_PER_S: Final = 16_000
GRACE_S: Final = 10.0  # how long a client may pause


class BodyLimits:
    """ASGI middleware that raises errors when a body is read that is too large or arrives too slowly.

    Only the time that the server waits for the client counts.  A client that sends at least
    `MIN_BYTES_PER_S` on average may pause for `GRACE_S`.

    Parameters
    ----------
    max_bytes
        The maximum size of a body.
    hint
        The hint of the error of a body that is too large.
    """

    def __init__(self, app: ASGIApp, max_bytes: int, hint: str) -> None:
        self._app = app
        self._max_bytes = max_bytes
        self._hint = hint

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        body = _BoundedBody(scope, receive, self._max_bytes, self._hint)
        await self._app(scope, body.receive, send)


class _BoundedBody:
    def __init__(self, scope: Scope, receive: Receive, max_bytes: int, hint: str) -> None:
        declared = dict(scope["headers"]).get(b"content-length", b"0")
        self._declared_bytes = int(declared) if declared.isdigit() else 0
        self._receive = receive
        self._max_bytes = max_bytes
        self._hint = hint
        self._received_bytes = 0
        self._credit_s = GRACE_S
        self._complete = False

    async def receive(self) -> Message:
        if self._complete:  # the application waits for the end of the connection
            return await self._receive()
        if self._declared_bytes > self._max_bytes:
            raise self._too_large()
        message = await self._receive_in_time()
        self._received_bytes += len(message.get("body", b""))
        if self._received_bytes > self._max_bytes:
            raise self._too_large()
        self._complete = not message.get("more_body", False)
        return message

    async def _receive_in_time(self) -> Message:
        begin = time.monotonic()
        message: Message | None = None
        with anyio.move_on_after(self._credit_s):
            message = await self._receive()
        if message is None:
            raise RequestTimeoutError(
                f"the request's body must arrive with at least {MIN_BYTES_PER_S} bytes per second, "
                f"but {self._received_bytes} bytes arrived and then too little for {GRACE_S:g} s"
            )
        earned_s = len(message.get("body", b"")) / MIN_BYTES_PER_S
        self._credit_s = min(GRACE_S, self._credit_s - (time.monotonic() - begin) + earned_s)
        return message

    def _too_large(self) -> RequestTooLargeError:
        return RequestTooLargeError(
            f"the request's body must have at most {self._max_bytes} bytes", hint=self._hint
        )
