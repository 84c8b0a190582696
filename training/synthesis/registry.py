"""The registry of recipes, which synthesise one kind of sound each, varied by a random generator."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from numpy.random import Generator

from training.synthesis.dsp import Signal

Recipe = Callable[[Generator, int], Signal]


@dataclass(frozen=True)
class Entry:
    """A recipe and the number of its clips in a pool."""

    make: Recipe
    clips: int


RECIPES: Final[dict[str, Entry]] = {}


def recipe(clips: int) -> Callable[[Recipe], Recipe]:
    """Register a function from ``(rng, samples)`` to a signal under its name."""

    def register(make: Recipe) -> Recipe:
        RECIPES[make.__name__] = Entry(make, clips)
        return make

    return register
