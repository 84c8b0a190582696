"""Prometheus metrics of the HTTP server."""

from __future__ import annotations

from typing import Final

from prometheus_client import CollectorRegistry, Counter, Histogram
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from audio_classifier.inference.clip import Classification

METHODS: Final = frozenset({"DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"})
STAGE_BUCKETS_S: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)


class Metrics:
    """The metrics of one process; observes its classifier."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "audio_classifier_requests",
            "HTTP requests",
            ("method", "route", "status"),
            registry=self.registry,
        )
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


class CountRequests:
    """ASGI middleware that counts requests by method, route and status."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        status = 500  # of a request that ends with an exception

        async def send_and_note_status(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, send_and_note_status)
        finally:
            # Paths and methods as clients send them would make an unbounded number of time series.
            route = getattr(scope.get("route"), "path", "other")
            method = scope["method"] if scope["method"] in METHODS else "other"
            self._metrics.requests.labels(method, route, str(status)).inc()
