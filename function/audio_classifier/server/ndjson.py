"""Stream a timeline over HTTP as newline-delimited JSON."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import StreamingResponse

from audio_classifier.errors import AudioClassifierError
from audio_classifier.inference.sound_events import SoundEvent
from audio_classifier.inference.windows import Window
from audio_classifier.server.errors import body_of
from audio_classifier.server.limiter import ConcurrencyLimiter

MEDIA_TYPE: Final = "application/x-ndjson"


def accepts_ndjson(request: Request) -> bool:
    """Return whether the client asks for newline-delimited JSON."""
    accepted = request.headers.get("accept", "").lower().split(",")
    return any(choice.partition(";")[0].strip() == MEDIA_TYPE for choice in accepted)


async def stream_timeline(
    limiter: ConcurrencyLimiter,
    start_timeline: Callable[[], Iterator[Window | SoundEvent]],
    resources: AsyncExitStack,
) -> StreamingResponse:
    """Answer with a line for each ``{"window": ...}`` and ``{"event": ...}``, and ``{"status": ...}`` last.

    An error before the first line is raised.  A later one is the last line, because the response's status has
    been sent by then.

    Parameters
    ----------
    limiter
        Limits the computation of each line.
    start_timeline
        Starts the timeline; see `service.predict.timeline`.
    resources
        The open files; the response takes ownership and closes them.
    """
    items = limiter.stream(await limiter.run(start_timeline))
    first = await anext(items)
    owned_resources = resources.pop_all()

    async def lines() -> AsyncIterator[str]:
        async with owned_resources:
            yield _item_line(first)
            try:
                async for item in items:
                    yield _item_line(item)
            except AudioClassifierError as error:
                yield _line(body_of(error))
            else:
                yield _line({"status": "ok"})

    return StreamingResponse(lines(), media_type=MEDIA_TYPE)


def _item_line(item: Window | SoundEvent) -> str:
    return _line({"window" if isinstance(item, Window) else "event": item.to_dict()})


def _line(content: dict[str, Any]) -> str:
    return json.dumps(content) + "\n"
