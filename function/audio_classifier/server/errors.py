"""Map errors to HTTP responses: the status, the hint and the body."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from audio_classifier.errors import (
    AccessDeniedError,
    AudioClassifierError,
    AudioError,
    BundleCacheError,
    BusyError,
    DeadlineExceededError,
    InvalidParameterError,
    NoAudioError,
    NoEmbeddingError,
    NoResultError,
    ObjectTooLargeError,
    RecordingTooLongError,
    RemoteNotFoundError,
    RemoteTooLongError,
    RequestCancelledError,
    RequestError,
    RequestTimeoutError,
    RequestTooLargeError,
    ResponseTooLargeError,
    StartBeyondEndError,
    StorageFullError,
    TransferError,
    UnauthorizedError,
    UnknownEventError,
    UnknownLabelError,
    UnsupportedMediaError,
    describe_error,
    error_body,
)
from audio_classifier.server.schemas import ErrorResponse
from audio_classifier.service.parameters import REQUEST_NAMES

# The status of the nearest base class applies.
CLIENT_CLOSED_REQUEST: Final = 499  # nginx's status for a client that disconnected; nobody receives it
STATUSES: Final[Mapping[type[AudioClassifierError], int]] = {
    AudioClassifierError: 500,
    AudioError: 400,
    RecordingTooLongError: 413,
    ObjectTooLargeError: 413,
    RequestError: 400,
    UnauthorizedError: 401,
    NoResultError: 404,
    RequestTooLargeError: 413,
    ResponseTooLargeError: 413,
    UnsupportedMediaError: 415,
    RequestTimeoutError: 408,
    RequestCancelledError: CLIENT_CLOSED_REQUEST,
    BusyError: 503,
    DeadlineExceededError: 504,
    StorageFullError: 503,
    InvalidParameterError: 422,
    UnknownEventError: 422,
    NoEmbeddingError: 422,
    BundleCacheError: 503,
    TransferError: 503,
    RemoteNotFoundError: 500,
    AccessDeniedError: 500,
    RemoteTooLongError: 500,
}
# Hints for clients of the API, for errors without one; that of the nearest base class applies.
HINTS: Final[Mapping[type[AudioClassifierError], str]] = {
    BusyError: "Try again in a moment.",
    NoAudioError: "Send the audio file as audio/* or application/octet-stream.",
    UnauthorizedError: "Send a key of this deployment as X-Api-Key: KEY or Authorization: Bearer KEY.",
    NoResultError: "Upload a recording first: POST /uploads returns where to.",
    UnknownEventError: "Send a CloudEvent whose data is an S3 notification, or one record of it.",
    UnknownLabelError: "GET /model/labels lists all classes.",
    UnsupportedMediaError: "Send multipart/form-data with a field `audio`, or the audio file as audio/*.",
}
STATUS_HEADERS: Final = {
    401: {"WWW-Authenticate": 'Bearer realm="audio-classifier"'},
    408: {"Connection": "close"},  # the rest of the body may never arrive
    503: {"Retry-After": "1"},
    504: {"Connection": "close"},
}
ERROR_RESPONSES: Final[dict[int | str, dict[str, Any]]] = {
    status: {"model": ErrorResponse, "description": description}
    for status, description in (
        (400, "the recording cannot be used, or the start lies outside it"),
        (408, "the body arrives too slowly"),
        (413, "the body is too large, or the response is for Lambda"),
        (415, "the body has an unsupported media type"),
        (422, "a parameter is out of range"),
        (503, "too many requests are being served, or the model cannot be loaded"),
        (504, "the request was not served within its deadline"),
    )
}

_log = logging.getLogger(__name__)


def status_of(cls: type[AudioClassifierError]) -> int:
    """Return the HTTP status of a class of errors."""
    return next(STATUSES[base] for base in cls.__mro__ if base in STATUSES)


def body_of(error: AudioClassifierError) -> dict[str, str]:
    """Build the body of an error."""
    body = describe_error(error, names=REQUEST_NAMES, hints=HINTS)
    if isinstance(error, StartBeyondEndError):  # the original's message, which clients may compare
        hint = f"{body['message']}. {body['hint']}"
        body |= {"message": "Invalid start time: value outside audio clip", "hint": hint}
    return body


def add_error_handlers(app: FastAPI) -> None:
    """Respond to this package's errors and to HTTP errors with the one error body."""
    app.add_exception_handler(AudioClassifierError, _respond_to_error)  # type: ignore[arg-type]  # a narrower type
    app.add_exception_handler(HTTPException, _respond_to_http_error)  # type: ignore[arg-type]
    app.add_exception_handler(ClientDisconnect, _respond_to_disconnected)


async def respond_to_unexpected(_: Request, error: Exception) -> JSONResponse:
    """Log an unexpected exception and respond with status 500."""
    _log.error("unexpected error", exc_info=error)
    return JSONResponse(error_body("internal_error", "an unexpected error occurred", "It was logged."), 500)


def error_response(error: AudioClassifierError) -> JSONResponse:
    """Build the response to an error."""
    status = status_of(type(error))
    return JSONResponse(body_of(error), status, STATUS_HEADERS.get(status))


async def _respond_to_error(_: Request, error: AudioClassifierError) -> JSONResponse:
    return error_response(error)


async def _respond_to_http_error(_: Request, error: HTTPException) -> JSONResponse:
    code = HTTPStatus(error.status_code).name.lower()
    return JSONResponse(error_body(code, str(error.detail)), error.status_code, dict(error.headers or {}))


async def _respond_to_disconnected(_: Request, __: Exception) -> Response:
    return Response(status_code=CLIENT_CLOSED_REQUEST)
