"""Decode request bodies with ``Content-Encoding: gzip`` while they arrive."""

from __future__ import annotations

import zlib
from collections.abc import AsyncGenerator, Iterator
from typing import Any, Final, NoReturn

import anyio.lowlevel
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from audio_classifier.errors import RequestError, RequestTooLargeError, UnsupportedMediaError

GZIP_NAMES: Final = (b"gzip", b"x-gzip")
GZIP_WINDOW_BITS: Final = 31  # zlib's number for gzip's header and checksum
PIECE_BYTES: Final = 64 << 10
MAX_RATIO: Final = 100  # only digital silence is compressed better
FREE_BYTES: Final = 4 << 20  # which may have any ratio
MAX_MEMBERS: Final = 4096  # of a file that several programs or threads have compressed
HINT: Final = "Send the body as it is, or with Content-Encoding: gzip."


class DecodeBodies:
    """ASGI middleware that decodes bodies, and raises errors when a body is read that cannot be decoded.

    Parameters
    ----------
    max_bytes
        The maximum size of a decoded body.
    hint
        The hint of the error of a body that is too large.
    """

    def __init__(self, app: ASGIApp, max_bytes: int, hint: str) -> None:
        self._app = app
        self._max_bytes = max_bytes
        self._hint = hint

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        encoding = _encoding(scope) if scope["type"] == "http" else b""
        if encoding in GZIP_NAMES:
            receive = _DecodedBody(receive, self._max_bytes, self._hint).receive
        elif encoding not in (b"", b"identity"):
            receive = _refuse(encoding.decode("latin-1"))
        await self._app(scope, receive, send)


def _encoding(scope: Scope) -> bytes:
    encodings = [value for name, value in scope["headers"] if name == b"content-encoding"]
    return b",".join(encodings).strip().lower()


def _refuse(encoding: str) -> Receive:
    async def receive() -> NoReturn:
        raise UnsupportedMediaError(f"a body with Content-Encoding {encoding!r} is not supported", hint=HINT)

    return receive


class _DecodedBody:
    def __init__(self, receive: Receive, max_bytes: int, hint: str) -> None:
        self._receive = receive
        self._max_bytes = max_bytes
        self._hint = hint
        self._messages = self._decode()

    async def receive(self) -> Message:
        async for message in self._messages:
            return message
        return await self._receive()  # the application waits for the end of the connection

    async def _decode(self) -> AsyncGenerator[Message, None]:
        decoder = _GzipDecoder()
        received_bytes = decoded_bytes = 0
        more = True
        while more:
            message = await self._receive()
            if message["type"] != "http.request":
                yield message
                return
            data = message.get("body", b"")
            more = message.get("more_body", False)
            received_bytes += len(data)
            for piece in decoder.decode(data):
                decoded_bytes += len(piece)
                self._check(received_bytes, decoded_bytes)
                yield {"type": "http.request", "body": piece, "more_body": True}
                await anyio.lowlevel.checkpoint()  # other requests are served between two pieces
        decoder.finish()
        yield {"type": "http.request", "body": b"", "more_body": False}

    def _check(self, received_bytes: int, decoded_bytes: int) -> None:
        if decoded_bytes > self._max_bytes:
            raise RequestTooLargeError(
                f"the request's body must have at most {self._max_bytes} bytes after decoding",
                hint=self._hint,
            )
        if decoded_bytes > FREE_BYTES + MAX_RATIO * received_bytes:
            raise RequestTooLargeError(
                f"the request's body must be at most {MAX_RATIO} times as large after decoding",
                hint="Send it without Content-Encoding, or encode the recording as FLAC.",
            )


class _GzipDecoder:
    """Decodes one or more gzip members in pieces of bounded size."""

    def __init__(self) -> None:
        self._member: Any = None  # zlib's type is not public
        self._members = 0

    def decode(self, data: bytes) -> Iterator[bytes]:
        """Yield what more data decode to, in pieces of at most `PIECE_BYTES`; raises `RequestError`."""
        for start in range(0, len(data), PIECE_BYTES):  # zlib copies what it has not consumed
            yield from self._decode_slice(data[start : start + PIECE_BYTES])

    def finish(self) -> None:
        """Raise `RequestError` if the data are truncated."""
        if self._member is not None:
            raise RequestError(
                "the body cannot be decoded: its gzip data are truncated", hint="Send it again completely."
            )

    def _decode_slice(self, data: bytes) -> Iterator[bytes]:
        while data:
            member = self._member or self._next_member()
            try:
                piece = member.decompress(data, PIECE_BYTES)
            except zlib.error as error:
                raise RequestError(f"the body cannot be decoded as gzip: {error}", hint=HINT) from error
            data = member.unused_data if member.eof else member.unconsumed_tail
            self._member = None if member.eof else member
            if piece:
                yield piece

    def _next_member(self) -> Any:
        self._members += 1
        if self._members > MAX_MEMBERS:
            raise RequestError(f"a body must have at most {MAX_MEMBERS} gzip members", hint=HINT)
        return zlib.decompressobj(GZIP_WINDOW_BITS)
