"""What may happen to a sound on its way into a recording: speed, filters, rooms, noise, distortion, level.

Filters, rooms and noise are spectra of `BINS` bins, so that one transform there and back applies all of them.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from audio_classifier.constants import PATCH_SAMPLES, SAMPLE_RATE_HZ

# A patch and its reverberation, without wrapping around.
TRANSFORM_SAMPLES: Final = 1 << 15
BINS: Final = TRANSFORM_SAMPLES // 2 + 1
FREQUENCIES_HZ: Final = np.fft.rfftfreq(TRANSFORM_SAMPLES, 1 / SAMPLE_RATE_HZ).astype(np.float32)

LOG_FREQUENCIES: Final = np.log(FREQUENCIES_HZ + np.float32(30))

Spectrum = NDArray[Any]


def resample(sound: NDArray[np.float32], samples: int) -> NDArray[np.float32]:
    """Stretch a sound over another number of samples, as a tape at another speed does; band-limited."""
    if len(sound) == samples:
        return sound
    stretched: NDArray[np.float32] = np.asarray(np.fft.irfft(np.fft.rfft(sound), samples), np.float32)
    stretched *= samples / len(sound)
    return stretched


def normalise(sound: NDArray[np.float32]) -> NDArray[np.float32]:
    """A sound at an RMS of one; silence stays silent."""
    gain: np.float32 = 1 / (np.sqrt(np.mean(np.square(sound))) + np.float32(1e-5))
    return sound * gain


def equaliser(rng: np.random.Generator) -> Spectrum:
    """A random frequency response: a bent curve, sometimes with a low-pass or high-pass, as microphones have.

    Returns
    -------
    ``(16385,)`` float32, a factor for each bin.
    """
    knots = rng.integers(3, 10)
    gains_db = rng.normal(0, rng.uniform(1, 9), knots)
    places = np.linspace(LOG_FREQUENCIES[0], LOG_FREQUENCIES[-1], knots)
    # A decibel is ln(10) / 20 nepers.
    response: Spectrum = np.exp(
        np.interp(LOG_FREQUENCIES, places, gains_db * (np.log(10) / 20)).astype(np.float32)
    )
    if rng.random() < 0.2:
        cutoff_hz = 10 ** rng.uniform(2.9, 3.85)
        response /= 1 + (FREQUENCIES_HZ / np.float32(cutoff_hz)) ** rng.choice([2, 4, 8])
    if rng.random() < 0.15:
        cutoff_hz = 10 ** rng.uniform(1.8, 3.1)
        response /= 1 + (np.float32(cutoff_hz) / (FREQUENCIES_HZ + 1)) ** rng.choice([2, 4, 8])
    return response


def room(rng: np.random.Generator) -> Spectrum:
    """The response of a random room: a direct sound, then sparse or dense noise that dies away.

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
        # Walls and air take the treble.
        tail = np.convolve(tail, np.full(3, 1 / 3), "same")
    direct_to_reverberant = 10 ** rng.uniform(-0.3, 1)
    tail[0] = direct_to_reverberant * np.sqrt(np.sum(tail**2) + 1e-9)
    tail /= np.sqrt(np.sum(tail**2))
    return np.fft.rfft(tail.astype(np.float32), TRANSFORM_SAMPLES)


def coloured_noise(rng: np.random.Generator) -> Spectrum:
    """Noise between white and brown, ``(16385,)`` complex64, at an RMS of one over the whole transform."""
    noise = rng.standard_normal((2, BINS), np.float32)
    spectrum: Spectrum = (noise[0] + 1j * noise[1]) * (FREQUENCIES_HZ + 20) ** np.float32(
        -rng.uniform(0, 1.2)
    )
    return spectrum * np.float32(TRANSFORM_SAMPLES / (np.sqrt(2) * np.linalg.norm(spectrum)))


def apply(
    sound: NDArray[np.float32], *, response: Spectrum | None, noise: Spectrum | None
) -> NDArray[np.float32]:
    """Filter a patch, then add noise; both are spectra as made above."""
    if response is None and noise is None:
        return sound
    spectrum = np.fft.rfft(sound, TRANSFORM_SAMPLES)
    if response is not None:
        spectrum *= response
    if noise is not None:
        spectrum += noise
    return np.fft.irfft(spectrum, TRANSFORM_SAMPLES)[:PATCH_SAMPLES].astype(np.float32)


def overdrive(sound: NDArray[np.float32], drive: float) -> NDArray[np.float32]:
    """Softly clip a sound that an overdriven amplifier or microphone would."""
    return np.asarray(np.tanh(normalise(sound) * np.float32(drive)))


def set_peak(sound: NDArray[np.float32], peak_db: float) -> NDArray[np.float32]:
    """Bring the loudest sample to a level below full scale."""
    peak = np.abs(sound).max() + np.float32(1e-6)
    return sound * np.float32(10 ** (peak_db / 20) / peak)
