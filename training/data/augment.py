"""Make training patches: unmodified windows of the pool, and augmented mixtures of windows.

Augmentation changes the speed, mixes windows, filters, and adds rooms and noise. The teacher labels the
augmented patch itself, so augmentation cannot make a label wrong.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from audio_classifier.constants import PATCH_SAMPLES
from training.data import effects
from training.data.clips import ClipPool
from training.data.windows import cut, read_patch

# The share of unmodified windows; the student must know undisturbed recordings best.
NATURAL_SHARE: Final = 1 / 3
# The shares of the other patches that mix one, two or three sources.
SOURCE_SHARES: Final = (0.4, 0.45, 0.15)
# The RMS level of each further source, relative to the first.
FURTHER_SOURCE_DB: Final = (-18.0, 6.0)

# A patch has 26 speed steps; speeds are ratios of whole steps, which keeps the FFT lengths fast.
SPEED_STEP_SAMPLES: Final = 600
SPEED_STEPS: Final = (16, 42)
UNCHANGED_SPEED_SHARE: Final = 0.35

MOVED_SHARE: Final = 0.6
MAX_GAP_SAMPLES: Final = 6000
EQUALISER_SHARE: Final = 0.65
ROOM_SHARE: Final = 0.3
ROOMS: Final = 128
NOISE_SHARE: Final = 0.35
NOISE_DB: Final = (-40.0, 3.0)
OVERDRIVE_SHARE: Final = 0.08
MIN_PEAK_DB: Final = -50.0


class Patch(NamedTuple):
    """A training patch.

    Attributes
    ----------
    samples
        ``(15,600,)`` float32 within +-1.
    clip, offset
        The clip of the first source, and the offset of the window in it.
    """

    samples: NDArray[np.float32]
    clip: int
    offset: int


class Augmenter:
    """Generate patches endlessly.

    Parameters
    ----------
    pool
        The clips that windows are cut from.
    windows
        ``(n, 2)`` int32, the windows to draw, as returned by `list_windows`, without those for validation.
    weights
        ``(n,)``, relative frequency of each window; balances classes and sources.
    seed
        Equal seeds give equal patches.
    """

    def __init__(
        self, pool: ClipPool, windows: NDArray[np.int32], weights: NDArray[np.floating], seed: int
    ) -> None:
        if len(windows) != len(weights) or not np.sum(weights) > 0:
            raise ValueError(
                f"each of the {len(windows)} windows must have a weight, and the sum must be positive, "
                f"got {len(weights)} weights with the sum {np.sum(weights):g}"
            )
        self._pool = pool
        self._windows = windows
        cumulative = np.cumsum(weights, dtype=np.float64)
        self._cumulative = cumulative / cumulative[-1]
        self._rng = np.random.default_rng(seed)
        self._rooms = [effects.room(self._rng) for _ in range(ROOMS)]

    def patch(self) -> Patch:
        """Generate the next patch."""
        rng = self._rng
        clip, offset = self._pick()
        if rng.random() < NATURAL_SHARE:
            return Patch(read_patch(self._pool, clip, offset), clip, offset)
        offset = self._move(clip, offset)
        mixture = self._source(clip, offset)
        for _ in range(rng.choice(len(SOURCE_SHARES), p=SOURCE_SHARES)):
            other, other_offset = self._pick()
            further = self._source(other, self._move(other, other_offset))
            mixture = mixture + further * np.float32(10 ** (rng.uniform(*FURTHER_SOURCE_DB) / 20))
        mixture = effects.apply(mixture, response=self._response(), noise=self._noise(mixture))
        if rng.random() < OVERDRIVE_SHARE:
            mixture = effects.overdrive(mixture, rng.uniform(0.5, 4))
        return Patch(effects.set_peak(mixture, self._peak_db()), clip, offset)

    def _pick(self) -> tuple[int, int]:
        """Draw a window by its weight; return its clip and offset."""
        index = np.searchsorted(self._cumulative, self._rng.random(), "right")
        clip, offset = self._windows[index]
        return int(clip), int(offset)

    def _move(self, clip: int, offset: int) -> int:
        """Move the offset at random, so that windows are not always cut at the same positions."""
        last = self._pool.clips[clip].samples - PATCH_SAMPLES
        if last <= 0 or self._rng.random() >= MOVED_SHARE:
            return offset
        moved = offset + self._rng.integers(-PATCH_SAMPLES // 2, PATCH_SAMPLES // 2)
        return int(np.clip(moved, 0, last))

    def _source(self, clip: int, offset: int) -> NDArray[np.float32]:
        """Cut a window at a random speed, fill it to the patch length and normalise it to an RMS of one."""
        rng = self._rng
        span = PATCH_SAMPLES
        if rng.random() >= UNCHANGED_SPEED_SHARE:
            span = SPEED_STEP_SAMPLES * int(rng.integers(*SPEED_STEPS, endpoint=True))
        signal = cut(self._pool, clip, offset, span)
        if len(signal) < span:
            signal = self._fill(signal, span)
        return effects.normalise(effects.resample(signal, PATCH_SAMPLES))

    def _fill(self, signal: NDArray[np.float32], samples: int) -> NDArray[np.float32]:
        """Repeat a short signal, with or without gaps, or surround it with silence."""
        rng = self._rng
        if rng.random() < 0.5:
            padded = np.zeros(samples, np.float32)
            start = rng.integers(samples - len(signal), endpoint=True)
            padded[start : start + len(signal)] = signal
            return padded
        gap = int(rng.integers(0, MAX_GAP_SAMPLES)) if rng.random() < 0.5 else 0
        period = np.concatenate([signal, np.zeros(gap, np.float32)])
        return np.roll(np.resize(period, samples), rng.integers(samples))

    def _response(self) -> effects.Spectrum | None:
        """Draw the response of an equaliser, a room, both or neither."""
        response = effects.equaliser(self._rng) if self._rng.random() < EQUALISER_SHARE else None
        if self._rng.random() < ROOM_SHARE:
            room = self._rooms[self._rng.integers(ROOMS)]
            response = room if response is None else response * room
        return response

    def _noise(self, mixture: NDArray[np.float32]) -> effects.Spectrum | None:
        """Draw noise at a random level relative to the mixture, or no noise."""
        if self._rng.random() >= NOISE_SHARE:
            return None
        level = np.sqrt(np.mean(np.square(mixture))) * 10 ** (self._rng.uniform(*NOISE_DB) / 20)
        return effects.coloured_noise(self._rng) * np.float32(level)

    def _peak_db(self) -> float:
        """Draw a peak level, usually well below full scale and sometimes close to it."""
        if self._rng.random() < 0.3:
            return -float(self._rng.uniform(0, 6))
        return max(MIN_PEAK_DB, -abs(float(self._rng.normal(0, 14))))
