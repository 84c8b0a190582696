"""Levels of samples: what is invalid, clipped, very quiet, or in the scale of integers."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from audio_classifier.audio.warnings import CLIPPED, INVALID_SAMPLES, VERY_QUIET, AudioWarning

MAX_ABS_SAMPLE: Final = 2.0**31  # unscaled 32-bit integers in a float file are loud, but valid
MAX_INVALID_SHARE: Final = 0.01
MAX_CLIPPED_SHARE: Final = 0.001
QUIET_PEAK: Final = 0.001  # -60 dBFS
# The largest value of a subtype that stores fewer than 16 bits, with a full scale of 1.
FULL_SCALES: Final = {
    "PCM_S8": 127 / 128,
    "PCM_U8": 127 / 128,
    "ULAW": 32_124 / 32_768,
    "ALAW": 32_256 / 32_768,
}
FULL_SCALE_16: Final = 32_767 / 32_768
INTEGER_SCALES: Final = (2.0**15, 2.0**23, 2.0**31)


@dataclass(slots=True)
class Levels:
    """Statistics of the samples that were read."""

    samples: int = 0
    clipped: int = 0
    invalid: int = 0
    peak: float = 0.0  # of the mono samples, with a full scale of 1

    def count(self, block: NDArray[Any], full_scale: float) -> None:
        """Add decoded samples; those from ``full_scale`` on are clipped."""
        self.samples += block.size
        if block.size and magnitude(block) >= full_scale:
            self.clipped += int(np.count_nonzero((block >= full_scale) | (block <= -full_scale)))

    def add(self, other: Levels) -> None:
        """Add the statistics of other samples."""
        self.samples += other.samples
        self.clipped += other.clipped
        self.invalid += other.invalid
        self.peak = max(self.peak, other.peak)

    def warnings(self) -> list[AudioWarning]:
        """Return what the levels show."""
        found = []
        if self.invalid:
            message = f"{self.invalid} samples were not finite numbers and were replaced with zeros"
            found.append(AudioWarning(INVALID_SAMPLES, message, {"samples": self.invalid}))
        if self.clipped > MAX_CLIPPED_SHARE * self.samples:
            share = self.clipped / self.samples
            message = f"the recording is clipped: {share:.1%} of its samples are at full scale"
            found.append(AudioWarning(CLIPPED, message, {"share": round(share, 4)}))
        if self.samples and self.peak < QUIET_PEAK:
            found.append(_very_quiet(self.peak))
        return found


def full_scale(subtype: str) -> float:
    """Return the largest value that an encoding, by libsndfile's name, can store if its full scale is 1."""
    return FULL_SCALES.get(subtype, FULL_SCALE_16)


def magnitude(samples: NDArray[Any]) -> float:
    """Return the largest magnitude; NaN if a sample is NaN, 0 without samples."""
    return max(float(samples.max()), -float(samples.min())) if samples.size else 0.0


def without_invalid(block: NDArray[Any]) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """Replace NaN, infinities and values above 2^31 with zeros.

    Returns
    -------
    The block, and which of its samples were replaced.
    """
    invalid = ~(np.abs(block) <= MAX_ABS_SAMPLE)
    return np.where(invalid, block.dtype.type(0), block), invalid


def integer_scale(peak: float) -> float:
    """Return the smallest full scale of integers, 2^15, 2^23 or 2^31, that a peak does not exceed."""
    return next((scale for scale in INTEGER_SCALES if peak <= scale), INTEGER_SCALES[-1])


def _very_quiet(peak: float) -> AudioWarning:
    if peak == 0:
        return AudioWarning(VERY_QUIET, "the recording contains only silence: every sample is zero", {})
    peak_dbfs = 20 * math.log10(peak)
    message = f"the recording is very quiet: its peak is {peak_dbfs:.0f} dBFS"
    return AudioWarning(VERY_QUIET, message, {"peak_dbfs": round(peak_dbfs, 1)})
