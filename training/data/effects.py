"""Effects that augment a signal: speed, filters, rooms, noise, distortion and level.

Filters, rooms and noise are spectra of `BINS` bins, so that one FFT and its inverse apply all of them.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from audio_classifier.constants import PATCH_SAMPLES, SAMPLE_RATE_HZ

# Long enough for a patch and its reverberation without wrap-around.
TRANSFORM_SAMPLES: Final = 1 << 15
BINS: Final = TRANSFORM_SAMPLES // 2 + 1
FREQUENCIES_HZ: Final = np.fft.rfftfreq(TRANSFORM_SAMPLES, 1 / SAMPLE_RATE_HZ).astype(np.float32)

LOG_FREQUENCIES: Final = np.log(FREQUENCIES_HZ + np.float32(30))

Spectrum = NDArray[Any]


def resample(signal: NDArray[np.float32], samples: int) -> NDArray[np.float32]:
    """Stretch a signal to another number of samples, as a tape at another speed does, band-limited."""
    if len(signal) == samples:
        return signal
    stretched: NDArray[np.float32] = np.asarray(np.fft.irfft(np.fft.rfft(signal), samples), np.float32)
    stretched *= samples / len(signal)
    return stretched


def normalise(signal: NDArray[np.float32]) -> NDArray[np.float32]:
    """Scale a signal to an RMS of one; silence stays silent."""
    gain: np.float32 = 1 / (np.sqrt(np.mean(np.square(signal))) + np.float32(1e-5))
    return signal * gain


def equaliser(rng: np.random.Generator) -> Spectrum:
    """Draw a random frequency response, sometimes with a low-pass or high-pass, like that of a microphone.

    Returns
    -------
    ``(16385,)`` float32, one factor per bin.
    """
    knots = rng.integers(3, 10)
    gains_db = rng.normal(0, rng.uniform(1, 9), knots)
    positions = np.linspace(LOG_FREQUENCIES[0], LOG_FREQUENCIES[-1], knots)
    # A decibel is ln(10) / 20 nepers.
    response: Spectrum = np.exp(
        np.interp(LOG_FREQUENCIES, positions, gains_db * (np.log(10) / 20)).astype(np.float32)
    )
    if rng.random() < 0.2:
        cutoff_hz = 10 ** rng.uniform(2.9, 3.85)
        response /= 1 + (FREQUENCIES_HZ / np.float32(cutoff_hz)) ** rng.choice([2, 4, 8])
    if rng.random() < 0.15:
        cutoff_hz = 10 ** rng.uniform(1.8, 3.1)
        response /= 1 + (np.float32(cutoff_hz) / (FREQUENCIES_HZ + 1)) ** rng.choice([2, 4, 8])
    return response


def room(rng: np.random.Generator) -> Spectrum:
    """Draw the response of a random room: the direct path, then sparse or dense noise that decays.

    Exponentially decaying noise is the usual model of late reverberation (Moorer, *About This Reverberation
    Business*, Computer Music Journal 3(2), 1979); it falls by 60 dB within 0.05 to 1.05 s here.

    Returns
    -------
    ``(16385,)`` complex64, of unit energy.
    """
    samples = int(SAMPLE_RATE_HZ * 10 ** rng.uniform(-1.3, 0.02))
    tail = rng.standard_normal(samples) * np.exp(-np.log(1000) * np.arange(samples) / samples)
    tail *= rng.random(samples) < rng.uniform(0.02, 1)
    if rng.random() < 0.7:
        # Walls and air absorb high frequencies.
        tail = np.convolve(tail, np.full(3, 1 / 3), "same")
    direct_to_reverberant = 10 ** rng.uniform(-0.3, 1)
    tail[0] = direct_to_reverberant * np.sqrt(np.sum(tail**2) + 1e-9)
    tail /= np.sqrt(np.sum(tail**2))
    return np.fft.rfft(tail.astype(np.float32), TRANSFORM_SAMPLES)


def coloured_noise(rng: np.random.Generator) -> Spectrum:
    """Draw noise between white and brown, ``(16385,)`` complex64, with an RMS of one over the transform."""
    noise = rng.standard_normal((2, BINS), np.float32)
    spectrum: Spectrum = (noise[0] + 1j * noise[1]) * (FREQUENCIES_HZ + 20) ** np.float32(
        -rng.uniform(0, 1.2)
    )
    return spectrum * np.float32(TRANSFORM_SAMPLES / (np.sqrt(2) * np.linalg.norm(spectrum)))


def apply(
    signal: NDArray[np.float32], *, response: Spectrum | None, noise: Spectrum | None
) -> NDArray[np.float32]:
    """Filter a patch, then add noise; both are spectra of `BINS` bins."""
    if response is None and noise is None:
        return signal
    spectrum = np.fft.rfft(signal, TRANSFORM_SAMPLES)
    if response is not None:
        spectrum *= response
    if noise is not None:
        spectrum += noise
    return np.fft.irfft(spectrum, TRANSFORM_SAMPLES)[:PATCH_SAMPLES].astype(np.float32)


def overdrive(signal: NDArray[np.float32], drive: float) -> NDArray[np.float32]:
    """Clip a signal softly, as an overdriven amplifier or microphone does."""
    return np.asarray(np.tanh(normalise(signal) * np.float32(drive)))


def set_peak(signal: NDArray[np.float32], peak_db: float) -> NDArray[np.float32]:
    """Scale a signal so that its peak is at ``peak_db`` relative to full scale."""
    peak = np.abs(signal).max() + np.float32(1e-6)
    return signal * np.float32(10 ** (peak_db / 20) / peak)
