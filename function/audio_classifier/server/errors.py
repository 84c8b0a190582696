"""Map errors to HTTP responses: the status, the hint and the body."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final, TypeVar

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from audio_classifier.errors import (
    AudioClassifierError,
    AudioError,
    BusyError,
    InvalidParameterError,
    NoAudioError,
    NoResultError,
    ObjectTooLargeError,
    RecordingTooLongError,
    RemoteNotFoundError,
    RequestError,
    RequestTooLargeError,
    StartBeyondEndError,
    TransferError,
    UnknownEventError,
    UnknownLabelError,
    UnsupportedMediaError,
    error_body,
)
from audio_classifier.server.schemas import ErrorResponse
from audio_classifier.service.parameters import request_error_body

T = TypeVar("T")

# The status of the nearest base class applies.
STATUSES: Final[Mapping[type[AudioClassifierError], int]] = {
    AudioClassifierError: 500,
    AudioError: 400,
    RecordingTooLongError: 413,
    ObjectTooLargeError: 413,
    RequestError: 400,
    NoResultError: 404,
    RequestTooLargeError: 413,
    UnsupportedMediaError: 415,
    BusyError: 503,
    InvalidParameterError: 422,
    UnknownEventError: 422,
    TransferError: 503,
    RemoteNotFoundError: 500,
}
# Hints for clients of the API, for errors that have none of their own.
HINTS: Final[Mapping[type[AudioClassifierError], str]] = {
    AudioClassifierError: "",
    BusyError: "Try again in a moment.",
    NoAudioError: "Send the audio file as audio/* or application/octet-stream.",
    NoResultError: "Upload a recording first: POST /uploads returns where to.",
    UnknownEventError: "Send a CloudEvent whose data is an S3 notification, or one record of it.",
    UnknownLabelError: "GET /model/labels lists all classes.",
    UnsupportedMediaError: "Send multipart/form-data with a field `audio`, or the audio file as audio/*.",
}
RETRY_AFTER_S: Final = 1
CLIENT_CLOSED_REQUEST: Final = 499  # nginx's status for a client that disconnected; nobody receives it
ERROR_RESPONSES: Final[dict[int | str, dict[str, Any]]] = {
    status: {"model": ErrorResponse, "description": description}
    for status, description in (
        (400, "the recording cannot be used, or the start lies outside it"),
        (413, "the body is too large"),
        (415, "the body has an unsupported media type"),
        (422, "a parameter is out of range"),
        (503, "too many requests are being served, or the model cannot be loaded"),
    )
}

_log = logging.getLogger(__name__)


def body_of(error: AudioClassifierError) -> dict[str, str]:
    """Build the body of an error."""
    body = request_error_body(error, hint=_of_class(HINTS, error))
    if isinstance(error, StartBeyondEndError):  # the original's message, which clients may compare
        hint = f"{body['message']}. {body['hint']}"
        body |= {"message": "Invalid start time: value outside audio clip", "hint": hint}
    return body


def add_error_handlers(app: FastAPI) -> None:
    """Answer this package's errors and HTTP errors with the one error body."""
    app.add_exception_handler(AudioClassifierError, _answer_error)  # type: ignore[arg-type]  # a narrower type
    app.add_exception_handler(HTTPException, _answer_http_error)  # type: ignore[arg-type]
    app.add_exception_handler(ClientDisconnect, _answer_disconnected)


async def answer_unexpected(_: Request, error: Exception) -> JSONResponse:
    """Log an unexpected exception and answer with status 500."""
    _log.error("unexpected error", exc_info=error)
    return JSONResponse(error_body("internal_error", "an unexpected error occurred", "It was logged."), 500)


async def _answer_error(_: Request, error: AudioClassifierError) -> JSONResponse:
    status = _of_class(STATUSES, error)
    headers = {"Retry-After": str(RETRY_AFTER_S)} if status == 503 else None
    return JSONResponse(body_of(error), status, headers)


async def _answer_http_error(_: Request, error: HTTPException) -> JSONResponse:
    code = HTTPStatus(error.status_code).name.lower()
    return JSONResponse(error_body(code, str(error.detail)), error.status_code, dict(error.headers or {}))


async def _answer_disconnected(_: Request, __: Exception) -> Response:
    return Response(status_code=CLIENT_CLOSED_REQUEST)


def _of_class(values: Mapping[type[AudioClassifierError], T], error: AudioClassifierError) -> T:
    return next(values[cls] for cls in type(error).__mro__ if cls in values)
