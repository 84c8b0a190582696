"""Prometheus metrics of the HTTP server."""

from __future__ import annotations

import platform
import time
from collections.abc import Iterator
from typing import Final

from fastapi import APIRouter, Response
from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
)
from prometheus_client.core import InfoMetricFamily
from prometheus_client.registry import Collector
from starlette.types import ASGIApp, Message, Receive, Scope, Send

import audio_classifier
from audio_classifier.inference.clip import Classification
from audio_classifier.server.limiter import ConcurrencyLimiter
from audio_classifier.service.shared_classifier import SharedClassifier

METHODS: Final = frozenset({"DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"})
REQUEST_BUCKETS_S: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 120.0, 900.0)
STAGE_BUCKETS_S: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)


class Metrics:
    """The metrics of one process; observes its classifier.

    Parameters
    ----------
    shared
        The classifier.
    limiter
        The limiter of recordings.
    """

    def __init__(self, shared: SharedClassifier, limiter: ConcurrencyLimiter) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "audio_classifier_requests",
            "HTTP requests",
            ("method", "route", "status"),
            registry=self.registry,
        )
        self.request_seconds = Histogram(
            "audio_classifier_request_seconds",
            "Seconds from the headers of a request to the end of its response",
            ("route", "status"),
            buckets=REQUEST_BUCKETS_S,
            registry=self.registry,
        )
        self.in_flight = Gauge(
            "audio_classifier_requests_in_flight",
            "Requests that are being received, wait or are served",
            registry=self.registry,
        )
        queued = Gauge(
            "audio_classifier_requests_queued", "Recordings that wait for a thread", registry=self.registry
        )
        queued.set_function(lambda: limiter.waiting)
        self.registry.register(_Build(shared))
        self.stage_seconds = Histogram(
            "audio_classifier_stage_seconds",
            "Seconds spent in each stage of a classification",
            ("stage",),
            buckets=STAGE_BUCKETS_S,
            registry=self.registry,
        )
        self.audio_seconds = Counter(
            "audio_classifier_audio_seconds", "Seconds of audio that were analyzed", registry=self.registry
        )
        self.cold_starts = Counter(
            "audio_classifier_cold_starts", "How often the model was loaded", registry=self.registry
        )

    def model_loaded(self, seconds: float) -> None:
        """Count a cold start."""
        self.cold_starts.inc()
        self.stage_seconds.labels("load").observe(seconds)

    def clip_classified(self, classification: Classification) -> None:
        """Count a clip."""
        self.audio_seconds.inc(classification.analyzed_s)
        for stage, seconds in classification.seconds.items():
            self.stage_seconds.labels(stage).observe(seconds)

    def recording_analyzed(self, analyzed_s: float) -> None:
        """Count a timeline."""
        self.audio_seconds.inc(analyzed_s)

    def stage_ended(self, stage: str, seconds: float) -> None:
        """Count another stage."""
        self.stage_seconds.labels(stage).observe(seconds)


class _Build(Collector):
    """What runs: a metric that is collected when it is requested, because it takes milliseconds."""

    def __init__(self, shared: SharedClassifier) -> None:
        self._shared = shared

    def collect(self) -> Iterator[InfoMetricFamily]:
        classifier = self._shared.loaded
        manifest = classifier.bundle.manifest if classifier else None
        yield InfoMetricFamily(
            "audio_classifier_build",
            "Versions of the package and of Python, and the model; its name is empty until it is loaded",
            value={
                "version": audio_classifier.__version__,
                "python": platform.python_version(),
                "model": manifest.name if manifest else "",
                "model_version": manifest.version if manifest else "",
            },
        )


class CountRequests:
    """ASGI middleware that counts and times requests by route and status."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        begin = time.perf_counter()
        status = 500  # of a request that ends with an exception

        async def send_and_note_status(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            with self._metrics.in_flight.track_inprogress():
                await self._app(scope, receive, send_and_note_status)
        finally:
            # Paths and methods as clients send them would make an unbounded number of time series.
            route = getattr(scope.get("route"), "path", "other")
            method = scope["method"] if scope["method"] in METHODS else "other"
            self._metrics.requests.labels(method, route, str(status)).inc()
            seconds = time.perf_counter() - begin
            self._metrics.request_seconds.labels(route, f"{status // 100}xx").observe(seconds)


def metrics_routes(metrics: Metrics) -> APIRouter:
    """Create the route that Prometheus reads."""
    router = APIRouter(tags=["operation"])

    @router.get("/metrics", response_class=Response)
    async def prometheus() -> Response:
        """Metrics in Prometheus's format"""
        return Response(generate_latest(metrics.registry), media_type=CONTENT_TYPE_LATEST)

    return router
