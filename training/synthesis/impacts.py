"""Short events: keys, knocks, clocks, slams, glass, shots and explosions."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator

from training.synthesis.dsp import (
    Signal,
    band,
    coloured,
    decay,
    edges,
    falling,
    harmonics,
    impulses,
    log_uniform,
    noise_band,
    onsets,
    place,
    samples_of,
    slowly,
    sometimes_reverberate,
    total,
    unit,
    white,
)
from training.synthesis.registry import recipe


@recipe(60)
def typing(rng: Generator, samples: int) -> Signal:
    """Typing: two short clicks per key, the second one softer, in an uneven rhythm."""
    pitch_hz, mean_gap_s = rng.uniform(1500, 4500), rng.uniform(0.08, 0.24)
    signal = white(rng, samples) * log_uniform(rng, 1e-4, 5e-3)
    for at_s in onsets(rng, samples, lambda: rng.gamma(2, mean_gap_s / 2), 0.2):
        length = samples_of(rng.uniform(0.02, 0.06))
        click = noise_band(rng, length, 0.4 * pitch_hz, 2 * pitch_hz) * decay(length, rng.uniform(80, 300))
        place(signal, click, at_s, rng.uniform(0.3, 1))
        place(signal, click, at_s + rng.uniform(0.05, 0.11), rng.uniform(0.1, 0.5))
    return sometimes_reverberate(rng, signal, 0.3, 0.4)


@recipe(35)
def clock(rng: Generator, samples: int) -> Signal:
    """A clock: clicks of two pitches in turn, up to five per second."""
    period_s, pitches_hz = rng.choice([0.2, 0.25, 0.5, 1]), rng.uniform(1200, 4500, 2)
    signal = white(rng, samples) * log_uniform(rng, 3e-5, 1e-3)
    length = samples_of(0.06)
    for number, at_s in enumerate(onsets(rng, samples, lambda: period_s, 0.3)):
        click = harmonics(rng, pitches_hz[number % 2], [1], length) + 0.5 * white(rng, length)
        place(signal, click * decay(length, rng.uniform(60, 250)), at_s)
    return signal


@recipe(35)
def knocking(rng: Generator, samples: int) -> Signal:
    """Knocks in groups: the low modes of a wooden panel, heavily damped."""
    pitch_hz = log_uniform(rng, 90, 900)
    signal = np.zeros(samples)
    length = samples_of(0.2)
    for start_s in onsets(rng, samples, lambda: 1 + rng.exponential(0.8)):
        at_s = start_s
        for _ in range(rng.integers(1, 7)):
            panel = harmonics(rng, pitch_hz, [1], length) + 0.5 * harmonics(rng, 2.3 * pitch_hz, [1], length)
            blow = panel * decay(length, rng.uniform(25, 60)) + 0.4 * white(rng, length) * decay(length, 200)
            place(signal, blow, at_s, rng.uniform(0.7, 1))
            at_s += rng.uniform(0.12, 0.35)
    return sometimes_reverberate(rng, signal, 0.6, 0.6)


@recipe(30)
def door(rng: Generator, samples: int) -> Signal:
    """A creak of hinges that stick and slip at a changing rate, a slam, and the rattle of a latch."""
    signal = white(rng, samples) * 1e-3
    if rng.random() < 0.7:
        length = samples_of(rng.uniform(0.5, 2.5))
        rate_hz = rng.uniform(20, 250) * (0.4 + slowly(rng, length, 3))
        creak = band(
            harmonics(rng, rate_hz, falling(30, 0.2), length),
            rng.uniform(300, 900),
            rng.uniform(1500, 4000),
            1,
        )
        place(signal, unit(creak) * edges(length, 0.1), rng.uniform(0, 1), rng.uniform(0.3, 1))
    if rng.random() < 0.7:
        at_s, length = rng.uniform(1, 3), samples_of(0.5)
        slam = noise_band(rng, length, 40, rng.uniform(200, 1500)) * decay(length, rng.uniform(10, 30))
        place(signal, slam, at_s, rng.uniform(1, 5))
        for delay_s in rng.uniform(0, 0.15, 3):
            click = noise_band(rng, 400, 1500, 6000) * decay(400, 200)
            place(signal, click, at_s + delay_s, rng.uniform(0.3, 1.5))
    return sometimes_reverberate(rng, signal, 0.8, 0.8)


@recipe(60)
def guns(rng: Generator, samples: int) -> Signal:
    """Single shots or bursts: a shock of a millisecond, a blast, and echoes of houses and hills."""
    automatic, step_s = rng.random() < 0.4, rng.uniform(0.06, 0.16)
    length = samples_of(rng.uniform(0.15, 1.2))
    blast = white(rng, length) * decay(length, rng.uniform(6, 30))
    shot = band(blast, 20, rng.uniform(800, 6000), 1) + band(blast, 20, 200) * rng.uniform(0, 4)
    shot[:60] += 3 * white(rng, 60)
    signal = np.zeros(samples)
    for start_s in onsets(rng, samples, lambda: 0.8 * automatic + 0.1 + rng.exponential(0.7)):
        for number in range(rng.integers(3, 12) if automatic else 1):
            place(signal, shot, start_s + number * step_s, rng.uniform(0.7, 1))
    return sometimes_reverberate(rng, np.tanh(signal * rng.uniform(0.2, 1)), 0.8, 2)


@recipe(40)
def explosion(rng: Generator, samples: int) -> Signal:
    """An explosion: a blast that decays over seconds, high frequencies first, then debris."""
    signal = np.zeros(samples)
    for at_s in onsets(rng, samples, lambda: 1 + rng.exponential(2), 1):
        length = samples_of(rng.uniform(1, 4))
        boom = noise_band(rng, length, 15, rng.uniform(80, 300), 2) * decay(length, rng.uniform(0.8, 3))
        crack = noise_band(rng, length, 200, rng.uniform(2000, 7000)) * decay(length, rng.uniform(3, 12))
        debris = band(impulses(rng, length, 80, 2), 300, 6000, 1) * decay(length, 2)
        place(signal, boom + crack * rng.uniform(0.3, 1.5) + unit(debris) * rng.uniform(0, 0.3), at_s)
    return sometimes_reverberate(rng, np.tanh(signal * rng.uniform(0.5, 2)), 0.6, 2)


@recipe(40)
def fireworks(rng: Generator, samples: int) -> Signal:
    """Fireworks: rising whistles and distant bursts, some with crackle."""
    signal = coloured(rng, samples, 1.5) * rng.uniform(0, 0.1)
    for at_s in onsets(rng, samples, lambda: rng.exponential(0.8), 1):
        if rng.random() < 0.3:
            length = samples_of(rng.uniform(0.4, 1.2))
            rising_hz = np.linspace(rng.uniform(800, 1500), rng.uniform(2000, 4000), length)
            place(signal, harmonics(rng, rising_hz, [1, 0.2], length) * edges(length, 0.1), at_s, 0.2)
        length = samples_of(rng.uniform(0.3, 1.5))
        burst = noise_band(rng, length, 40, rng.uniform(300, 3000)) * decay(length, rng.uniform(4, 15))
        place(signal, burst, at_s + 0.3, rng.uniform(0.5, 2))
        if rng.random() < 0.3:
            length = samples_of(1.2)
            crackle = band(impulses(rng, length, 60, 2), 1000, 7000, 1) * decay(length, 2)
            place(signal, unit(crackle), at_s + 0.6, rng.uniform(0.1, 0.6))
    return sometimes_reverberate(rng, signal, 0.9, 2)


@recipe(30)
def glass(rng: Generator, samples: int) -> Signal:
    """Breaking glass: a blow, then shards with short high tones."""
    signal = np.zeros(samples)
    for start_s in onsets(rng, samples, lambda: 1 + rng.exponential(2)):
        length = samples_of(0.15)
        place(signal, white(rng, length) * decay(length, 30), start_s, 0.3)
        for _ in range(rng.integers(5, 60)):
            length = samples_of(rng.uniform(0.05, 0.4))
            shard = harmonics(rng, rng.uniform(1500, 7500), [1], length) * decay(length, rng.uniform(10, 60))
            place(signal, shard, start_s + rng.gamma(2, 0.15), rng.exponential(0.3))
    return sometimes_reverberate(rng, signal, 0.5, 0.6)


@recipe(35)
def dishes(rng: Generator, samples: int) -> Signal:
    """Plates, cutlery, coins and keys: small hard objects that ring with several high partials."""
    per_s = log_uniform(rng, 1, 15)
    signal = white(rng, samples) * 1e-3
    things = [(log_uniform(rng, 900, 4500), rng.uniform(8, 60)) for _ in range(4)]
    for at_s in onsets(rng, samples, lambda: rng.exponential(1 / per_s)):
        pitch_hz, loss_hz = things[rng.integers(len(things))]
        length = samples_of(min(1, 5 / loss_hz))
        ring = total(
            harmonics(rng, pitch_hz * ratio, [rng.random()], length) for ratio in (1, 1.59, 2.14, 2.65)
        )
        place(signal, ring * decay(length, loss_hz), at_s, rng.exponential(1))
    return sometimes_reverberate(rng, signal, 0.6, 0.6)


@recipe(30)
def hammering(rng: Generator, samples: int) -> Signal:
    """A hammer, axe or ball: blows at a steady pace, on wood (dull) or metal (ringing)."""
    period_s, pitch_hz, loss_hz = rng.uniform(0.25, 1.2), log_uniform(rng, 80, 2500), log_uniform(rng, 6, 80)
    length = samples_of(min(1, 5 / loss_hz))
    signal = coloured(rng, samples, 1) * rng.uniform(0, 0.03)
    for at_s in onsets(rng, samples, lambda: period_s * rng.uniform(0.93, 1.07)):
        ring = total(harmonics(rng, pitch_hz * ratio, [1 / ratio], length) for ratio in (1, 2.76, 5.4))
        blow = noise_band(rng, length, 100, 5000) * decay(length, 100) * rng.uniform(0.5, 2)
        place(signal, ring * decay(length, loss_hz) + blow, at_s, rng.uniform(0.7, 1))
    return sometimes_reverberate(rng, signal, 0.6, 0.8)


@recipe(25)
def crumpling(rng: Generator, samples: int) -> Signal:
    """Paper and plastic bags, chewing and crushing: bursts of bright cracks."""
    pace = slowly(rng, samples, rng.uniform(1, 6)) ** 3
    cracks = impulses(rng, samples, log_uniform(rng, 50, 2000), 2) * pace
    return band(cracks, log_uniform(rng, 200, 2000), rng.uniform(3000, 7500), 1)


@recipe(25)
def scraping(rng: Generator, samples: int) -> Signal:
    """Sawing, filing, brushing and scratching: noise in two alternating directions."""
    rate_hz, colour_hz = rng.uniform(0.8, 6), log_uniform(rng, 500, 4000)
    signal = white(rng, samples) * 1e-3
    for number, at_s in enumerate(onsets(rng, samples, lambda: rng.uniform(0.45, 0.55) / rate_hz)):
        length = samples_of(0.45 / rate_hz)
        centre_hz = colour_hz * (1.0, 1.25)[number % 2]
        place(
            signal,
            noise_band(rng, length, 0.5 * centre_hz, 2 * centre_hz) * edges(length, 0.03),
            at_s,
            rng.uniform(0.5, 1),
        )
    return signal
