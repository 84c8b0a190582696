"""Building blocks of recipes. A signal is ``(samples,)`` float64 at 16 kHz, at any level."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Final

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from audio_classifier.constants import SAMPLE_RATE_HZ

Signal = NDArray[Any]

# Highest synthesised frequency: above the range of the log-mels, and safely below half the sample rate.
TOP_HZ: Final = 7800.0


def samples_of(duration_s: float) -> int:
    """Return the number of samples of a duration, at least one."""
    return max(1, int(duration_s * SAMPLE_RATE_HZ))


def times(samples: int) -> Signal:
    """Return the time of each sample in seconds."""
    return np.arange(samples) / SAMPLE_RATE_HZ


def log_uniform(rng: Generator, low: float, high: float) -> float:
    """Draw a number whose logarithm is uniformly distributed."""
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def unit(signal: Signal) -> Signal:
    """Scale a signal to an RMS of one."""
    return np.asarray(signal / (np.sqrt(np.mean(np.square(signal))) + 1e-9))


def total(parts: Iterable[Signal]) -> Signal:
    """Add signals of equal length."""
    return np.asarray(np.sum(list(parts), axis=0))


def white(rng: Generator, samples: int) -> Signal:
    """Make white noise with an RMS of one."""
    return rng.standard_normal(samples)


def coloured(rng: Generator, samples: int, slope: float) -> Signal:
    """Make noise with an RMS of one whose power falls by f^slope: 0 is white, 1 pink, 2 brown."""
    spectrum = np.fft.rfft(white(rng, samples))
    spectrum /= np.arange(1, len(spectrum) + 1) ** (slope / 2)
    return unit(np.fft.irfft(spectrum, samples))


def band(signal: Signal, low_hz: float, high_hz: float, order: int = 2) -> Signal:
    """Filter a signal to a frequency band, with the magnitudes of Butterworth filters and no wrap-around."""
    size = 1 << (2 * len(signal) - 1).bit_length()
    frequencies = np.fft.rfftfreq(size, 1 / SAMPLE_RATE_HZ)
    high_passed = 1 + (max(low_hz, 1.0) / np.maximum(frequencies, 1e-3)) ** (2 * order)
    low_passed = 1 + (frequencies / min(high_hz, TOP_HZ)) ** (2 * order)
    return np.fft.irfft(np.fft.rfft(signal, size) / np.sqrt(high_passed * low_passed), size)[: len(signal)]


def noise_band(rng: Generator, samples: int, low_hz: float, high_hz: float, order: int = 1) -> Signal:
    """Make noise in a frequency band, with an RMS of one."""
    return unit(band(white(rng, samples), low_hz, high_hz, order))


def slowly(rng: Generator, samples: int, changes_hz: float) -> Signal:
    """Make a random curve between 0 and 1 that changes ``changes_hz`` times per second."""
    knots = rng.random(int(samples / SAMPLE_RATE_HZ * changes_hz) + 3)
    return np.interp(times(samples) * changes_hz, np.arange(len(knots)), knots)


def decay(samples: int, rate_hz: float) -> Signal:
    """Make an exponential decay by a factor of e in ``1 / rate_hz`` seconds."""
    return np.exp(-rate_hz * times(samples))


def arc(samples: int, power: float = 1.0) -> Signal:
    """Make a rise and a fall: half a period of a sine, raised to a power."""
    return np.sin(np.pi * (np.arange(samples) + 0.5) / samples) ** power


def edges(samples: int, fade_s: float = 0.02) -> Signal:
    """Make an envelope of one with a linear fade at both ends."""
    index = np.arange(samples)
    return np.minimum(1, np.minimum(index, index[::-1]) / (fade_s * SAMPLE_RATE_HZ))


def phase(frequency_hz: Signal | float, samples: int) -> Signal:
    """Count the periods that have passed at each sample, for a constant or changing frequency."""
    return np.cumsum(np.broadcast_to(frequency_hz, samples)) / SAMPLE_RATE_HZ


def harmonics(
    rng: Generator, frequency_hz: Signal | float, amplitudes: Sequence[float] | Signal, samples: int
) -> Signal:
    """Make a tone with one harmonic per amplitude, at random phases, without those above `TOP_HZ`."""
    turns = 2 * np.pi * phase(frequency_hz, samples)
    highest_hz = float(np.max(frequency_hz))
    signal = np.zeros(samples)
    for number, amplitude in enumerate(amplitudes, 1):
        if number * highest_hz < TOP_HZ and amplitude:
            signal += amplitude * np.sin(number * turns + rng.uniform(0, 2 * np.pi))
    return signal


def falling(count: int, power: float) -> Signal:
    """Return amplitudes of harmonics, ``1 / number**power``."""
    return np.arange(1.0, count + 1) ** -power


Formants = Sequence[tuple[float, float]]


def voiced(rng: Generator, frequency_hz: Signal | float, formants: Formants, jitter: float) -> Signal:
    """Make a voice with an RMS of one: a saw-tooth (the glottis) through resonances (the vocal tract).

    Fant, *Acoustic Theory of Speech Production*, 1960.

    Parameters
    ----------
    rng
        Generator of the jitter.
    frequency_hz
        ``(samples,)``, frequency of the glottis.
    formants
        Centre in Hz and gain of each resonance.
    jitter
        Relative variation of the frequency.
    """
    frequency_hz = np.asarray(frequency_hz)
    samples = len(frequency_hz)
    trembling = frequency_hz * (1 + jitter * (slowly(rng, samples, 12) - 0.5))
    saw = 2 * (phase(trembling, samples) % 1) - 1
    return unit(resonate(saw, formants))


def resonate(signal: Signal, formants: Formants, quality: float = 6.0) -> Signal:
    """Filter a signal with parallel resonances; quality is the centre of a resonance divided by its width."""
    size = 1 << (2 * len(signal) - 1).bit_length()
    frequencies = np.maximum(np.fft.rfftfreq(size, 1 / SAMPLE_RATE_HZ), 1e-3)
    response = total(
        gain / np.sqrt(1 + (quality * (frequencies / hz - hz / frequencies)) ** 2) for hz, gain in formants
    )
    return np.fft.irfft(np.fft.rfft(signal, size) * response, size)[: len(signal)]


def place(signal: Signal, part: Signal, at_s: float, gain: float = 1.0) -> None:
    """Add a part to a signal from ``at_s`` on, cut off at the signal's end."""
    start = int(at_s * SAMPLE_RATE_HZ)
    stop = min(len(signal), start + len(part))
    if 0 <= start < stop:
        signal[start:stop] += gain * part[: stop - start]


def onsets(rng: Generator, samples: int, gap_s: Callable[[], float], first_s: float = 0.4) -> Iterator[float]:
    """Yield times of events to the signal's end, the first before ``first_s``, separated by ``gap_s()``."""
    at_s = rng.uniform(0, first_s)
    while at_s < samples / SAMPLE_RATE_HZ:
        yield at_s
        at_s += max(0.01, gap_s())


def impulses(rng: Generator, samples: int, per_s: float, spread: float = 1.0) -> Signal:
    """Make impulses at random times (a Poisson process), with sizes exponentially distributed to a power."""
    count = rng.poisson(samples / SAMPLE_RATE_HZ * per_s)
    signal = np.zeros(samples)
    np.add.at(signal, rng.integers(0, samples, count), rng.exponential(1, count) ** spread)
    return signal


def reverberate(rng: Generator, signal: Signal, decay_s: float) -> Signal:
    """Add the reverberation of a room with a decay of 60 dB in ``decay_s`` seconds."""
    tail_samples = samples_of(decay_s)
    response = white(rng, tail_samples) * decay(tail_samples, np.log(1000) / decay_s)
    response *= 0.5 / np.sqrt(np.sum(response**2))
    response[0] += 1
    size = 1 << (len(signal) + tail_samples).bit_length()
    return np.fft.irfft(np.fft.rfft(signal, size) * np.fft.rfft(response, size), size)[: len(signal)]


def sometimes_reverberate(rng: Generator, signal: Signal, share: float, longest_s: float) -> Signal:
    """Add the reverberation of a room in a share of cases; otherwise leave the signal unchanged."""
    return reverberate(rng, signal, rng.uniform(0.1, longest_s)) if rng.random() < share else signal
