"""Stream a timeline over HTTP as newline-delimited JSON."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator
from contextlib import AsyncExitStack, aclosing, suppress
from typing import Final

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from audio_classifier.errors import AudioClassifierError, DeadlineExceededError, RequestCancelledError
from audio_classifier.server.deadlines import bounded
from audio_classifier.server.errors import body_of
from audio_classifier.server.limiter import ConcurrencyLimiter
from audio_classifier.service.cancellation import Cancellation
from audio_classifier.service.predict import TimelineItem
from audio_classifier.service.timeline_lines import MEDIA_TYPE, item_line, line

LAST_LINE_S: Final = 5.0  # to send the error of an exceeded deadline


def accepts_ndjson(request: Request) -> bool:
    """Return whether the client asks for newline-delimited JSON."""
    accepted = request.headers.get("accept", "").lower().split(",")
    return any(choice.partition(";")[0].strip() == MEDIA_TYPE for choice in accepted)


async def stream_timeline(
    request: Request,
    limiter: ConcurrencyLimiter,
    start_timeline: Callable[[], Generator[TimelineItem, None, None]],
    cancellation: Cancellation,
    resources: AsyncExitStack,
) -> Response:
    """Answer with a line for each window, event and warning, and ``{"status": ...}`` last.

    An error before the first line is raised.  A later one is the last line, because the response's status has
    been sent by then.

    Parameters
    ----------
    request
        The request, whose body has been read.
    limiter
        Limits the computation of each line.
    start_timeline
        Starts the timeline; see `service.predict.timeline`.
    cancellation
        Stops the timeline; cancelled when the client disconnects.
    resources
        The open files; the response takes ownership and closes them.
    """
    async with bounded(cancellation, request.receive):
        timeline = await limiter.run(start_timeline)
        resources.callback(timeline.close)
        items = limiter.stream(timeline)
        first = await anext(items)
    return _LinesResponse(_lines(first, items, cancellation), cancellation, resources.pop_all())


class _LinesResponse(StreamingResponse):
    """A stream that ends, and closes its resources, when the client disconnects or does not read in time."""

    def __init__(
        self, lines: AsyncGenerator[str, None], cancellation: Cancellation, resources: AsyncExitStack
    ) -> None:
        super().__init__(lines, media_type=MEDIA_TYPE)
        self._lines = lines
        self._cancellation = cancellation
        self._resources = resources

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002
        async with self._resources, aclosing(self._lines):
            with suppress(DeadlineExceededError, RequestCancelledError):
                async with bounded(self._cancellation, receive, grace_s=LAST_LINE_S):
                    await self.stream_response(send)


async def _lines(
    first: TimelineItem, items: AsyncIterator[TimelineItem], cancellation: Cancellation
) -> AsyncGenerator[str, None]:
    item: TimelineItem | None = first
    try:
        while item is not None:
            yield item_line(item)
            async with bounded(cancellation):
                item = await anext(items, None)
    except AudioClassifierError as error:
        yield line(body_of(error))
    else:
        yield line({"status": "ok"})
