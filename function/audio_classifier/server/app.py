"""The HTTP API: the routes of the MAX Audio Classifier, and additional ones."""

from __future__ import annotations

import logging
import math
import threading
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from importlib.resources import files
from typing import Any, Final

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse
from fastapi.staticfiles import StaticFiles
from starlette.middleware.cors import CORSMiddleware
from starlette.middleware.errors import ServerErrorMiddleware

from audio_classifier.errors import AudioClassifierError, BusyError, UnreadableAudioError
from audio_classifier.server import request_id, timing
from audio_classifier.server.api_keys import RequireApiKey, document_api_keys
from audio_classifier.server.body import audio_request
from audio_classifier.server.body_limits import BodyLimits
from audio_classifier.server.cloudevents import event_routes
from audio_classifier.server.content_encoding import DecodeBodies
from audio_classifier.server.deadlines import bounded
from audio_classifier.server.embed import embed_routes
from audio_classifier.server.errors import ERROR_RESPONSES, add_error_handlers, respond_to_unexpected
from audio_classifier.server.json_response import timeline_response
from audio_classifier.server.limiter import ConcurrencyLimiter
from audio_classifier.server.metrics import CountRequests, Metrics, metrics_routes
from audio_classifier.server.ndjson import accepts_ndjson, stream_timeline
from audio_classifier.server.pages import page_routes
from audio_classifier.server.request_id import RequestIds
from audio_classifier.server.response_headers import ResponseHeaders
from audio_classifier.server.routing import HeadAsGet, IgnoreTrailingSlash
from audio_classifier.server.schemas import (
    AUDIO_BODY,
    DESCRIPTION,
    METADATA,
    TITLE,
    VERSION,
    LabelsResponse,
    MetadataResponse,
    PredictResponse,
    StatusResponse,
    query_parameters,
)
from audio_classifier.server.spool import Spool
from audio_classifier.server.swagger2 import swagger_2
from audio_classifier.server.timing import ServerTiming, StageTimes
from audio_classifier.server.uploads import upload_routes
from audio_classifier.service.cancellation import DEADLINE_KEY, Cancellation
from audio_classifier.service.parameters import merge_repeated, parse_parameters
from audio_classifier.service.predict import predict, whole_timeline
from audio_classifier.service.settings import Settings
from audio_classifier.service.shared_classifier import SharedClassifier
from audio_classifier.service.uploads import Uploads

MAX_LOOKUPS: Final = 32
EXPOSED_HEADERS: Final = ("Retry-After", timing.HEADER, request_id.HEADER)  # to pages of other origins

_log = logging.getLogger(__name__)


def create_app(shared: SharedClassifier, uploads: Uploads | None = None) -> FastAPI:
    """Create the application.  It loads the model in the background, and reports early that it is alive.

    Parameters
    ----------
    shared
        Classifies.
    uploads
        Reads and writes objects; created from ``shared`` if omitted.
    """
    uploads = uploads or Uploads(shared)
    settings = shared.settings
    limiter = ConcurrencyLimiter(settings.max_concurrency, settings.max_queue)
    lookups = ConcurrencyLimiter(MAX_LOOKUPS, settings.max_queue)  # requests that wait for S3 or the model
    metrics = Metrics(shared, limiter)
    for observer in (metrics, StageTimes()):
        shared.observe(observer)

    app = FastAPI(
        title=TITLE,
        version=VERSION,
        description=DESCRIPTION,
        openapi_url=None if "docs" in settings.disabled_routes else "/openapi.json",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,  # Starlette would redirect to the client's Host header
        lifespan=_load_in_background(shared),
    )
    _add_middleware(app, settings, metrics)
    add_error_handlers(app)
    app.include_router(page_routes(settings.disabled_routes))
    if "docs" not in settings.disabled_routes:
        _add_documents(app, settings)
    _add_model_routes(app, shared, uploads, limiter, lookups)
    if settings.uploads_bucket:
        app.include_router(upload_routes(uploads, lookups))
    if settings.read_buckets and "events" not in settings.disabled_routes:
        app.include_router(event_routes(uploads, limiter))
    _add_health_routes(app, shared)
    if "metrics" not in settings.disabled_routes:
        app.include_router(metrics_routes(metrics))
    return app


def _load_in_background(shared: SharedClassifier) -> Any:
    def load() -> None:
        try:
            shared.load()
        except AudioClassifierError as error:  # requests try again, and report the error
            hint = f" ({error.hint})" if error.hint else ""
            _log.error("the model could not be loaded: %s%s", error, hint)  # one line
        except Exception:  # noqa: BLE001  # requests try again, and report the error
            _log.exception("the model could not be loaded")

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        threading.Thread(target=load, daemon=True).start()
        yield
        shared.close()

    return lifespan


def _add_middleware(app: FastAPI, settings: Settings, metrics: Metrics) -> None:
    """Add middleware; each one wraps those that were added before."""
    hint = "Only ten seconds are classified: shorten the recording, or encode it as FLAC, OGG or MP3"
    hint += "; for larger files, POST /uploads returns where to upload." if settings.uploads_bucket else "."
    app.add_middleware(DecodeBodies, max_bytes=settings.max_upload_bytes, hint=hint)
    app.add_middleware(BodyLimits, max_bytes=settings.max_upload_bytes, hint=hint)
    if settings.api_keys:
        app.add_middleware(RequireApiKey, keys=settings.api_keys)
    # CORS wraps it, so that browsers can also read the response to an unexpected error.
    app.add_middleware(ServerErrorMiddleware, handler=respond_to_unexpected)
    if settings.cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=settings.cors_origins,
            allow_methods=("GET", "HEAD", "POST"),
            allow_headers=("*",),
            expose_headers=EXPOSED_HEADERS,
        )
    app.add_middleware(CountRequests, metrics=metrics)
    app.add_middleware(ResponseHeaders)
    app.add_middleware(ServerTiming)
    app.add_middleware(RequestIds)
    app.add_middleware(IgnoreTrailingSlash)
    app.add_middleware(HeadAsGet)


def _add_documents(app: FastAPI, settings: Settings) -> None:
    """Add the files of Swagger UI, and the documents that FastAPI does not serve."""
    app.mount("/static", StaticFiles(directory=str(files("fastapi_offline") / "static")), name="static")
    if settings.api_keys:
        document_api_keys(app)

    @app.get("/swagger.json", include_in_schema=False)
    async def swagger_document(request: Request) -> JSONResponse:
        base_path = request.scope.get("root_path") or "/"
        return JSONResponse(swagger_2(base_path, needs_key=bool(settings.api_keys)))


def _add_model_routes(
    app: FastAPI,
    shared: SharedClassifier,
    uploads: Uploads,
    limiter: ConcurrencyLimiter,
    lookups: ConcurrencyLimiter,
) -> None:
    settings = shared.settings
    spool = Spool(settings.max_uploads_in_flight, settings.max_spooled_bytes)

    @app.get("/model/metadata", tags=["model"], operation_id="get_metadata")
    async def metadata() -> MetadataResponse:
        """Return the metadata associated with the model"""
        bundle = (await lookups.run(shared.load)).bundle
        identity = {"name": bundle.manifest.name, "version": bundle.manifest.version, "digest": bundle.digest}
        return MetadataResponse(**METADATA, bundle={**identity, "metrics": bundle.manifest.metrics})

    @app.get("/model/labels", tags=["model"], operation_id="get_labels")
    async def labels() -> LabelsResponse:
        """Return the list of labels that can be predicted by the model"""
        known = (await lookups.run(shared.load)).labels
        entries = [{"id": label.label_id, "name": label.name} for label in known]
        return LabelsResponse.model_validate({"count": len(entries), "labels": entries})

    @app.post(
        "/model/predict",
        tags=["model"],
        operation_id="predict",
        response_model=PredictResponse,
        response_model_exclude_none=True,
        responses=ERROR_RESPONSES,
        openapi_extra={"requestBody": AUDIO_BODY, "parameters": query_parameters()},
    )
    async def predict_audio(request: Request) -> Any:
        """Predict audio classes from input data"""
        # A form can also ask for a timeline, but its fields are known only after its body.
        in_query = request.query_params.multi_items()
        query = parse_parameters(merge_repeated(in_query))
        limit_s = request.scope.get(DEADLINE_KEY, math.inf)
        cancellation = Cancellation(
            min(limit_s, settings.timeline_deadline_s if query.timeline else settings.predict_deadline_s)
        )
        async with AsyncExitStack() as resources:
            async with bounded(cancellation):
                audio = await resources.enter_async_context(audio_request(request, uploads.access, spool))
            parameters = parse_parameters(merge_repeated([*audio.fields, *in_query]))
            if parameters.timeline:
                cancellation.set_deadline(min(limit_s, settings.timeline_deadline_s))
            try:
                if parameters.timeline and accepts_ndjson(request):
                    return await stream_timeline(
                        request,
                        limiter,
                        lambda: whole_timeline(shared, audio.open_source(), parameters, cancellation),
                        cancellation,
                        resources,
                    )

                def respond() -> Response:  # in a thread, because encoding takes time as well
                    source = audio.open_source()
                    if parameters.timeline:
                        return timeline_response(whole_timeline(shared, source, parameters, cancellation))
                    return JSONResponse(predict(shared, source, parameters, cancellation))

                async with bounded(cancellation, request.receive):
                    return await limiter.run(respond)
            except UnreadableAudioError as error:
                error.hint = audio.unreadable_hint() or error.hint
                raise

    app.include_router(embed_routes(shared, uploads.access, limiter, spool))


def _add_health_routes(app: FastAPI, shared: SharedClassifier) -> None:
    @app.get("/healthz", tags=["operation"])
    async def alive() -> StatusResponse:
        """Report whether the process is alive"""
        return StatusResponse(status="ok")

    @app.get("/readyz", tags=["operation"], responses={503: ERROR_RESPONSES[503]})
    async def ready() -> StatusResponse:
        """Report whether the model is loaded"""
        if not shared.ready and shared.failure:
            raise BusyError(
                f"the model cannot be loaded: {shared.failure}",
                hint="Check AUDIO_CLASSIFIER_BUNDLE and the log. Every request tries again.",
            )
        if not shared.ready:
            raise BusyError("the model is being loaded")
        return StatusResponse(status="ok")
