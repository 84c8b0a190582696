"""Animals: voices as pulses through resonances, whistles of birds, and rasping insects."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator

from training.synthesis.dsp import (
    Signal,
    arc,
    coloured,
    edges,
    falling,
    harmonics,
    log_uniform,
    noise_band,
    onsets,
    place,
    samples_of,
    slowly,
    sometimes_reverberate,
    times,
    voiced,
)
from training.synthesis.registry import recipe


@recipe(80)
def birds(rng: Generator, samples: int) -> Signal:
    """Birds, each with its own phrase of short whistles, nearly pure tones that sweep and trill."""
    signal = np.zeros(samples)
    for _ in range(rng.integers(1, 5)):
        pitch_hz, sweep_hz, trill_hz = rng.uniform(1800, 6200), rng.uniform(-1500, 1500), rng.uniform(0, 60)
        length = samples_of(rng.uniform(0.03, 0.3))
        within = np.linspace(-0.5, 0.5, length)
        trill = rng.uniform(0, 700) * np.sin(2 * np.pi * trill_hz * times(length))
        notes, pause_s, gain = rng.integers(1, 12), rng.uniform(0.3, 2), log_uniform(rng, 0.06, 1)
        step_s = length / 16_000 * rng.uniform(1.05, 1.8)
        overtone = rng.uniform(0, 0.25)
        for at_s in onsets(rng, samples, lambda: notes * step_s + rng.exponential(pause_s), 1.5):  # noqa: B023
            for note in range(notes):
                curve_hz = np.clip(pitch_hz * rng.uniform(0.97, 1.03) + sweep_hz * within + trill, 300, 7600)
                whistle = harmonics(rng, curve_hz, [1, overtone], length) * arc(length, 0.7)
                place(signal, whistle, at_s + note * step_s, gain)
    signal += coloured(rng, samples, 1.2) * rng.uniform(0, 0.2)
    return sometimes_reverberate(rng, signal, 0.6, 1)


@recipe(25)
def doves(rng: Generator, samples: int) -> Signal:
    """Pigeons, owls and cuckoos: low, almost pure hoots in a rhythm."""
    pitch_hz, pattern = rng.uniform(250, 800), rng.uniform(0.12, 0.6, rng.integers(1, 5))
    steps = rng.choice([1, 0.8, 0.84, 1.12], len(pattern))
    signal = coloured(rng, samples, 1.2) * rng.uniform(0, 0.1)
    for at_s in onsets(rng, samples, lambda: 1.3 * pattern.sum() + rng.exponential(0.7), 0.6):
        for start_s, long_s, step in zip(np.cumsum(pattern) * 1.15, pattern, steps, strict=True):
            length = samples_of(long_s)
            curve_hz = pitch_hz * step * (0.92 + 0.08 * arc(length))
            place(signal, harmonics(rng, curve_hz, [1, 0.2, 0.05], length) * arc(length, 0.6), at_s + start_s)
    return sometimes_reverberate(rng, signal, 0.6, 1.5)


@recipe(40)
def crickets(rng: Generator, samples: int) -> Signal:
    """Crickets and cicadas: bursts of a high tone, pulsed as the teeth of a wing pass."""
    time_s = times(samples)
    signal = coloured(rng, samples, 1) * rng.uniform(0, 0.3)
    for _ in range(rng.integers(1, 5)):
        pulses = np.maximum(0, np.sin(2 * np.pi * rng.uniform(8, 80) * time_s + rng.uniform(0, 6))) ** 2
        bursts = (time_s * rng.uniform(0.5, 4) + rng.random()) % 1 < rng.uniform(0.2, 1)
        signal += np.sin(2 * np.pi * rng.uniform(2500, 6800) * time_s) * pulses * bursts * rng.random()
    return signal


@recipe(25)
def buzz(rng: Generator, samples: int) -> Signal:
    """Flies, bees and mosquitos: many harmonics of a wing beat that wavers as they pass."""
    beat_hz = log_uniform(rng, 100, 650) * (1 + 0.15 * (slowly(rng, samples, 2) - 0.5))
    wings = harmonics(rng, beat_hz, falling(12, rng.uniform(0.4, 1.4)), samples)
    return wings * np.square(slowly(rng, samples, rng.uniform(0.5, 2))) + coloured(rng, samples, 1) * 0.02


@recipe(25)
def frogs(rng: Generator, samples: int) -> Signal:
    """Frogs: a train of pulses through the resonance of the vocal sac; several in a pond."""
    signal = coloured(rng, samples, 1) * rng.uniform(0, 0.2)
    for _ in range(rng.integers(1, 7)):
        pitch_hz, pulse_hz = log_uniform(rng, 300, 2800), rng.uniform(15, 120)
        length = samples_of(rng.uniform(0.08, 0.7))
        croak = voiced(rng, np.full(length, pulse_hz), [(pitch_hz, 1), (2.1 * pitch_hz, 0.3)], 0.2) * arc(
            length, 0.5
        )
        pause_s = rng.uniform(0.3, 1.5)
        for at_s in onsets(rng, samples, lambda: length / 16_000 + rng.exponential(pause_s), 1):  # noqa: B023
            place(signal, croak, at_s, rng.uniform(0.6, 1))
    return signal


@recipe(60)
def dog(rng: Generator, samples: int) -> Signal:
    """Barks: a rough voice with breath that rises and falls quickly, higher and shorter for small dogs."""
    pitch_hz, length_s, breath = log_uniform(rng, 180, 900), rng.uniform(0.08, 0.3), rng.uniform(0.2, 1.2)
    formants = [(rng.uniform(500, 1100), 1), (rng.uniform(1200, 2200), 0.8), (rng.uniform(2500, 4000), 0.4)]
    signal = coloured(rng, samples, 1) * rng.uniform(0, 0.1)
    for at_s in onsets(rng, samples, lambda: rng.choice([rng.uniform(0.2, 0.7), rng.exponential(1.5)]), 0.5):
        length = samples_of(length_s * rng.uniform(0.8, 1.2))
        within = np.arange(length) / length
        curve_hz = (
            pitch_hz * rng.uniform(0.92, 1.08) * (0.75 + 0.5 * np.sin(np.pi * np.minimum(1, 1.3 * within)))
        )
        bark = voiced(rng, curve_hz, formants, 0.3) + breath * noise_band(rng, length, 500, 4500)
        place(signal, bark * np.minimum(1, 12 * within) * (1 - within) ** rng.uniform(0.5, 1.5), at_s)
    return sometimes_reverberate(rng, signal, 0.7, 0.8)


@recipe(20)
def howl(rng: Generator, samples: int) -> Signal:
    """Howling wolves and dogs: a voice that rises, stays and falls over seconds."""
    signal = np.zeros(samples)
    for at_s in onsets(rng, samples, lambda: rng.uniform(1, 3), 1):
        length = samples_of(rng.uniform(1.2, 3.5))
        curve_hz = rng.uniform(280, 650) * (0.7 + 0.4 * arc(length, 0.4))
        place(signal, voiced(rng, curve_hz, [(600, 1), (1100, 0.4)], 0.03) * arc(length, 0.5), at_s)
    return sometimes_reverberate(rng, signal, 0.8, 2)


@recipe(45)
def cat(rng: Generator, samples: int) -> Signal:
    """Meows, a nasal voice with an arc of pitch; or purring, 25 pulses per second with the breath."""
    if rng.random() < 0.35:
        pulses = voiced(
            rng, np.full(samples, rng.uniform(20, 32)), [(rng.uniform(120, 300), 1), (900, 0.3)], 0.2
        )
        breaths = 0.4 + 0.6 * np.abs(np.sin(np.pi * times(samples) * rng.uniform(0.4, 0.9)))
        return pulses * breaths + noise_band(rng, samples, 100, 2500) * 0.15
    pitch_hz = rng.uniform(350, 900)
    signal = coloured(rng, samples, 1) * rng.uniform(0, 0.1)
    for at_s in onsets(rng, samples, lambda: 1 + rng.exponential(0.8), 0.5):
        length = samples_of(rng.uniform(0.3, 1.1))
        curve_hz = pitch_hz * (0.8 + 0.45 * np.sin(np.pi * (np.arange(length) / length) ** 0.7))
        formants = [(rng.uniform(700, 1200), 1), (rng.uniform(1500, 2400), 0.8), (3500, 0.4)]
        place(signal, voiced(rng, curve_hz, formants, 0.04) * arc(length, 0.6), at_s)
    return signal


@recipe(60)
def cattle(rng: Generator, samples: int) -> Signal:
    """Cows, sheep, goats and pigs: long calls, trembling for sheep and goats, noisy grunts for pigs."""
    low_hz, high_hz, tremble, breath, longest_s, tract = (
        (80, 190, 0.03, 0.1, 2.2, 0.8),
        (190, 420, 0.5, 0.2, 1.2, 1.1),
        (250, 520, 0.7, 0.2, 0.9, 1.2),
        (60, 160, 0.5, 1.2, 0.4, 1.0),
    )[rng.integers(4)]
    pitch_hz, rate_hz = rng.uniform(low_hz, high_hz), rng.uniform(6, 11)
    formants = [
        (tract * hz * rng.uniform(0.9, 1.1), gain) for hz, gain in ((550, 1), (1150, 0.6), (2500, 0.3))
    ]
    signal = coloured(rng, samples, 1.2) * rng.uniform(0, 0.1)
    for at_s in onsets(rng, samples, lambda: longest_s * 0.7 + rng.exponential(0.6), 0.6):
        length = samples_of(longest_s * rng.uniform(0.4, 1))
        trembling = 1 + 0.15 * tremble * np.sin(2 * np.pi * rate_hz * times(length))
        curve_hz = pitch_hz * (0.85 + 0.2 * arc(length)) * trembling
        call = voiced(rng, curve_hz, formants, 0.05 + 0.2 * tremble) + breath * noise_band(
            rng, length, 400, 3500
        )
        place(signal, call * edges(length, 0.06) * trembling**6, at_s)
    return sometimes_reverberate(rng, signal, 0.4, 0.8)


@recipe(40)
def poultry(rng: Generator, samples: int) -> Signal:
    """Hens, ducks and crows: short rasping calls in groups, some of them drawn out."""
    pitch_hz, rasp, length_s = log_uniform(rng, 180, 700), rng.uniform(0.05, 0.5), rng.uniform(0.06, 0.35)
    formants = [(rng.uniform(900, 1500), 1), (rng.uniform(1800, 2800), 0.9), (rng.uniform(3200, 4500), 0.4)]
    signal = coloured(rng, samples, 1) * rng.uniform(0, 0.1)
    for at_s in onsets(rng, samples, lambda: rng.choice([rng.uniform(0.12, 0.5), rng.exponential(1)]), 0.5):
        length = samples_of(length_s * rng.choice([1, 1, 1, 2.5]) * rng.uniform(0.8, 1.2))
        call = voiced(rng, pitch_hz * (0.8 + 0.4 * arc(length)), formants, rasp)
        place(signal, (call + rasp * noise_band(rng, length, 800, 5000)) * arc(length, 0.5), at_s)
    return sometimes_reverberate(rng, signal, 0.4, 0.8)


@recipe(25)
def hooves(rng: Generator, samples: int) -> Signal:
    """A horse's gait: four even beats (walk), two (trot), or three and a pause (gallop)."""
    pattern = np.array(((0, 0.25, 0.5, 0.75), (0, 0.5), (0, 0.22, 0.44))[rng.integers(3)])
    period_s, low_hz, hard = rng.uniform(0.45, 1.1), rng.uniform(250, 700), rng.uniform(0, 1)
    signal = coloured(rng, samples, 1.2) * rng.uniform(0, 0.05)
    length = samples_of(0.07)
    for at_s in onsets(rng, samples, lambda: period_s * rng.uniform(0.97, 1.03)):
        for beat in pattern * period_s:
            thud = noise_band(rng, length, low_hz, low_hz * (2 + 4 * hard)) * np.exp(
                -times(length) * rng.uniform(50, 110)
            )
            place(signal, thud, at_s + beat, rng.uniform(0.4, 1))
    return sometimes_reverberate(rng, signal, 0.5, 0.6)
