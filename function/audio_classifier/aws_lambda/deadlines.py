"""End work before Lambda ends the function, which would lose the answer and count as an error."""

from __future__ import annotations

from typing import Any, Final

from audio_classifier.service.cancellation import Cancellation

MARGIN_S: Final = 2.0  # to finish the step in progress, and to answer


def remaining_s(context: Any) -> float | None:
    """Return the seconds that an invocation may work; None if its context states no time limit.

    Parameters
    ----------
    context
        Lambda's context object; None for a request that the function makes itself.
    """
    remaining_ms = getattr(context, "get_remaining_time_in_millis", None)
    return None if remaining_ms is None else max(0.0, remaining_ms() / 1000 - MARGIN_S)


def cancellation_for(context: Any) -> Cancellation:
    """Return the deadline of an invocation's work."""
    return Cancellation(remaining_s(context))
