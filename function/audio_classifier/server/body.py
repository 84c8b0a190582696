"""The body of a request to classify: bounded while it is read, multipart or the sound itself."""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from typing import Any, BinaryIO, Final, cast

import anyio
from starlette.datastructures import FormData, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from audio_classifier.audio.source import SeekableFile
from audio_classifier.errors import (
    InvalidParameterError,
    NoAudioError,
    RequestError,
    RequestTooLargeError,
    UnsupportedMediaError,
)

# What may hold a sound; browsers say video/* of some, and curl knows nothing of most.
AUDIO_TYPES: Final = re.compile(
    r"(audio|video)/.*|application/(octet-stream|ogg|x-ogg|flac|x-flac)|binary/octet-stream|", re.IGNORECASE
)
MAX_FIELDS: Final = 20
MAX_SHORT_BYTES: Final = 256 << 10
REPLACEMENT_CHARACTER: Final = "\ufffd".encode()  # stands where bytes were that are no UTF-8
MANGLED_BYTES: Final = 4096
SPOOL_BYTES: Final = 4 << 20  # held in memory; what is longer goes to a temporary file


@dataclass(frozen=True, slots=True)
class Upload:
    """A sound file, and the form fields beside it."""

    file: BinaryIO
    fields: dict[str, str]


class BodyLimit:
    """ASGI middleware that lets a body come in as far as ``max_bytes``, and then fails its reading.

    ``way_round`` is the hint that the client gets.
    """

    def __init__(self, app: ASGIApp, max_bytes: int, way_round: str) -> None:
        self._app = app
        self._max_bytes = max_bytes
        self._way_round = way_round

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        declared = headers.get(b"content-length", b"0")
        count = 0

        async def bounded() -> Message:
            nonlocal count
            if declared.isdigit() and int(declared) > self._max_bytes:
                raise self._too_large()
            message = await receive()
            count += len(message.get("body", b""))
            if count > self._max_bytes:
                raise self._too_large()
            return message

        await self._app(scope, bounded, send)

    def _too_large(self) -> RequestTooLargeError:
        return RequestTooLargeError(
            f"the request's body is longer than the {self._max_bytes} bytes that are accepted",
            hint=self._way_round,
        )


def media_type(request: Request) -> str:
    """What a request's body is declared to be, without parameters; may be empty."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


async def short_body(request: Request) -> bytes:
    """A body that is held in memory and parsed in one go, and so must be short.

    Raises
    ------
    RequestTooLargeError
        If it is longer than `MAX_SHORT_BYTES`.
    """
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_SHORT_BYTES:
            raise RequestTooLargeError(f"a body of this kind may not be longer than {MAX_SHORT_BYTES} bytes")
    return body


async def json_fields(request: Request) -> dict[str, Any]:
    """The JSON object that is a request's body.

    Raises
    ------
    RequestError
        If it is none, or too long a one.
    """
    try:
        fields = json.loads(await short_body(request))
    except (ValueError, RecursionError) as error:
        raise RequestError(f"the body is no JSON: {error}") from error
    if not isinstance(fields, dict):
        raise RequestError("the body is JSON, but no object", hint='Send {"audio": "s3://bucket/key"}.')
    return fields


def explain_mangled(file: SeekableFile) -> str:
    """A hint, if the beginning of a file shows that something has taken it for text; else nothing."""
    file.seek(0)
    if REPLACEMENT_CHARACTER not in (file.read(MANGLED_BYTES) or b""):
        return ""
    return "The bytes were decoded as text on their way: set a gateway's binary media types to */*."


@asynccontextmanager
async def upload(request: Request) -> AsyncIterator[Upload]:
    """Read the sound of a request, and close it in the end.

    Raises
    ------
    RequestTooLargeError
        If the body is longer than `BodyLimit` lets in.
    NoAudioError
        If the part is declared as something that is no sound.
    UnsupportedMediaError
        If the body is neither multipart nor a sound.
    InvalidParameterError
        If there is no sound in it.
    """
    declared = media_type(request)
    if declared == "multipart/form-data":
        form = await _form(request)
        try:
            part = form.get("audio")
            if not isinstance(part, UploadFile):
                raise InvalidParameterError("audio", "the multipart body has no file in a field of that name")
            if not AUDIO_TYPES.fullmatch((part.content_type or "").partition(";")[0].strip()):
                raise NoAudioError(f"Invalid file type/extension: {part.content_type}")
            yield Upload(part.file, {name: value for name, value in form.items() if isinstance(value, str)})
        finally:
            # What closes a file waits for a thread, which nothing does that is being cancelled.
            with anyio.CancelScope(shield=True):
                await form.close()
        return
    if not AUDIO_TYPES.fullmatch(declared):
        raise UnsupportedMediaError(f"a body of type {declared} is not understood")
    with tempfile.SpooledTemporaryFile(SPOOL_BYTES) as file:
        async for chunk in request.stream():
            file.write(chunk)
        if file.tell() == 0:
            raise InvalidParameterError("audio", "the request has no body")
        yield Upload(cast("BinaryIO", file), {})


async def _form(request: Request) -> FormData:
    async with aclosing(request.stream()) as body:
        parser = MultiPartParser(request.headers, body, max_files=1, max_fields=MAX_FIELDS)
        parser.spool_max_size = SPOOL_BYTES
        try:
            return await parser.parse()
        except (MultiPartException, UnicodeError) as error:
            raise RequestError(
                f"the multipart body cannot be read: {error}",
                hint="If a gateway stands between, it must pass binary bodies on as they are.",
            ) from error
