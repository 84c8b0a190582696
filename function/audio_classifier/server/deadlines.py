"""Stop waiting for work when its deadline has passed, or when the client has disconnected."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
from starlette.types import Receive

from audio_classifier.service.cancellation import Cancellation


@asynccontextmanager
async def bounded(
    cancellation: Cancellation, receive: Receive | None = None, *, grace_s: float = 0.0
) -> AsyncIterator[None]:
    """Cancel the block at the deadline.

    A thread for which the block waits is not abandoned: it ends at its next check, and then the block.

    Parameters
    ----------
    receive
        If given, the request's messages, whose body has been read: the block and the work are also cancelled
        when the client disconnects.
    grace_s
        How long after the deadline the block is cancelled, in seconds.

    Raises
    ------
    DeadlineExceededError, RequestCancelledError
        If the block was cancelled.
    """

    async def cancel_when_disconnected(receive: Receive) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        cancellation.cancel()
        scope.cancel()

    with anyio.CancelScope(deadline=anyio.current_time() + cancellation.remaining_s + grace_s) as scope:
        watcher = asyncio.create_task(cancel_when_disconnected(receive)) if receive else None
        try:
            yield
        finally:
            if watcher is not None:
                watcher.cancel()
                with anyio.CancelScope(shield=True):
                    await asyncio.wait([watcher])
    if scope.cancelled_caught:
        raise cancellation.error()
