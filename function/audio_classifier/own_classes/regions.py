"""Split recordings into windows of up to ten seconds, at loud or at labelled regions.

Positions are steps of 0.96 s.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

from audio_classifier.constants import CLIP_PATCHES, PATCH_S

LOUD_RANGE_DB: Final = 20.0  # below the loudest step
MIN_OVERLAP_S: Final = PATCH_S / 2  # of a labelled region and a window, for the window to have its labels


def loud_regions(levels_db: NDArray[np.float64]) -> list[range]:
    """Return the runs of loud steps; a single quiet step does not end a run.

    A step is loud if its level is at most 20 dB below that of the loudest step.  A steady sound, such as
    rain, is therefore loud throughout.

    Parameters
    ----------
    levels_db
        ``(steps >= 1,)``, the level of each step in decibels.
    """
    regions: list[range] = []
    for step in np.flatnonzero(levels_db >= levels_db.max() - LOUD_RANGE_DB).tolist():
        if regions and step - regions[-1].stop <= 1:
            regions[-1] = range(regions[-1].start, step + 1)
        else:
            regions.append(range(step, step + 1))
    return regions


def labelled_region(start_s: float, end_s: float, steps: int) -> range:
    """Return the steps that a time span touches, at least one, within a recording of ``steps``."""
    first = min(int(start_s / PATCH_S), steps - 1)
    return range(first, min(max(first + 1, math.ceil(round(end_s / PATCH_S, 6))), steps))


def cut(region: range) -> list[range]:
    """Cut a region into the least number of windows of up to ten steps, which are as equal as possible."""
    pieces = -(-len(region) // CLIP_PATCHES)
    bounds = [region.start + len(region) * piece // pieces for piece in range(pieces + 1)]
    return [range(start, stop) for start, stop in pairwise(bounds)]


def overlaps(window: range, start_s: float, end_s: float) -> bool:
    """Return whether a time span covers half a step of a window, or half of itself if it is shorter."""
    common_s = min(window.stop * PATCH_S, end_s) - max(window.start * PATCH_S, start_s)
    return common_s >= min(MIN_OVERLAP_S, (end_s - start_s) / 2)
