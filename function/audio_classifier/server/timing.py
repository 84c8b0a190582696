"""Report the time that the stages of a request took, in the header ``Server-Timing``."""

from __future__ import annotations

import time
from contextvars import ContextVar
from typing import Final

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from audio_classifier.inference.clip import Classification

HEADER: Final = "Server-Timing"

_stages: ContextVar[dict[str, float] | None] = ContextVar("stages", default=None)


def record_stage(stage: str, seconds: float) -> None:
    """Add seconds to a stage of the request that the current task or thread serves, if it serves one."""
    stages = _stages.get()
    if stages is not None:
        stages[stage] = stages.get(stage, 0.0) + seconds


class StageTimes:
    """An observer of the classifier that records the stages of requests."""

    def model_loaded(self, seconds: float) -> None:
        """Record that a request has loaded the model."""
        record_stage("load", seconds)

    def clip_classified(self, classification: Classification) -> None:
        """Record the stages of a clip."""
        for stage, seconds in classification.seconds.items():
            record_stage(stage, seconds)

    def recording_analyzed(self, analyzed_s: float) -> None:
        """Do nothing: `stage_ended` reports the time."""

    def stage_ended(self, stage: str, seconds: float) -> None:
        """Record another stage."""
        record_stage(stage, seconds)


class ServerTiming:
    """ASGI middleware that adds the header to responses of requests with stages, and their total."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        begin = time.perf_counter()
        stages: dict[str, float] = {}
        _stages.set(stages)

        async def send_with_times(message: Message) -> None:
            if message["type"] == "http.response.start" and stages:
                times = {**stages, "total": time.perf_counter() - begin}
                MutableHeaders(scope=message)[HEADER] = ", ".join(
                    f"{stage};dur={1000 * seconds:.1f}" for stage, seconds in times.items()
                )
            await send(message)

        await self._app(scope, receive, send_with_times)
