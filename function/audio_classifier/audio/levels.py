"""Measure samples: invalid, clipped and very quiet ones, and those in the scale of integers."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from audio_classifier.audio.warnings import CLIPPED, INVALID_SAMPLES, VERY_QUIET, AudioWarning
from audio_classifier.errors import InvalidSamplesError

MAX_ABS_SAMPLE: Final = 2.0**31  # unscaled 32-bit integers in a float file are loud, but valid
MAX_INVALID_SHARE: Final = 0.01
MAX_CLIPPED_SHARE: Final = 0.001
PEAK_STEP: Final = 64  # of the samples that are looked at first
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
    peak: float = 0.0  # of the mono samples; a lower bound if it is not quiet

    def count(self, block: NDArray[Any], peak: float, full_scale: float) -> None:
        """Add decoded samples with their largest magnitude; those from ``full_scale`` on are clipped."""
        self.samples += block.size
        if peak >= full_scale:
            self.clipped += int(np.count_nonzero((block >= full_scale) | (block <= -full_scale)))

    def add_peak(self, mono: NDArray[Any]) -> None:
        """Update the peak with mono samples whose full scale is 1, unless it is known to be loud enough."""
        for samples in (mono[::PEAK_STEP], mono):
            if self.peak < QUIET_PEAK:
                self.peak = max(self.peak, magnitude(samples))

    def add(self, other: Levels) -> None:
        """Add the statistics of other samples."""
        self.samples += other.samples
        self.clipped += other.clipped
        self.invalid += other.invalid
        self.peak = max(self.peak, other.peak)

    def warnings(self) -> list[AudioWarning]:
        """Return the warnings that follow from the levels."""
        found = []
        if self.invalid:
            message = (
                f"samples that are NaN, infinite or beyond 2^31 were replaced with zeros: {self.invalid}"
            )
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


class InvalidSamples:
    """Replaces samples that are not valid numbers with zeros, and counts them."""

    def __init__(self) -> None:
        self.samples = 0
        self._all_samples = 0
        self._first_frame = 0

    def replaced(self, block: NDArray[Any], position: int) -> tuple[NDArray[Any], float]:
        """Return a block that begins at the frame ``position`` without invalid samples, and its magnitude."""
        self._all_samples += block.size
        peak = magnitude(block)
        if peak <= MAX_ABS_SAMPLE:  # false for NaN
            return block, peak
        valid, invalid = without_invalid(block)
        if self.samples == 0:
            self._first_frame = position + int(invalid.any(axis=1).argmax())
        self.samples += int(invalid.sum())
        return valid, magnitude(valid)

    def check(self, rate_hz: int) -> None:
        """Raise `InvalidSamplesError` if more than 1 % of the samples are invalid."""
        if self.samples > MAX_INVALID_SHARE * self._all_samples:
            time_s, share = self._first_frame / rate_hz, self.samples / self._all_samples
            raise InvalidSamplesError(
                f"{share:.0%} of the samples after {time_s:.4g} s are NaN, infinite or larger than 2^31 "
                "in magnitude; at most 1 % may be"
            )


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
