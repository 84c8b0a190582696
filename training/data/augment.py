"""Patches to learn from: windows of the pool as they are, or mixed, sped up, filtered, with rooms and noise.

The teacher labels each patch as it comes out of here, so nothing that is done to it can make a label wrong.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from audio_classifier.constants import PATCH_SAMPLES
from training.data import effects
from training.data.clips import ClipPool
from training.data.windows import cut, read_patch

# So many patches are windows as they are; the student must know the undisturbed sounds best.
NATURAL_SHARE: Final = 1 / 3
# Of the others, so many are of one, two or three sources.
SOURCE_SHARES: Final = (0.4, 0.45, 0.15)
# The level of a further source beside the first, by RMS.
BESIDE_DB: Final = (-18.0, 6.0)

# Speeds are ratios of whole steps, of which a patch has 26: the transforms then have fast lengths.
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
    """``samples`` ``(15,600,)`` float32 within +-1; the clip and the offset in it of its first source."""

    samples: NDArray[np.float32]
    clip: int
    offset: int


class Augmenter:
    """An endless stream of patches.

    Parameters
    ----------
    pool
        Where sounds are taken from.
    windows
        ``(n, 2)`` int32, those to take, as `list_windows` lists them (without validation's).
    weights
        ``(n,)``, how often to take each, in any unit: what balances classes and sources.
    seed
        The same patches come for the same one.
    """

    def __init__(
        self, pool: ClipPool, windows: NDArray[np.int32], weights: NDArray[np.floating], seed: int
    ) -> None:
        if len(windows) != len(weights) or not np.sum(weights) > 0:
            raise ValueError(f"{len(windows)} windows have {len(weights)} weights; they must match, above 0")
        self._pool = pool
        self._windows = windows
        cumulative = np.cumsum(weights, dtype=np.float64)
        self._cumulative = cumulative / cumulative[-1]
        self._rng = np.random.default_rng(seed)
        self._rooms = [effects.room(self._rng) for _ in range(ROOMS)]

    def patch(self) -> Patch:
        """Make the next patch."""
        rng = self._rng
        clip, offset = self._pick()
        if rng.random() < NATURAL_SHARE:
            return Patch(read_patch(self._pool, clip, offset), clip, offset)
        offset = self._move(clip, offset)
        mixture = self._source(clip, offset)
        for _ in range(rng.choice(len(SOURCE_SHARES), p=SOURCE_SHARES)):
            other, other_offset = self._pick()
            beside = self._source(other, self._move(other, other_offset))
            mixture = mixture + beside * np.float32(10 ** (rng.uniform(*BESIDE_DB) / 20))
        mixture = effects.apply(mixture, response=self._response(), noise=self._noise(mixture))
        if rng.random() < OVERDRIVE_SHARE:
            mixture = effects.overdrive(mixture, rng.uniform(0.5, 4))
        return Patch(effects.set_peak(mixture, self._peak_db()), clip, offset)

    def _pick(self) -> tuple[int, int]:
        """A window by its weight: its clip and offset."""
        index = np.searchsorted(self._cumulative, self._rng.random(), "right")
        clip, offset = self._windows[index]
        return int(clip), int(offset)

    def _move(self, clip: int, offset: int) -> int:
        """Another offset nearby, so that windows are not always cut at the same places."""
        last = self._pool.clips[clip].samples - PATCH_SAMPLES
        if last <= 0 or self._rng.random() >= MOVED_SHARE:
            return offset
        moved = offset + self._rng.integers(-PATCH_SAMPLES // 2, PATCH_SAMPLES // 2)
        return int(np.clip(moved, 0, last))

    def _source(self, clip: int, offset: int) -> NDArray[np.float32]:
        """A window at a random speed, filled and at an RMS of one."""
        rng = self._rng
        span = PATCH_SAMPLES
        if rng.random() >= UNCHANGED_SPEED_SHARE:
            span = SPEED_STEP_SAMPLES * int(rng.integers(*SPEED_STEPS, endpoint=True))
        sound = cut(self._pool, clip, offset, span)
        if len(sound) < span:
            sound = self._fill(sound, span)
        return effects.normalise(effects.resample(sound, PATCH_SAMPLES))

    def _fill(self, sound: NDArray[np.float32], samples: int) -> NDArray[np.float32]:
        """Repeat a short sound, with gaps or without, or put silence around it."""
        rng = self._rng
        if rng.random() < 0.5:
            alone = np.zeros(samples, np.float32)
            start = rng.integers(samples - len(sound), endpoint=True)
            alone[start : start + len(sound)] = sound
            return alone
        gap = int(rng.integers(0, MAX_GAP_SAMPLES)) if rng.random() < 0.5 else 0
        period = np.concatenate([sound, np.zeros(gap, np.float32)])
        return np.roll(np.resize(period, samples), rng.integers(samples))

    def _response(self) -> effects.Spectrum | None:
        """An equaliser's response, a room's, both or none."""
        response = effects.equaliser(self._rng) if self._rng.random() < EQUALISER_SHARE else None
        if self._rng.random() < ROOM_SHARE:
            room = self._rooms[self._rng.integers(ROOMS)]
            response = room if response is None else response * room
        return response

    def _noise(self, mixture: NDArray[np.float32]) -> effects.Spectrum | None:
        """Noise at a level beside the mixture's, or none."""
        if self._rng.random() >= NOISE_SHARE:
            return None
        level = np.sqrt(np.mean(np.square(mixture))) * 10 ** (self._rng.uniform(*NOISE_DB) / 20)
        return effects.coloured_noise(self._rng) * np.float32(level)

    def _peak_db(self) -> float:
        """A level: mostly somewhere below full scale, at times close to it."""
        if self._rng.random() < 0.3:
            return -float(self._rng.uniform(0, 6))
        return max(MIN_PEAK_DB, -abs(float(self._rng.normal(0, 14))))
