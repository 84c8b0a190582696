"""Measure all subjects interleaved, so that other load on the machine affects all of them alike."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping
from typing import Final, TypeAlias

Values: TypeAlias = dict[str, list[float]]
"""The measured values of one subject, by quantity."""

Measured: TypeAlias = dict[str, Values]
"""The values of all subjects, by name."""

PAUSE_S: Final = 0.3  # threads of the previous process busy-wait for more work for a tenth of a second


def interleaved(subjects: Mapping[str, Callable[[], Mapping[str, float]]], rounds: int) -> Measured:
    """Measure each subject once per round, in a new random order every round.

    With more than one round, an additional first round fills caches and is discarded.
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
