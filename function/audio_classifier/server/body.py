"""Read the bodies of requests to classify: forms, audio files or JSON, of bounded size."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from typing import Any, BinaryIO, Final, Protocol

import anyio.to_thread
from starlette.requests import ClientDisconnect, Request

from audio_classifier.audio.formats import begins_like_audio
from audio_classifier.audio.source import AudioSource
from audio_classifier.errors import (
    InvalidParameterError,
    NoAudioError,
    RequestError,
    RequestTooLargeError,
    UnsupportedMediaError,
)
from audio_classifier.server.multipart import AudioForm
from audio_classifier.server.spool import Spool, SpooledBody
from audio_classifier.service.object_access import ObjectAccess

# Browsers declare some audio files as video/*, and curl declares most as application/octet-stream.
AUDIO_TYPES: Final = re.compile(
    r"(audio|video)/.*|application/(octet-stream|ogg|x-ogg|flac|x-flac)|binary/octet-stream|", re.IGNORECASE
)
CURL_TYPE: Final = "application/x-www-form-urlencoded"  # which curl declares for any raw body
MAX_SMALL_BODY_BYTES: Final = 256 << 10
PIECE_BYTES: Final = 64 << 10
REPLACEMENT_CHARACTER: Final = "\ufffd".encode()  # replaces bytes that are not UTF-8
SEARCHED_BYTES: Final = 4096
# Hints for bodies that were sent as audio, by the bytes with which they begin.
OTHER_BODIES: Final = {
    b"--": "The body seems to be a form: send it as multipart/form-data, with its boundary.",
    b"{": "The body seems to be JSON: send it as application/json.",
    b"s3://": 'Name an object by a JSON body: {"audio": "s3://bucket/key"}.',
}


class AudioRequest(Protocol):
    """A request to classify: the audio and the parameters that its body holds."""

    @property
    def fields(self) -> Sequence[tuple[str, Any]]:
        """Form or JSON fields next to the audio; forms may repeat a name."""

    def open_source(self) -> AudioSource:
        """Return the audio; called in a thread.  Raises the errors of `ObjectAccess.open_allowed`."""

    def unreadable_hint(self) -> str:
        """Explain why the audio may be unreadable, if its bytes show a reason; otherwise return ""."""


@dataclass(frozen=True, slots=True)
class UploadedAudio:
    """An audio file in a request's body, and the form fields next to it."""

    file: BinaryIO
    fields: Sequence[tuple[str, Any]]

    def open_source(self) -> AudioSource:
        return self.file

    def unreadable_hint(self) -> str:
        self.file.seek(0)
        head = self.file.read(SEARCHED_BYTES)
        if REPLACEMENT_CHARACTER in head:
            return "The bytes were decoded as text in transfer: set a gateway's binary media types to */*."
        return next((hint for begin, hint in OTHER_BODIES.items() if head.lstrip().startswith(begin)), "")


@dataclass(frozen=True, slots=True)
class ReferencedAudio:
    """An object in S3 that the field ``audio`` of a JSON body names."""

    access: ObjectAccess
    uri: object
    fields: Sequence[tuple[str, Any]]

    def open_source(self) -> AudioSource:
        return self.access.open_allowed(self.uri)

    def unreadable_hint(self) -> str:
        return ""


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
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_SMALL_BODY_BYTES:
            raise RequestTooLargeError(f"a body of this kind must have at most {MAX_SMALL_BODY_BYTES} bytes")
    return bytes(body)


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
async def audio_request(request: Request, access: ObjectAccess, spool: Spool) -> AsyncIterator[AudioRequest]:
    """Read a request to classify; the audio is closed at the end of the block.

    Raises
    ------
    RequestError
        If the body cannot be parsed.
    RequestTooLargeError, RequestTimeoutError
        If the body is larger or slower than `BodyLimits` accepts.
    BusyError, StorageFullError
        If there is no space for the body at the moment.
    NoAudioError
        If the part of a form is declared as something other than audio.
    UnsupportedMediaError
        If the body is neither a form, nor audio, nor JSON.
    InvalidParameterError
        If there is no audio in the body.
    """
    declared = media_type(request)
    async with spool.body() as body:
        if declared == "application/json":
            fields = await json_fields(request)
            yield ReferencedAudio(access, fields.get("audio"), list(fields.items()))
        elif declared == "multipart/form-data":
            yield await _uploaded_form(request, body)
        elif AUDIO_TYPES.fullmatch(declared):
            yield await _uploaded_body(request, body)
        elif declared == CURL_TYPE:
            yield _recognised(await _uploaded_body(request, body))
        else:
            raise UnsupportedMediaError(f"a body of type {declared} is not supported")


async def _uploaded_form(request: Request, body: SpooledBody) -> UploadedAudio:
    form = AudioForm(request.headers["content-type"], body)
    async with aclosing(_pieces(request)) as pieces:
        async for piece in pieces:
            # In a thread, because some bodies take the parser long, and because it writes files.
            await anyio.to_thread.run_sync(form.feed, piece)
            del piece  # a client that pauses must hold little memory
    form.finish()
    if form.file_type is None:
        other = f", but one in {form.other_file!r:.80}" if form.other_file else ""
        raise InvalidParameterError(
            "audio",
            f"the multipart body has no file in this field{other}",
            hint="Send the recording in the field `audio`.",
        )
    if not AUDIO_TYPES.fullmatch(form.file_type):
        raise NoAudioError(f"Invalid file type/extension: {form.file_type}")
    await _finish(body)
    return UploadedAudio(body.file, form.fields)


async def _uploaded_body(request: Request, body: SpooledBody) -> UploadedAudio:
    async with aclosing(_pieces(request)) as pieces:
        async for piece in pieces:
            if body.fits_in_memory(len(piece)):
                body.write(piece)
            else:
                await anyio.to_thread.run_sync(body.write, piece)
            del piece  # as above
    if body.size == 0:
        raise InvalidParameterError("audio", "the request has no body")
    await _finish(body)
    return UploadedAudio(body.file, ())


def _recognised(audio: UploadedAudio) -> UploadedAudio:
    """Return the audio if its first bytes are those of an accepted format, whatever the client declares."""
    head = audio.file.read(SEARCHED_BYTES)
    audio.file.seek(0)
    if not begins_like_audio(head):
        raise UnsupportedMediaError(f"a body of type {CURL_TYPE} is not supported")
    return audio


async def _finish(body: SpooledBody) -> None:
    if body.in_memory:
        body.finish()
    else:
        await anyio.to_thread.run_sync(body.finish)


async def _pieces(request: Request) -> AsyncGenerator[bytes, None]:
    """Yield a body in pieces of at least `PIECE_BYTES`, however small the client's chunks are."""
    piece = bytearray()
    more = True
    while more:
        # Not `Request.stream`, which holds each chunk until the next one arrives.
        message = await request.receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        piece += message.get("body", b"")
        more = message.get("more_body", False)
        del message
        if len(piece) >= PIECE_BYTES or not more:
            yield bytes(piece)
            piece = bytearray()
