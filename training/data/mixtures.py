"""Sounds of ten seconds, as long as the head hears: one to three clips over or behind each other."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from audio_classifier.constants import CLIP_PATCHES, PATCH_HOP_SAMPLES, PATCH_SAMPLES
from training.data.balance import Draw
from training.data.clips import ClipPool
from training.data.windows import cut

SOUND_SAMPLES: Final = (CLIP_PATCHES - 1) * PATCH_HOP_SAMPLES + PATCH_SAMPLES
CLIPS_SHARES: Final = (0.35, 0.45, 0.2)  # of one, two or three clips
BESIDE_DB: Final = (-18.0, 6.0)  # of a further clip beside the first, by RMS
REPEATED_SHARE: Final = 0.5  # of the clips that are shorter than the sound
MAX_GAP_SAMPLES: Final = 32_000
PEAK_DB: Final = (-30.0, 0.0)


class Mixture(NamedTuple):
    """``samples`` ``(153,840,)`` float32 within +-1, and the clip and offset of its first source."""

    samples: NDArray[np.float32]
    clip: int
    offset: int


class Mixer:
    """An endless stream of mixtures.

    Parameters
    ----------
    pool
        Where sounds are taken from.
    windows
        ``(n, 2)``, clip and offset: where a source may begin.
    weights
        ``(n,)``, how often to take each.
    seed
        The same mixtures come for the same one.
    """

    def __init__(self, pool: ClipPool, windows: NDArray[np.int32], weights: NDArray[Any], seed: int) -> None:
        self._pool = pool
        self._windows = windows
        self._draw = Draw(weights)
        self._rng = np.random.default_rng(seed)

    def mixture(self) -> Mixture:
        """Make the next one."""
        rng = self._rng
        mixed, clip, offset = self._source()
        for _ in range(rng.choice(len(CLIPS_SHARES), p=CLIPS_SHARES)):
            mixed = mixed + self._source()[0] * np.float32(10 ** (rng.uniform(*BESIDE_DB) / 20))
        peak = 10 ** (rng.uniform(*PEAK_DB) / 20)
        return Mixture(mixed * np.float32(peak / max(float(np.abs(mixed).max()), 1e-6)), clip, offset)

    def _source(self) -> Mixture:
        """A clip from one of its windows on, at an RMS of one where it sounds, filled up to the length."""
        rng = self._rng
        clip, offset = map(int, self._windows[self._draw(rng, 1)[0]])
        sound = cut(self._pool, clip, offset, SOUND_SAMPLES)
        sound = sound / max(float(np.sqrt(np.mean(np.square(sound)))), 1e-4)
        missing = SOUND_SAMPLES - len(sound)
        if missing == 0:
            return Mixture(sound, clip, offset)
        if rng.random() < REPEATED_SHARE:
            gap = np.zeros(rng.integers(MAX_GAP_SAMPLES), np.float32)
            repeated = np.resize(np.concatenate([sound, gap]), SOUND_SAMPLES)
            return Mixture(np.roll(repeated, rng.integers(SOUND_SAMPLES)), clip, offset)
        before = rng.integers(missing + 1)
        return Mixture(np.pad(sound, (before, missing - before)), clip, offset)
