"""Weather, water and fire."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator

from training.synthesis.dsp import (
    Signal,
    band,
    coloured,
    decay,
    harmonics,
    impulses,
    log_uniform,
    noise_band,
    onsets,
    place,
    samples_of,
    slowly,
    times,
    unit,
    white,
)
from training.synthesis.registry import recipe


@recipe(50)
def rain(rng: Generator, samples: int) -> Signal:
    """Rain: band-limited noise for distant drops, and random clicks, dull or bright, for near ones."""
    hiss = noise_band(rng, samples, rng.uniform(200, 1500), rng.uniform(3500, 7800), 2)
    pitch_hz = rng.uniform(1500, 6000)
    drops = band(impulses(rng, samples, log_uniform(rng, 10, 1000)), 0.4 * pitch_hz, 1.6 * pitch_hz)
    return hiss * rng.uniform(0, 2) + unit(drops) * rng.uniform(0.2, 2)


@recipe(40)
def wind(rng: Generator, samples: int) -> Signal:
    """Wind: low-frequency noise for turbulence, and a narrow band that whistles over edges in gusts."""
    gusts = slowly(rng, samples, rng.uniform(0.3, 1.5))
    howl = noise_band(rng, samples, rng.uniform(200, 500), rng.uniform(520, 1200))
    return coloured(rng, samples, rng.uniform(1, 2)) * (0.3 + gusts) + howl * np.square(gusts) * rng.uniform(
        0, 1
    )


@recipe(50)
def thunder(rng: Generator, samples: int) -> Signal:
    """Thunder: a sequence of dull bursts from the parts of the bolt, beginning with a crack if near."""
    signal = np.zeros(samples)
    for at_s in onsets(rng, samples, lambda: rng.exponential(0.5), 0.8):
        length = samples_of(rng.uniform(0.5, 4))
        rumble = noise_band(rng, length, 15, rng.uniform(60, 400), 2) * decay(length, rng.uniform(0.7, 4))
        place(signal, rumble, at_s, rng.uniform(0.2, 1))
        if rng.random() < 0.2:
            break
    if rng.random() < 0.5:
        length = samples_of(0.6)
        place(signal, white(rng, length) * decay(length, 12), rng.uniform(0, 0.5), rng.uniform(0.5, 3))
    return signal + rain(rng, samples) * rng.uniform(0.02, 0.5) * (rng.random() < 0.6)


@recipe(40)
def stream(rng: Generator, samples: int) -> Signal:
    """A stream: bubbles that ring at frequencies that rise as they near the surface, and decay.

    Van den Doel, *Physically-based Models for Liquid Sounds*, ICAD 2004.
    """
    per_s, lowest_hz = log_uniform(rng, 1, 150), log_uniform(rng, 250, 1600)
    signal = np.zeros(samples)
    for at_s in onsets(rng, samples, lambda: rng.exponential(1 / per_s)):
        length = samples_of(rng.uniform(0.015, 0.12))
        pitch_hz = lowest_hz * rng.uniform(0.7, 3) * (1 + rng.uniform(0, 12) * times(length))
        bubble = harmonics(rng, np.minimum(pitch_hz, 7000), [1], length)
        place(signal, bubble * decay(length, rng.uniform(30, 120)), at_s, rng.exponential(0.5))
    return signal + noise_band(rng, samples, 300, 5000) * log_uniform(rng, 0.003, 0.6)


@recipe(30)
def waves(rng: Generator, samples: int) -> Signal:
    """Surf: noise that swells and ebbs every few seconds, brighter as it breaks."""
    swell = 0.5 - 0.5 * np.cos(2 * np.pi * times(samples) / rng.uniform(3, 9) + rng.uniform(0, 6))
    top_hz = rng.uniform(800, 6000)
    dull, bright = noise_band(rng, samples, 30, top_hz / 3), noise_band(rng, samples, 100, top_hz)
    return dull * (0.2 + swell) + bright * swell ** rng.uniform(1, 4)


@recipe(25)
def waterfall(rng: Generator, samples: int) -> Signal:
    """A waterfall: a dense steady roar of water with slightly louder splashes."""
    roar = coloured(rng, samples, rng.uniform(0.2, 1.2)) * (0.8 + 0.3 * slowly(rng, samples, 4))
    splash = band(impulses(rng, samples, 400, 2), 400, rng.uniform(2000, 6000), 1)
    return roar + unit(splash) * rng.uniform(0, 0.7)


@recipe(35)
def fire(rng: Generator, samples: int) -> Signal:
    """A fire: softly rumbling flames, and wood that cracks at random times, mostly quietly."""
    flames = noise_band(rng, samples, 30, rng.uniform(150, 800), 2) * (0.5 + slowly(rng, samples, 3))
    cracks = band(impulses(rng, samples, log_uniform(rng, 6, 100), 2), 500, 7000, 1)
    return 0.5 * flames + unit(cracks)


@recipe(20)
def rustle(rng: Generator, samples: int) -> Signal:
    """Rustling leaves: many tiny bright clicks, more of them in gusts of wind."""
    gusts = slowly(rng, samples, rng.uniform(0.5, 3))
    clicks = impulses(rng, samples, log_uniform(rng, 200, 3000)) * gusts**2
    return band(clicks, rng.uniform(800, 3000), 7500, 1)
