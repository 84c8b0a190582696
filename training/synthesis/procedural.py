"""Synthesise the clips of all recipes, seeded by recipe name so that recipes do not affect each other."""

from __future__ import annotations

import zlib
from typing import Final

import numpy as np

from audio_classifier.constants import SAMPLE_RATE_HZ
from training.data.clips import SYNTHESIS, ClipWriter, to_int16

# Importing these modules registers their recipes.
from training.synthesis import animals, body, impacts, machines, nature, people, signals  # noqa: F401
from training.synthesis.dsp import Signal, samples_of
from training.synthesis.registry import RECIPES

SOURCE: Final = f"{SYNTHESIS}procedural"
# Synthetic clips have the licence of this project.
LICENCE: Final = "Apache-2.0"
DURATION_S: Final = 5.0
PEAK: Final = 0.8


def synthesise(name: str, number: int, duration_s: float = DURATION_S) -> Signal:
    """Synthesise clip ``number`` of a recipe, ``(samples,)`` float64 with its peak at `PEAK`."""
    rng = np.random.default_rng([zlib.crc32(name.encode()), number])
    signal = RECIPES[name].make(rng, samples_of(duration_s))
    return np.asarray(signal * (PEAK / max(1e-9, np.abs(signal).max())))


def add(writer: ClipWriter, share: float = 1.0) -> float:
    """Add the clips of all recipes, or a share of the clips of each; return the minutes added."""
    added = 0
    for name, entry in RECIPES.items():
        for number in range(max(1, round(share * entry.clips))):
            clip = to_int16(synthesise(name, number))
            if clip is not None:
                added += len(clip) * writer.add(SOURCE, f"{name}/{number}", LICENCE, clip)
    return added / 60 / SAMPLE_RATE_HZ
