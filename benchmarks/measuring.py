"""Measurements in turn, so that whatever else the machine does hits all that is compared."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeAlias

Values: TypeAlias = dict[str, list[float]]
"""What was measured of a subject: values by quantity."""

Measured: TypeAlias = dict[str, Values]
"""By subject."""


def interleaved(subjects: Mapping[str, Callable[[], Mapping[str, float]]], rounds: int) -> Measured:
    """Measure each subject once a round; each round begins with another one.

    If there are several rounds, one before them fills caches and does not count.
    """
    values: Measured = {name: {} for name in subjects}
    names = list(subjects)
    for number in range(-1 if rounds > 1 else 0, rounds):
        for name in rotated(names, number):
            measured = subjects[name]()
            for quantity, value in measured.items() if number >= 0 else ():
                values[name].setdefault(quantity, []).append(value)
    return values


def rotated(names: list[str], number: int) -> list[str]:
    """The same names, beginning with another one in each round."""
    begin = number % len(names)
    return names[begin:] + names[:begin]
