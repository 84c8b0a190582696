"""Sounds of people, alone and in crowds, except speech, which is in voices.py."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator

from training.synthesis.dsp import (
    Formants,
    Signal,
    arc,
    band,
    coloured,
    decay,
    edges,
    impulses,
    log_uniform,
    noise_band,
    onsets,
    place,
    reverberate,
    samples_of,
    sometimes_reverberate,
    times,
    unit,
    voiced,
)
from training.synthesis.registry import recipe

# First three formants of men's vowels (Peterson & Barney, JASA 24, 1952); shorter tracts scale them up.
VOWELS = ((730, 1090, 2440), (530, 1840, 2480), (270, 2290, 3010), (570, 840, 2410), (300, 870, 2240))


def _vowel(rng: Generator, tract: float) -> Formants:
    """Draw the formants of a random vowel in a tract that is ``tract`` times shorter than a man's."""
    gains = (1.0, rng.uniform(0.4, 0.8), rng.uniform(0.15, 0.4))
    return [(tract * hz, gain) for hz, gain in zip(VOWELS[rng.integers(len(VOWELS))], gains, strict=True)]


@recipe(60)
def applause(rng: Generator, samples: int) -> Signal:
    """Applause: near people who clap at their own rates, and dense impulses for distant ones.

    Repp, *The sound of two hands clapping*, JASA 81, 1987: about four a second, resonances of 0.5 to 2.2 kHz.
    """
    people = int(log_uniform(rng, 1, 400))
    signal = np.zeros(samples)
    for _ in range(min(people, 100)):
        length, centre_hz = samples_of(rng.uniform(0.03, 0.06)), rng.uniform(500, 2200)
        clap = noise_band(rng, length, 0.5 * centre_hz, 2.2 * centre_hz) * decay(
            length, rng.uniform(100, 350)
        )
        period_s, gain = 1 / rng.uniform(2.5, 5.5), rng.exponential(1)
        for at_s in onsets(rng, samples, lambda: period_s * rng.uniform(0.85, 1.15)):  # noqa: B023
            place(signal, clap, at_s, gain * rng.uniform(0.6, 1.2))
    signal = unit(signal)
    if people > 20:
        far = band(impulses(rng, samples, 4 * people) * rng.choice([-1, 1], samples), 700, 4500, 1)
        signal += unit(far) * rng.uniform(0.2, 1.5)
    return sometimes_reverberate(rng, signal, 0.7, 1.2)


@recipe(80)
def cheering(rng: Generator, samples: int) -> Signal:
    """A cheering crowd: dozens of voices that shout a vowel, rising and falling, over noise and claps."""
    signal = np.zeros(samples)
    children = rng.random() < 0.3
    low_hz, high_hz, tract = (350, 900, 1.35) if children else (180, 620, 1.1)
    for _ in range(rng.integers(12, 50)):
        length = samples_of(rng.uniform(0.5, 2.5))
        rise = 1 + 0.25 * np.sin(np.linspace(0, np.pi * rng.uniform(0.4, 1.5), length))
        shout = voiced(rng, log_uniform(rng, low_hz, high_hz) * rise, _vowel(rng, tract), 0.06) * arc(
            length, 0.5
        )
        place(signal, shout, rng.uniform(0, samples / 16_000), rng.exponential(0.6))
    signal = unit(signal) + noise_band(rng, samples, 500, 3000) * rng.uniform(0.1, 1)
    if rng.random() < 0.5:
        signal += unit(applause(rng, samples)) * rng.uniform(0.1, 0.8)
    return reverberate(rng, signal, rng.uniform(0.3, 1.5))


@recipe(60)
def crowd(rng: Generator, samples: int) -> Signal:
    """A murmuring crowd: many voices that babble vowels at the rate of syllables."""
    signal = noise_band(rng, samples, 150, 1500) * rng.uniform(0.05, 0.4)
    for _ in range(rng.integers(8, 30)):
        pitch_hz = rng.choice([rng.uniform(90, 150), rng.uniform(170, 260), rng.uniform(260, 380)])
        tract = 0.85 + pitch_hz / 700
        gain = rng.exponential(1)
        for at_s in onsets(rng, samples, lambda: rng.choice([rng.uniform(0.1, 0.25), rng.exponential(1)]), 2):
            length = samples_of(rng.uniform(0.08, 0.3))
            curve_hz = pitch_hz * rng.uniform(0.85, 1.2) * np.linspace(1, rng.uniform(0.85, 1.1), length)
            syllable = voiced(rng, curve_hz, _vowel(rng, tract), 0.05) * arc(length, 0.4)
            place(signal, syllable, at_s, gain)
    return reverberate(rng, signal, rng.uniform(0.3, 1.8))


@recipe(40)
def children_playing(rng: Generator, samples: int) -> Signal:
    """A playground: short high shouts and squeals at random times, over a murmur of children."""
    signal = 0.1 * unit(crowd(rng, samples))
    for at_s in onsets(rng, samples, lambda: rng.exponential(0.25)):
        length = samples_of(rng.uniform(0.12, 1))
        curve_hz = log_uniform(rng, 300, 900) * (0.8 + 0.4 * arc(length, rng.uniform(0.5, 2)))
        shout = voiced(rng, curve_hz, _vowel(rng, rng.uniform(1.25, 1.5)), 0.06) * arc(length, 0.4)
        place(signal, shout, at_s, rng.exponential(0.5))
    return reverberate(rng, signal, rng.uniform(0.2, 1))


@recipe(80)
def singing(rng: Generator, samples: int) -> Signal:
    """Singing: vowels held on the notes of a tune, with vibrato, solo or as a slightly detuned choir.

    Vibrato of 5 to 7 Hz and about half a semitone: Sundberg, *The Science of the Singing Voice*, 1987.
    """
    voices = int(rng.choice([1, 1, 1, 2, 6, 12]))
    tonic_hz, tract = [(110, 1.0), (150, 1.0), (230, 1.15), (300, 1.35)][rng.integers(4)]
    scale = 2.0 ** (np.array([0, 2, 4, 5, 7, 9, 11, 12, 14]) / 12)
    beat_s = rng.uniform(0.25, 0.9)
    notes = [(rng.choice(scale), rng.choice([1, 1, 2]), _vowel(rng, tract)) for _ in range(40)]
    depth = rng.uniform(0, 0.03)
    signal = np.zeros(samples)
    for _ in range(voices):
        at_s, detune = rng.uniform(0, 0.05), 2 ** (rng.normal(0, 0.15) / 12)
        harmony, vibrato_hz = rng.choice([1, 1, 1.5, 0.5]) if voices > 2 else 1, rng.uniform(5, 7)
        for pitch, beats, vowel in notes:
            length = samples_of(beats * beat_s * rng.uniform(0.9, 1))
            vibrato = 1 + depth * np.sin(2 * np.pi * vibrato_hz * times(length)) * np.linspace(0, 1, length)
            tone = voiced(rng, tonic_hz * pitch * detune * harmony * vibrato, vowel, 0.01)
            place(signal, tone * edges(length, 0.05), at_s)
            at_s += beats * beat_s
            if at_s > samples / 16_000:
                break
    return sometimes_reverberate(rng, signal, 0.7, 2)


@recipe(45)
def laughter(rng: Generator, samples: int) -> Signal:
    """Laughter: bouts of five "ha" per second, falling in pitch (Bachorowski et al., JASA 110, 2001)."""
    signal = np.zeros(samples)
    for _ in range(rng.integers(1, 8)):
        pitch_hz = log_uniform(rng, 120, 550)
        formants = _vowel(rng, 0.85 + pitch_hz / 900)
        for start_s in onsets(rng, samples, lambda: 1.2 + rng.exponential(1), 1):
            at_s = start_s
            for number in range(rng.integers(3, 9)):
                length = samples_of(rng.uniform(0.08, 0.16))
                fall = 1.2 - 0.05 * number - 0.15 * np.linspace(0, 1, length)
                breath = noise_band(rng, length, 800, 4000) * np.linspace(0.4, 0, length)
                place(signal, voiced(rng, pitch_hz * fall, formants, 0.05) * arc(length) + breath, at_s)
                at_s += rng.uniform(0.14, 0.24)
    return sometimes_reverberate(rng, signal, 0.8, 0.8)


@recipe(45)
def crying(rng: Generator, samples: int) -> Signal:
    """A crying baby: arcs of pitch of a second around 450 Hz, with rough edges and pauses for breath."""
    pitch_hz = rng.uniform(330, 600)
    signal = coloured(rng, samples, 1) * rng.uniform(0, 0.08)
    for at_s in onsets(rng, samples, lambda: rng.uniform(0.7, 1.6), 0.3):
        length = samples_of(rng.uniform(0.4, 1.3))
        formants = [(rng.uniform(900, 1200), 1), (rng.uniform(1500, 2800), 0.8), (3600, 0.5)]
        curve_hz = pitch_hz * rng.uniform(0.9, 1.1) * (0.85 + 0.3 * arc(length))
        place(signal, voiced(rng, curve_hz, formants, rng.choice([0.04, 0.1, 0.4])) * arc(length, 0.4), at_s)
    return sometimes_reverberate(rng, signal, 0.4, 0.6)


@recipe(35)
def screaming(rng: Generator, samples: int) -> Signal:
    """Shouts and screams: loud high voices, rough (30 to 150 Hz: Arnal et al., Current Biology 25, 2015)."""
    signal = np.zeros(samples)
    for at_s in onsets(rng, samples, lambda: 0.5 + rng.exponential(1)):
        length = samples_of(rng.uniform(0.3, 1.6))
        rough = 1 + rng.uniform(0, 0.9) * np.sin(2 * np.pi * rng.uniform(30, 150) * times(length))
        curve_hz = log_uniform(rng, 300, 1300) * (0.8 + 0.3 * arc(length, 0.5))
        place(signal, voiced(rng, curve_hz, _vowel(rng, 1.2), 0.08) * rough * edges(length, 0.05), at_s)
    return sometimes_reverberate(rng, np.tanh(signal), 0.7, 1)
