"""A timeline over HTTP while it is made: JSON lines."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import StreamingResponse

from audio_classifier.errors import AudioClassifierError
from audio_classifier.server.limiter import Gate

MEDIA_TYPE: Final = "application/x-ndjson"


def lines_wanted(request: Request) -> bool:
    """Whether the client asks for lines."""
    accepted = request.headers.get("accept", "").lower().split(",")
    return any(choice.partition(";")[0].strip() == MEDIA_TYPE for choice in accepted)


async def answer_in_lines(
    gate: Gate, listen: Callable[[], Iterator[tuple[str, dict[str, Any]]]], resources: AsyncExitStack
) -> StreamingResponse:
    """Answer ``{"window": ...}`` and ``{"event": ...}`` line by line, and ``{"status": ...}`` in the end.

    What fails before the first line is raised; what fails later is told in the last one: the answer's status
    has been sent.

    Parameters
    ----------
    gate
        Where each line waits for its turn.
    listen
        Begins; see `prediction.timeline`.
    resources
        What is listened to depends on: taken over, and closed when all is answered.
    """
    items = gate.stream(await gate.run(listen))
    first = await anext(items)
    held = resources.pop_all()

    async def lines() -> AsyncIterator[str]:
        async with held:
            yield _line(dict([first]))
            try:
                async for item in items:
                    yield _line(dict([item]))
            except AudioClassifierError as error:
                yield _line({"status": "error", "message": str(error), "hint": error.hint})
            else:
                yield _line({"status": "ok"})

    return StreamingResponse(lines(), media_type=MEDIA_TYPE)


def _line(content: dict[str, Any]) -> str:
    return json.dumps(content) + "\n"
