"""Search files for positions by the times or sample numbers that are stored in them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeAlias

# Returns the position and the value of the first mark that begins in a range of positions.
Probe: TypeAlias = Callable[[int, int], tuple[int, int] | None]

MIN_RANGE_BYTES: Final = 64 << 10
BISECTED: Final = 2  # every second step halves the range, whatever the values are


def find_mark(
    probe: Probe, target: float, *, begin: int, end: int, first: int, last: int, tolerance: float
) -> int:
    """Return the position of a mark whose value is at most ``target``, or ``begin``.

    Values increase about evenly with the position, so that few probes suffice; each can be a request to S3.

    Parameters
    ----------
    probe
        Reads the file.
    begin, end
        The positions to search.
    first, last
        The values there.
    tolerance
        How much less than the target the value may be.  It can be still less where marks are far apart, or
        within the last `MIN_RANGE_BYTES`.
    """
    low, low_value, high, high_value, step = begin, first, end, last, 0
    while high - low > MIN_RANGE_BYTES and target - low_value > tolerance:
        step += 1
        share = 0.5
        if step % BISECTED and high_value > low_value:
            share = (target - tolerance / 2 - low_value) / (high_value - low_value)
        guess = low + 1 + int(min(max(share, 0), 0.95) * (high - low - 1))
        mark = probe(guess, high)
        if mark is not None and mark[1] <= target:
            low, low_value = mark
        else:
            high = guess
            high_value = mark[1] if mark is not None else high_value
    return low
