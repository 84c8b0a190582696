"""Read the bodies of requests to classify: forms, audio files or JSON, of bounded size."""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from typing import Any, BinaryIO, Final, Protocol, cast

import anyio
from starlette.datastructures import FormData, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from audio_classifier.audio.source import AudioSource
from audio_classifier.errors import (
    InvalidParameterError,
    NoAudioError,
    RequestError,
    RequestTooLargeError,
    UnsupportedMediaError,
)
from audio_classifier.service.object_access import ObjectAccess

# Browsers declare some audio files as video/*, and curl declares most as application/octet-stream.
AUDIO_TYPES: Final = re.compile(
    r"(audio|video)/.*|application/(octet-stream|ogg|x-ogg|flac|x-flac)|binary/octet-stream|", re.IGNORECASE
)
MAX_FIELDS: Final = 20
MAX_SMALL_BODY_BYTES: Final = 256 << 10
REPLACEMENT_CHARACTER: Final = "\ufffd".encode()  # replaces bytes that are not UTF-8
SEARCHED_BYTES: Final = 4096
SPOOL_BYTES: Final = 4 << 20  # larger bodies go to a temporary file


class AudioRequest(Protocol):
    """A request to classify: the audio and the parameters that its body holds."""

    @property
    def fields(self) -> Mapping[str, Any]:
        """Form or JSON fields next to the audio."""

    def open_source(self) -> AudioSource:
        """Return the audio; called in a thread.  Raises the errors of `ObjectAccess.open_allowed`."""

    def unreadable_hint(self) -> str:
        """Explain why the audio may be unreadable, if its bytes show a reason; otherwise return ""."""


@dataclass(frozen=True, slots=True)
class UploadedAudio:
    """An audio file in a request's body, and the form fields next to it."""

    file: BinaryIO
    fields: Mapping[str, Any]

    def open_source(self) -> AudioSource:
        return self.file

    def unreadable_hint(self) -> str:
        self.file.seek(0)
        if REPLACEMENT_CHARACTER not in self.file.read(SEARCHED_BYTES):
            return ""
        return "The bytes were decoded as text in transfer: set a gateway's binary media types to */*."


@dataclass(frozen=True, slots=True)
class ReferencedAudio:
    """An object in S3 that the field ``audio`` of a JSON body names."""

    access: ObjectAccess
    fields: Mapping[str, Any]

    def open_source(self) -> AudioSource:
        return self.access.open_allowed(self.fields.get("audio"))

    def unreadable_hint(self) -> str:
        return ""


class BodyLimit:
    """ASGI middleware that raises `RequestTooLargeError` when more than ``max_bytes`` of a body are read.

    ``hint`` is the error's hint.
    """

    def __init__(self, app: ASGIApp, max_bytes: int, hint: str) -> None:
        self._app = app
        self._max_bytes = max_bytes
        self._hint = hint

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        declared = headers.get(b"content-length", b"0")
        count = 0

        async def receive_bounded() -> Message:
            nonlocal count
            if declared.isdigit() and int(declared) > self._max_bytes:
                raise self._too_large()
            message = await receive()
            count += len(message.get("body", b""))
            if count > self._max_bytes:
                raise self._too_large()
            return message

        await self._app(scope, receive_bounded, send)

    def _too_large(self) -> RequestTooLargeError:
        return RequestTooLargeError(
            f"the request's body must have at most {self._max_bytes} bytes", hint=self._hint
        )


def media_type(request: Request) -> str:
    """Return the declared media type of a request's body, without parameters; may be empty."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


async def small_body(request: Request) -> bytes:
    """Read a body that is held in memory as a whole.

    Raises
    ------
    RequestTooLargeError
        If it is larger than `MAX_SMALL_BODY_BYTES`.
    """
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_SMALL_BODY_BYTES:
            raise RequestTooLargeError(f"a body of this kind must have at most {MAX_SMALL_BODY_BYTES} bytes")
    return body


async def json_fields(request: Request) -> dict[str, Any]:
    """Parse a request's body as a JSON object.

    Raises
    ------
    RequestError
        If it is something else, or too large.
    """
    try:
        fields = json.loads(await small_body(request))
    except (ValueError, RecursionError) as error:
        raise RequestError(f"the body is not JSON: {error}") from error
    if not isinstance(fields, dict):
        raise RequestError("the body is JSON, but not an object", hint='Send {"audio": "s3://bucket/key"}.')
    return fields


@asynccontextmanager
async def audio_request(request: Request, access: ObjectAccess) -> AsyncIterator[AudioRequest]:
    """Read a request to classify; the audio is closed at the end of the block.

    Raises
    ------
    RequestError
        If the body cannot be parsed.
    RequestTooLargeError
        If the body is larger than `BodyLimit` accepts.
    NoAudioError
        If the part of a form is declared as something other than audio.
    UnsupportedMediaError
        If the body is neither a form, nor audio, nor JSON.
    InvalidParameterError
        If there is no audio in the body.
    """
    declared = media_type(request)
    if declared == "application/json":
        yield ReferencedAudio(access, await json_fields(request))
    elif declared == "multipart/form-data":
        async with _uploaded_form(request) as upload:
            yield upload
    elif AUDIO_TYPES.fullmatch(declared):
        async with _uploaded_body(request) as upload:
            yield upload
    else:
        raise UnsupportedMediaError(f"a body of type {declared} is not supported")


@asynccontextmanager
async def _uploaded_form(request: Request) -> AsyncIterator[UploadedAudio]:
    form = await _parse_form(request)
    try:
        part = form.get("audio")
        if not isinstance(part, UploadFile):
            raise InvalidParameterError("audio", "the multipart body has no file in this field")
        if not AUDIO_TYPES.fullmatch((part.content_type or "").partition(";")[0].strip()):
            raise NoAudioError(f"Invalid file type/extension: {part.content_type}")
        yield UploadedAudio(
            part.file, {name: value for name, value in form.items() if isinstance(value, str)}
        )
    finally:
        # Closing a file awaits a thread, which a cancelled task otherwise cannot do.
        with anyio.CancelScope(shield=True):
            await form.close()


@asynccontextmanager
async def _uploaded_body(request: Request) -> AsyncIterator[UploadedAudio]:
    with tempfile.SpooledTemporaryFile(SPOOL_BYTES) as file:
        async for chunk in request.stream():
            file.write(chunk)
        if file.tell() == 0:
            raise InvalidParameterError("audio", "the request has no body")
        yield UploadedAudio(cast("BinaryIO", file), {})


async def _parse_form(request: Request) -> FormData:
    async with aclosing(request.stream()) as body:
        parser = MultiPartParser(request.headers, body, max_files=1, max_fields=MAX_FIELDS)
        parser.spool_max_size = SPOOL_BYTES
        try:
            return await parser.parse()
        except (MultiPartException, UnicodeError) as error:
            raise RequestError(
                f"the multipart body cannot be parsed: {error}",
                hint="A gateway in front of the server must pass binary bodies on unchanged.",
            ) from error
