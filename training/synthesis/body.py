"""Sounds of a body: coughs, breath, snoring, steps, whistling."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator

from training.synthesis.dsp import (
    Signal,
    arc,
    band,
    coloured,
    decay,
    log_uniform,
    noise_band,
    onsets,
    place,
    samples_of,
    slowly,
    sometimes_reverberate,
    times,
    total,
    unit,
    voiced,
    white,
)
from training.synthesis.registry import recipe


@recipe(40)
def coughing(rng: Generator, samples: int) -> Signal:
    """Coughs and sneezes: a burst of noise through the throat, then a little voice, in groups."""
    signal = coloured(rng, samples, 1) * rng.uniform(0, 0.02)
    for at_s in onsets(rng, samples, lambda: rng.choice([rng.uniform(0.25, 0.6), rng.exponential(1.5)]), 0.5):
        length = samples_of(rng.uniform(0.15, 0.4))
        throat = [(rng.uniform(400, 700), 1), (rng.uniform(1000, 1700), 1), (3000, 0.5)]
        burst = total(gain * noise_band(rng, length, 0.8 * hz, 1.3 * hz) for hz, gain in throat)
        late = np.linspace(0, 1, length) > 0.4
        voice = voiced(rng, np.full(length, rng.uniform(100, 300)), [(600, 1), (1200, 0.6)], 0.2)
        place(signal, (burst + 0.5 * voice * late) * decay(length, 4 * 16_000 / length), at_s)
    return sometimes_reverberate(rng, signal, 0.5, 0.6)


@recipe(60)
def snoring(rng: Generator, samples: int) -> Signal:
    """Snoring: 25 to 110 flaps of the soft palate per second while inhaling, a hiss while exhaling."""
    period_s = rng.uniform(2, 4.5)
    signal = white(rng, samples) * log_uniform(rng, 1e-4, 1e-2)
    for at_s in onsets(rng, samples, lambda: period_s * rng.uniform(0.9, 1.1), 0.5):
        length = samples_of(period_s * rng.uniform(0.25, 0.5))
        throat = [(rng.uniform(150, 400), 1), (rng.uniform(700, 1300), 0.5), (rng.uniform(2000, 3000), 0.2)]
        flaps_hz = rng.uniform(25, 110) * (1 + 0.2 * slowly(rng, length, 3))
        air = noise_band(rng, length, 300, rng.uniform(1500, 5000)) * rng.uniform(0, 0.8)
        place(signal, (voiced(rng, flaps_hz, throat, 0.3) + air) * arc(length, rng.uniform(0.5, 2)), at_s)
        length = samples_of(0.3 * period_s)
        place(
            signal, noise_band(rng, length, 500, 4000) * arc(length), at_s + period_s / 2, rng.uniform(0, 0.7)
        )
    return signal


@recipe(25)
def breathing(rng: Generator, samples: int) -> Signal:
    """Breath: noise of the nose and throat, with different colours for inhaling and exhaling."""
    half_s = rng.uniform(0.35, 1.6)
    colours = [(log_uniform(rng, 200, 1200), log_uniform(rng, 1500, 6000)) for _ in range(2)]
    signal = white(rng, samples) * log_uniform(rng, 1e-3, 3e-2)
    for number, at_s in enumerate(onsets(rng, samples, lambda: half_s * rng.uniform(0.95, 1.3))):
        length = samples_of(half_s * rng.uniform(0.6, 0.95))
        place(
            signal,
            noise_band(rng, length, *colours[number % 2]) * arc(length, 1.5),
            at_s,
            1 - 0.4 * (number % 2),
        )
    return signal


@recipe(40)
def footsteps(rng: Generator, samples: int) -> Signal:
    """Footsteps, each heel and sole: short thuds or crunching gravel, at a walking or running pace."""
    period_s, low_hz, high_hz = rng.uniform(0.28, 0.8), rng.uniform(60, 200), log_uniform(rng, 400, 5000)
    grains = 0.1 if rng.random() < 0.4 else 1.0
    signal = np.zeros(samples)
    for at_s in onsets(rng, samples, lambda: period_s * rng.uniform(0.93, 1.07)):
        for delay_s in (0, rng.uniform(0.04, 0.12)):
            length = samples_of(rng.uniform(0.04, 0.15))
            ground = white(rng, length) * (rng.random(length) < grains) * decay(length, rng.uniform(20, 70))
            place(signal, unit(band(ground, low_hz, high_hz, 1)), at_s + delay_s, rng.uniform(0.3, 1))
    return sometimes_reverberate(rng, signal, 0.5, 0.8)


@recipe(20)
def whistling(rng: Generator, samples: int) -> Signal:
    """A whistled tune: a pure tone with some breath that glides between notes."""
    beat_s = rng.uniform(0.15, 0.5)
    knots = rng.choice(2.0 ** (np.array([0, 2, 4, 5, 7, 9, 11, 12]) / 12), int(samples / 16_000 / beat_s) + 2)
    steps = np.repeat(knots, samples_of(beat_s))[:samples]
    glide = np.convolve(np.pad(steps, 400, "edge"), np.full(801, 1 / 801), "valid")
    pitch_hz = rng.uniform(700, 1500) * glide
    turns = 2 * np.pi * np.cumsum(pitch_hz) / 16_000
    level = 0.3 + 0.7 * np.abs(np.sin(np.pi * times(samples) / beat_s)) ** 0.3
    return (np.sin(turns) + 0.05 * np.sin(2 * turns)) * level + noise_band(rng, samples, 1500, 6000) * 0.02
