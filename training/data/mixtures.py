"""Ten-second mixtures, the length that the head classifies: one to three clips, overlaid or in sequence."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from audio_classifier.constants import CLIP_PATCHES
from training.data.balance import Draw
from training.data.clips import ClipPool
from training.data.windows import cut, span_samples

MIXTURE_SAMPLES: Final = span_samples(CLIP_PATCHES)
CLIP_COUNT_SHARES: Final = (0.35, 0.45, 0.2)  # of mixtures of one, two and three clips
FURTHER_CLIP_DB: Final = (-18.0, 6.0)  # RMS level of a further clip, relative to the first
REPEATED_SHARE: Final = 0.5  # of the clips that are shorter than the mixture
MAX_GAP_SAMPLES: Final = 32_000
PEAK_DB: Final = (-30.0, 0.0)


class Mixture(NamedTuple):
    """A ten-second mixture.

    Attributes
    ----------
    samples
        ``(153,840,)`` float32 within +-1.
    clip, offset
        The clip of the first source, and the offset at which the source begins in it.
    """

    samples: NDArray[np.float32]
    clip: int
    offset: int


class Mixer:
    """Generate mixtures endlessly.

    Parameters
    ----------
    pool
        The clips that sources are cut from.
    windows
        ``(n, 2)``, clip and offset: the positions at which a source may begin.
    weights
        ``(n,)``, relative frequency of each window.
    seed
        Equal seeds give equal mixtures.
    """

    def __init__(self, pool: ClipPool, windows: NDArray[np.int32], weights: NDArray[Any], seed: int) -> None:
        self._pool = pool
        self._windows = windows
        self._draw = Draw(weights)
        self._rng = np.random.default_rng(seed)

    def mixture(self) -> Mixture:
        """Generate the next mixture."""
        rng = self._rng
        mixed, clip, offset = self._source()
        for _ in range(rng.choice(len(CLIP_COUNT_SHARES), p=CLIP_COUNT_SHARES)):
            mixed = mixed + self._source()[0] * np.float32(10 ** (rng.uniform(*FURTHER_CLIP_DB) / 20))
        peak = 10 ** (rng.uniform(*PEAK_DB) / 20)
        return Mixture(mixed * np.float32(peak / max(float(np.abs(mixed).max()), 1e-6)), clip, offset)

    def _source(self) -> Mixture:
        """Cut a clip from a random window on, normalise it to an RMS of one, and extend it to full length."""
        rng = self._rng
        clip, offset = map(int, self._windows[self._draw(rng, 1)[0]])
        signal = cut(self._pool, clip, offset, MIXTURE_SAMPLES)
        signal = signal / max(float(np.sqrt(np.mean(np.square(signal)))), 1e-4)
        missing = MIXTURE_SAMPLES - len(signal)
        if missing == 0:
            return Mixture(signal, clip, offset)
        if rng.random() < REPEATED_SHARE:
            gap = np.zeros(rng.integers(MAX_GAP_SAMPLES), np.float32)
            repeated = np.resize(np.concatenate([signal, gap]), MIXTURE_SAMPLES)
            return Mixture(np.roll(repeated, rng.integers(MIXTURE_SAMPLES)), clip, offset)
        before = rng.integers(missing + 1)
        return Mixture(np.pad(signal, (before, missing - before)), clip, offset)
