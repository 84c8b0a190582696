"""The HTTP door: the original's routes and ours, on FastAPI."""

from __future__ import annotations

import logging
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from importlib.resources import files
from typing import Any, Final

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse
from fastapi.staticfiles import StaticFiles
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.middleware.errors import ServerErrorMiddleware
from starlette.requests import ClientDisconnect

from audio_classifier.audio.source import AudioSource
from audio_classifier.errors import (
    AudioClassifierError,
    BusyError,
    InvalidParameterError,
    StartBeyondEndError,
    UnreadableAudioError,
)
from audio_classifier.server.body import BodyLimit, Upload, explain_mangled, json_fields, media_type, upload
from audio_classifier.server.limiter import Gate
from audio_classifier.server.metrics import CountRequests, Metrics
from audio_classifier.server.ndjson import answer_in_lines, lines_wanted
from audio_classifier.server.pages import page_routes
from audio_classifier.server.schemas import (
    DESCRIPTION,
    METADATA,
    PREDICT_BODY,
    TITLE,
    VERSION,
    ErrorResponse,
    LabelsResponse,
    MetadataResponse,
    PredictParameters,
    PredictResponse,
    StatusResponse,
    swagger_2,
)
from audio_classifier.server.uploads import event_routes, upload_routes
from audio_classifier.service import predict as prediction
from audio_classifier.service.predict import parse_parameters
from audio_classifier.service.shared_classifier import Service
from audio_classifier.service.uploads import Uploads

RETRY_AFTER_S: Final = 1
LOOK_UPS: Final = 32
NO_MODEL: Final = "Check AUDIO_CLASSIFIER_BUNDLE and the log. Every request tries again."
CLIENT_CLOSED_REQUEST: Final = 499  # nginx's status for a client that went away; nobody reads it
FIELDS: Final = {  # what the core calls otherwise
    "hop_s": "hop",
    "label": "filter",
    "min_duration_s": "min_duration",
    "start_s": "start_time",
    "window_s": "window",
}
ERRORS: Final[dict[int | str, dict[str, Any]]] = {
    status: {"model": ErrorResponse, "description": description}
    for status, description in (
        (400, "no usable sound, or a start outside of it"),
        (413, "too long a body"),
        (415, "a body of another kind"),
        (422, "a parameter out of its range"),
        (503, "too many others are being served, or the model cannot be loaded"),
    )
}

_log = logging.getLogger(__name__)


def create_app(service: Service, uploads: Uploads | None = None) -> FastAPI:
    """The application.  The model is loaded beside its start: the process can say early that it is alive.

    Parameters
    ----------
    service
        Classifies.
    uploads
        Reads and writes objects of the same service; its own if left out.
    """

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        threading.Thread(target=_load_or_log, args=(service,), daemon=True).start()
        yield

    app = FastAPI(
        title=TITLE,
        version=VERSION,
        description=DESCRIPTION,
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
    )
    uploads = uploads or Uploads(service)
    metrics = Metrics()
    service.observe(metrics)
    gate = Gate(service.settings.max_concurrency, service.settings.max_queue)
    look_ups = Gate(LOOK_UPS, service.settings.max_queue)  # what waits for S3 or the model, not for its turn
    app.add_middleware(
        BodyLimit,
        max_bytes=service.settings.max_upload_bytes,
        way_round="Ten seconds count: cut the sound, or send it as FLAC, OGG or MP3"
        + (", or POST /uploads for a place to upload it to." if service.settings.uploads_bucket else "."),
    )
    # Within the one that adds headers for browsers, which so read errors, too.
    app.add_middleware(ServerErrorMiddleware, handler=_answer_unforeseen)
    if service.settings.cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=service.settings.cors_origins,
            allow_methods=("GET", "POST"),
            allow_headers=("*",),
            expose_headers=("Retry-After",),
        )
    app.add_middleware(CountRequests, metrics=metrics)
    app.add_exception_handler(AudioClassifierError, _answer_error)  # type: ignore[arg-type]  # a narrower type
    app.add_exception_handler(HTTPException, _answer_http_error)  # type: ignore[arg-type]
    app.add_exception_handler(ClientDisconnect, _answer_nobody)
    app.mount("/static", StaticFiles(directory=str(files("fastapi_offline") / "static")), name="static")
    app.include_router(page_routes())

    @app.get("/swagger.json", include_in_schema=False)
    async def swagger_document(request: Request) -> JSONResponse:
        return JSONResponse(swagger_2(request.scope.get("root_path") or "/"))

    @app.get("/model/metadata", tags=["model"], operation_id="get_metadata")
    async def metadata() -> MetadataResponse:
        """Return the metadata associated with the model"""
        bundle = (await look_ups.run(service.load)).bundle
        about = {"name": bundle.manifest.name, "version": bundle.manifest.version, "digest": bundle.digest}
        return MetadataResponse(**METADATA, bundle={**about, "metrics": bundle.manifest.metrics})

    @app.get("/model/labels", tags=["model"], operation_id="get_labels")
    async def labels() -> LabelsResponse:
        """Return the list of labels that can be predicted by the model"""
        known = (await look_ups.run(service.load)).labels
        entries = [{"id": label.label_id, "name": label.name} for label in known]
        return LabelsResponse.model_validate({"count": len(entries), "labels": entries})

    @app.post(
        "/model/predict",
        tags=["model"],
        operation_id="predict",
        response_model=PredictResponse,
        response_model_exclude_none=True,
        responses=ERRORS,
        openapi_extra={"requestBody": PREDICT_BODY, "parameters": PredictParameters.openapi()},
    )
    async def predict(request: Request) -> Any:
        """Predict audio classes from input data"""
        async with AsyncExitStack() as resources:
            sound: Upload | None = None
            opened: Callable[[], AudioSource]
            if media_type(request) == "application/json":
                fields = await json_fields(request)
                opened = partial(uploads.open_allowed, fields.get("audio"))
            else:
                sound = await resources.enter_async_context(upload(request))
                fields, opened = dict(sound.fields), partial(getattr, sound, "file")
            parameters = parse_parameters({**fields, **request.query_params})
            try:
                if parameters.timeline and lines_wanted(request):
                    return await answer_in_lines(
                        gate, lambda: prediction.timeline(service, opened(), parameters), resources
                    )
                return await gate.run(lambda: prediction.predict(service, opened(), parameters))
            except UnreadableAudioError as error:
                if sound is not None:
                    error.hint = explain_mangled(sound.file) or error.hint
                raise

    if service.settings.uploads_bucket:
        app.include_router(upload_routes(uploads, look_ups))
    if service.settings.read_buckets:
        app.include_router(event_routes(uploads, gate))

    @app.get("/healthz", tags=["operation"])
    async def alive() -> StatusResponse:
        """Whether the process is alive"""
        return StatusResponse(status="ok")

    @app.get("/readyz", tags=["operation"], responses={503: ERRORS[503]})
    async def ready() -> StatusResponse:
        """Whether the model is loaded"""
        if not service.ready and service.failure:
            raise BusyError(f"the model cannot be loaded: {service.failure}", hint=NO_MODEL)
        if not service.ready:
            raise BusyError("the model is being loaded")
        return StatusResponse(status="ok")

    @app.get("/metrics", tags=["operation"], response_class=Response)
    async def prometheus() -> Response:
        """Metrics in Prometheus's format"""
        return Response(generate_latest(metrics.registry), media_type=CONTENT_TYPE_LATEST)

    return app


def _load_or_log(service: Service) -> None:
    try:
        service.load()
    except Exception:  # noqa: BLE001  # requests try again, and are told
        _log.exception("the model could not be loaded")


async def _answer_error(_: Request, error: AudioClassifierError) -> JSONResponse:
    message, hint = str(error), error.hint
    if isinstance(error, InvalidParameterError):
        message = f"{FIELDS.get(error.parameter, error.parameter)}: {error.reason}"
    if isinstance(error, StartBeyondEndError):  # the original's words, for clients that compare them
        message, hint = "Invalid start time: value outside audio clip", f"{message}. {hint}"
    headers = {"Retry-After": str(RETRY_AFTER_S)} if error.status == 503 else None
    return _error(error.status, message, hint, headers)


async def _answer_http_error(_: Request, error: HTTPException) -> JSONResponse:
    return _error(error.status_code, str(error.detail), "", dict(error.headers or {}))


async def _answer_nobody(_: Request, __: Exception) -> Response:
    return Response(status_code=CLIENT_CLOSED_REQUEST)


async def _answer_unforeseen(_: Request, error: Exception) -> JSONResponse:
    _log.error("unforeseen", exc_info=error)
    return _error(500, "something went wrong that should not have", "It was logged.")


def _error(status: int, message: str, hint: str, headers: dict[str, str] | None = None) -> JSONResponse:
    return JSONResponse({"status": "error", "message": message, "hint": hint}, status, headers)
