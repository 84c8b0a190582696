"""Event-based evaluation: which detected sound events match labelled ones.

A detected event matches a labelled one of the same class if its start is at most a collar away, and its end
is at most the collar or half of the labelled event's length away, whichever is longer; each event matches at
most once (Mesaros, Heittola, Virtanen, *Metrics for Polyphonic Sound Event Detection*, Applied Sciences 6(6),
2016).
"""

from __future__ import annotations

import heapq
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from typing import Final, TypeAlias

END_SHARE: Final = 0.5  # of the labelled event's length

Span: TypeAlias = tuple[float, float]
"""The start and end of an event in seconds."""


def count_matches(labelled: Sequence[Span], detected: Sequence[Span], collar_s: float) -> int:
    """Return the maximum number of pairs of matching events.

    Detected events must be ordered and must not overlap.  Each labelled event then matches consecutive ones,
    and for such intervals it is optimal to give each detected event, in order, to the labelled event whose
    interval ends first (Glover, *Maximum matching in a convex bipartite graph*, 1967).
    """
    starts, ends = [start for start, _ in detected], [end for _, end in detected]
    intervals = []
    for start, end in labelled:
        end_collar_s = max(collar_s, END_SHARE * (end - start))
        first = max(bisect_left(starts, start - collar_s), bisect_left(ends, end - end_collar_s))
        stop = min(bisect_right(starts, start + collar_s), bisect_right(ends, end + end_collar_s))
        if first < stop:
            intervals.append((first, stop))
    intervals.sort(reverse=True)
    open_stops: list[int] = []
    matches = 0
    for position in range(len(detected)):
        while intervals and intervals[-1][0] <= position:
            heapq.heappush(open_stops, intervals.pop()[1])
        while open_stops and open_stops[0] <= position:
            heapq.heappop(open_stops)
        if open_stops:
            heapq.heappop(open_stops)
            matches += 1
    return matches
