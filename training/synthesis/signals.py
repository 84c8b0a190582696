"""Signals and tones: horns, sirens, beeps, telephones, bells and electronic music."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator

from training.synthesis.dsp import (
    TOP_HZ,
    Signal,
    band,
    coloured,
    decay,
    edges,
    falling,
    harmonics,
    log_uniform,
    noise_band,
    onsets,
    phase,
    place,
    reverberate,
    samples_of,
    sometimes_reverberate,
    times,
    total,
    white,
)
from training.synthesis.registry import recipe

# Partials of a bell over its prime: hum, prime, tierce, quint, nominal and above (Rossing, *The Science of
# String Instruments and Bells*).
BELL_PARTIALS = (0.5, 1, 1.19, 1.5, 2, 2.51, 2.66, 3.01, 4.1, 5.4)


def chord_horn(rng: Generator, samples: int) -> Signal:
    """A horn of several pipes or discs at musical intervals, driven hard."""
    pitch_hz = rng.uniform(220, 520)
    chord = (
        rng.choice([1.19, 1.25, 1.26, 1.33]) ** np.arange(2)
        if rng.random() < 0.6
        else np.array([1, 1.2, 1.5, 1.78])
    )
    amplitudes = falling(15, rng.uniform(0.3, 1.2))
    pipes = total(harmonics(rng, pitch_hz * ratio, amplitudes, samples) for ratio in chord)
    return np.asarray(np.tanh(pipes * rng.uniform(0.2, 1)) * edges(samples))


@recipe(70)
def horn(rng: Generator, samples: int) -> Signal:
    """The horn of a car, a lorry or a ship, hooted several times in a street."""
    signal = coloured(rng, samples, 1.3) * rng.uniform(0, 0.3)
    state = rng.integers(1 << 32)
    top_hz, depth = rng.uniform(3000, 7500), rng.choice([1, 1, 0.5, 0.25])
    for at_s in onsets(rng, samples, lambda: 0.3 + rng.exponential(1)):
        hoot = chord_horn(np.random.default_rng(state), samples_of(log_uniform(rng, 0.15, 2)))
        slower = np.interp(np.arange(0, len(hoot), depth), np.arange(len(hoot)), hoot)
        place(signal, band(slower, 80, top_hz, 1), at_s)
    return sometimes_reverberate(rng, signal, 0.8, 0.8)


@recipe(80)
def siren(rng: Generator, samples: int) -> Signal:
    """A siren: wail or yelp (a rise and fall), two tones, a saw-tooth of pitches, or a slow glide."""
    low_hz, high_hz = rng.uniform(350, 700), rng.uniform(900, 1600)
    cycle = times(samples) * log_uniform(rng, 0.15, 8) + rng.random()
    curve_hz = (
        low_hz + (high_hz - low_hz) * (0.5 - 0.5 * np.cos(2 * np.pi * cycle)),
        np.where(cycle % 1 < 0.5, low_hz, low_hz * rng.choice([1.19, 1.25, 1.33])),
        low_hz + (high_hz - low_hz) * (cycle % 1),
        high_hz * (0.4 + 0.6 * np.clip(1.5 * np.sin(0.5 * cycle), 0, 1)),
    )[rng.integers(4)]
    tone = harmonics(rng, curve_hz, falling(8, rng.uniform(0.6, 2)), samples)
    street = coloured(rng, samples, 1.2) * rng.uniform(0, 0.5)
    return sometimes_reverberate(rng, tone, 0.8, 1.2) + street


@recipe(60)
def beeps(rng: Generator, samples: int) -> Signal:
    """Alarm clocks, smoke detectors, reversing lorries: a tone that is on and off, evenly or in groups."""
    time_s, period_s, pitch_hz = times(samples), rng.uniform(0.08, 1.5), log_uniform(rng, 400, 4500)
    on = time_s % period_s < period_s * rng.uniform(0.2, 0.8)
    if rng.random() < 0.5:
        on &= (time_s % period_s // rng.uniform(0.05, 0.15)) % 2 == 0
    overtones = np.append(1, rng.random(4) * rng.random())
    tone = harmonics(rng, pitch_hz, falling(15, 1) if rng.random() < 0.4 else overtones, samples)
    return tone * on + white(rng, samples) * log_uniform(rng, 1e-4, 0.03)


@recipe(15)
def dialling(rng: Generator, samples: int) -> Signal:
    """Touch tones: each key is one of four low and one of three high frequencies (ITU-T Q.23)."""
    length = samples_of(rng.uniform(0.06, 0.25))
    signal = white(rng, samples) * 1e-3
    for at_s in onsets(rng, samples, lambda: length / 16_000 * rng.uniform(1.3, 2.5)):
        for pitch_hz in (rng.choice([697, 770, 852, 941]), rng.choice([1209, 1336, 1477])):
            place(signal, harmonics(rng, pitch_hz, [1], length), at_s)
    return signal


@recipe(35)
def telephone(rng: Generator, samples: int) -> Signal:
    """Ringing, dialling and busy tones of exchanges (ITU-T E.180), and the warble of an electronic ringer."""
    time_s = times(samples)
    kind = rng.integers(4)
    if kind == 3:
        warble = np.where((time_s * rng.uniform(14, 28)) % 1 < 0.5, 1, 1.25)
        return harmonics(rng, rng.uniform(900, 2500) * warble, [1, 0.3, 0.2, 0.1], samples) * (
            time_s % 3 < rng.uniform(0.8, 2)
        )
    pair_hz, period_s, on_s = (((440, 480), 6, 2), ((350, 440), 1, 1), ((480, 620), 1, 0.5))[kind]
    tone = total(harmonics(rng, hz, [1], samples) for hz in pair_hz)
    return tone * ((time_s + rng.random()) % period_s < on_s) + white(rng, samples) * 0.003


@recipe(60)
def bells(rng: Generator, samples: int) -> Signal:
    """Bells, from small quick ones (bicycle, telephone) to church bells: decaying partials."""
    pitch_hz, period_s, loss_hz = log_uniform(rng, 120, 4000), log_uniform(rng, 0.06, 3), rng.uniform(0.3, 6)
    strengths = rng.random(len(BELL_PARTIALS))
    length = samples_of(min(4, 5 / loss_hz))
    signal = np.zeros(samples)
    partials = [ratio * pitch_hz for ratio in BELL_PARTIALS]
    stroke = total(
        strength * harmonics(rng, hz, [1], length) * decay(length, loss_hz * (0.5 + 0.5 * hz / pitch_hz))
        for hz, strength in zip(partials, strengths, strict=True)
        if hz < TOP_HZ
    )
    for at_s in onsets(rng, samples, lambda: period_s * rng.uniform(0.95, 1.05), 0.3):
        place(signal, stroke, at_s, rng.uniform(0.6, 1))
    return sometimes_reverberate(rng, signal, 0.4, 1.5)


@recipe(25)
def wind_chimes(rng: Generator, samples: int) -> Signal:
    """Wind chimes: tubes (partials of a free bar: 1, 2.76, 5.40) that are struck at random in gusts."""
    tubes_hz = log_uniform(rng, 500, 2000) * 2.0 ** (
        rng.choice([0, 2, 4, 7, 9, 12, 14], 5, replace=False) / 12
    )
    length = samples_of(2.5)
    signal = np.zeros(samples)
    for at_s in onsets(rng, samples, lambda: rng.choice([rng.uniform(0.02, 0.2), rng.exponential(0.8)])):
        pitch_hz = rng.choice(tubes_hz)
        for ratio, gain, loss_hz in ((1, 1, 1.5), (2.76, 0.5, 4), (5.4, 0.25, 10)):
            place(
                signal,
                harmonics(rng, pitch_hz * ratio, [gain], length) * decay(length, loss_hz),
                at_s,
                rng.uniform(0.2, 1),
            )
    return signal + coloured(rng, samples, 1.3) * rng.uniform(0, 0.1)


@recipe(25)
def whistle(rng: Generator, samples: int) -> Signal:
    """A referee's whistle: a high tone that a ball interrupts 20 to 40 times per second."""
    signal = coloured(rng, samples, 1) * rng.uniform(0, 0.1)
    pitch_hz, ball_hz, depth = rng.uniform(2000, 4200), rng.uniform(20, 40), rng.uniform(0, 1)
    for at_s in onsets(rng, samples, lambda: 0.3 + rng.exponential(1)):
        length = samples_of(log_uniform(rng, 0.15, 1.5))
        ball = 0.5 + 0.5 * np.sin(2 * np.pi * ball_hz * times(length))
        tone = harmonics(rng, pitch_hz * (1 + 0.04 * depth * ball), [1, 0.2], length) + 0.2 * noise_band(
            rng, length, 1500, 6000
        )
        place(signal, tone * (1 - depth * ball) * edges(length), at_s)
    return sometimes_reverberate(rng, signal, 0.6, 1.5)


@recipe(40)
def tone(rng: Generator, samples: int) -> Signal:
    """A sine or a saw-tooth, steady or gliding."""
    start_hz = log_uniform(rng, 60, 6000)
    end_hz = np.clip(start_hz * (log_uniform(rng, 0.3, 3) if rng.random() < 0.5 else 1), 40, TOP_HZ)
    curve_hz = np.geomspace(start_hz, end_hz, samples)
    return harmonics(rng, curve_hz, [1] if rng.random() < 0.6 else falling(20, 1), samples)


@recipe(50)
def chip_tune(rng: Generator, samples: int) -> Signal:
    """Music of old games: rectangular and triangular waves on a scale, noise for drums."""
    scale = np.array(
        [0, 2, 4, 5, 7, 9, 11, 12, 14, 16] if rng.random() < 0.5 else [0, 2, 3, 5, 7, 8, 10, 12, 14, 15]
    )
    beat_s, tonic_hz, width = rng.uniform(0.08, 0.25), rng.uniform(110, 330), rng.choice([0.125, 0.25, 0.5])
    signal = np.zeros(samples)
    for part in range(rng.integers(1, 4)):
        octave, loss_hz = 2.0 ** rng.integers(-1, 2), rng.uniform(0, 8)
        for at_s in np.arange(0, samples / 16_000, beat_s * rng.choice([1, 1, 2])):
            length = samples_of(beat_s * rng.choice([0.5, 1, 1]))
            turns = phase(tonic_hz * octave * 2 ** (rng.choice(scale) / 12), length) % 1
            wave = np.where(turns < width, 1.0, -1.0) if part < 2 else 4 * np.abs(turns - 0.5) - 1
            place(signal, wave * decay(length, loss_hz), at_s)
    if rng.random() < 0.6:
        length = samples_of(0.06)
        for at_s in np.arange(0, samples / 16_000, 2 * beat_s):
            place(signal, white(rng, length) * decay(length, 60), at_s)
    return band(signal, 20, 7000)


@recipe(30)
def electronic(rng: Generator, samples: int) -> Signal:
    """Science-fiction effects: an oscillator that bends the pitch of another one, with reverberation."""
    wobble = np.sin(2 * np.pi * times(samples) * log_uniform(rng, 0.2, 40))
    curve_hz = log_uniform(rng, 80, 2500) * 2 ** (rng.uniform(0, 1.5) * wobble)
    swept = harmonics(rng, curve_hz, falling(10, rng.uniform(0.5, 2)), samples)
    is_on = (times(samples) * rng.uniform(0.3, 6)) % 1 < rng.uniform(0.2, 1)
    return reverberate(rng, swept * is_on, rng.uniform(0.1, 2))
