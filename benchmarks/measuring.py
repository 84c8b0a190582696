"""Measurements in turn, so that whatever else the machine does hits all that is compared."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping
from typing import Final, TypeAlias

Values: TypeAlias = dict[str, list[float]]
"""What was measured of a subject: values by quantity."""

Measured: TypeAlias = dict[str, Values]
"""By subject."""

PAUSE_S: Final = 0.3  # threads of the process before wait in loops for more work, a tenth of a second


def interleaved(subjects: Mapping[str, Callable[[], Mapping[str, float]]], rounds: int) -> Measured:
    """Measure each subject once a round; each round is in an order of its own.

    If there are several rounds, one before them fills caches and does not count.
    """
    values: Measured = {name: {} for name in subjects}
    orders = random.Random(0)  # noqa: S311
    for number in range(-1 if rounds > 1 else 0, rounds):
        for name in orders.sample(list(subjects), len(subjects)):
            time.sleep(PAUSE_S)
            measured = subjects[name]()
            for quantity, value in measured.items() if number >= 0 else ():
                values[name].setdefault(quantity, []).append(value)
    return values
