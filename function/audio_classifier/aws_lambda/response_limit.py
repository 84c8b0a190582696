"""Replace responses that are too large for Lambda by an error, which clients can read.

Lambda would discard the response, and gateways would answer with status 500 or 502 without a reason.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from contextlib import suppress
from http import HTTPStatus
from typing import Final

import anyio.lowlevel
from mangum.adapter import DEFAULT_TEXT_MIME_TYPES
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from audio_classifier.aws_lambda.response_size import HINT, max_response_bytes, too_large
from audio_classifier.errors import describe_error

MAX_ESCAPE_BYTES: Final = 6  # the longest escape of a byte in JSON: \u0000
HTTP_HINT: Final = f"{HINT} JSON lines have the same limit."
UPLOADS_HINT: Final = f"{HTTP_HINT} POST /uploads accepts long recordings, and stores their results in S3."
RESULT_HINT: Final = "The result is complete in S3, in the bucket of results: read it there."
# Headers that describe the replaced body.
BODY_HEADERS: Final = frozenset(
    (b"content-disposition", b"content-encoding", b"content-length", b"content-type", b"etag")
)


class LimitResponses:
    """ASGI middleware that answers 413 in place of a response that is too large.

    It holds a response until it is known to fit, and never more than the limit.  After the error, Mangum
    reports a disconnect to the application, which then stops computing a stream.

    Parameters
    ----------
    hint
        How clients can get what they requested.
    """

    def __init__(self, app: ASGIApp, hint: str) -> None:
        self._app = app
        self._hint = hint

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        hint = RESULT_HINT if "/results/" in scope["path"] else self._hint
        response = _HeldResponse(send, max_response_bytes(scope["aws.event"]), hint)
        await self._app(scope, receive, response.send)


class _HeldResponse:
    def __init__(self, send: Send, limit_bytes: int, hint: str) -> None:
        self._send = send
        self._limit_bytes = limit_bytes
        self._hint = hint
        self._start: Message = {}
        self._pieces: list[bytes] = []
        self._held_bytes = 0
        self._refused = False

    async def send(self, message: Message) -> None:
        """Hold a message; send all of them with the last one, or an error as soon as they are too large."""
        if self._refused:
            await anyio.lowlevel.checkpoint()  # at which an application that only sends learns of it
            return
        if message["type"] == "http.response.start":
            self._start = message
            return
        self._pieces.append(message.get("body", b""))
        self._held_bytes += len(self._pieces[-1])
        if self._held_bytes > self._limit_bytes:
            await self._refuse()
        elif not message.get("more_body", False):
            body = b"".join(self._pieces)
            if self._fits(body):
                await self._send(self._start)
                await self._send({**message, "body": body})
            else:
                await self._refuse()

    def _fits(self, body: bytes) -> bool:
        if MAX_ESCAPE_BYTES * len(body) <= self._limit_bytes:
            return True
        return returned_bytes(body, self._start["headers"]) <= self._limit_bytes

    async def _refuse(self) -> None:
        """Send an error with the headers of the response that it replaces, such as those of CORS."""
        self._refused = True
        self._pieces.clear()
        body = json.dumps(describe_error(too_large(self._limit_bytes, self._hint))).encode()
        headers = [
            *((name, value) for name, value in self._start["headers"] if name.lower() not in BODY_HEADERS),
            (b"content-type", b"application/json"),
            (b"content-length", str(len(body)).encode()),
        ]
        status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE.value
        await self._send({"type": "http.response.start", "status": status, "headers": headers})
        await self._send({"type": "http.response.body", "body": body, "more_body": False})


def returned_bytes(body: bytes, headers: Iterable[tuple[bytes, bytes]]) -> int:
    """Return the size of a body within JSON: as text with escapes, or as base64, as Mangum decides it.

    Some versions of Amazon's runtime client escape characters beyond ASCII, and others do not.
    """
    media_type = dict(headers).get(b"content-type", b"").decode("latin-1")
    if any(text_type in media_type for text_type in DEFAULT_TEXT_MIME_TYPES):
        with suppress(UnicodeDecodeError):
            return len(json.dumps(body.decode()))
    return (len(body) + 2) // 3 * 4
