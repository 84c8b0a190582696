"""Engines, vehicles, tools and household machines: periodic pulses, turbulence and rattling."""

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
    impulses,
    log_uniform,
    noise_band,
    onsets,
    phase,
    place,
    samples_of,
    slowly,
    sometimes_reverberate,
    times,
    total,
    unit,
    white,
)
from training.synthesis.registry import recipe
from training.synthesis.signals import chord_horn


def _combustion(rng: Generator, firing_hz: Signal) -> Signal:
    """Make noisy exhaust pulses, unequal between cylinders, through the resonances of the pipe."""
    samples = len(firing_hz)
    turns = phase(firing_hz, samples)
    uneven = 1 + 0.4 * np.sin(np.pi * turns / 2) + 0.3 * np.sin(np.pi * turns)
    pulses = np.exp(-(turns % 1) * rng.uniform(3, 20)) * uneven
    source = pulses - pulses.mean() + white(rng, samples) * (0.3 + pulses) * rng.uniform(0, 0.4)
    pipes = (
        (rng.uniform(60, 150), 1),
        (rng.uniform(200, 500), rng.uniform(0.2, 1)),
        (rng.uniform(800, 2500), rng.uniform(0.05, 0.7)),
    )
    return unit(total(gain * band(source, 0.6 * hz, 1.6 * hz, 1) for hz, gain in pipes))


@recipe(90)
def engine(rng: Generator, samples: int) -> Signal:
    """An engine, idling or revving up and down, from a ship's diesel to a motorcycle."""
    revving = rng.uniform(0, 1.5) * slowly(rng, samples, rng.uniform(0.2, 1)) * (rng.random() < 0.7)
    return _combustion(rng, rng.uniform(12, 140) * (1 + revving)) + coloured(rng, samples, 1) * rng.uniform(
        0, 0.3
    )


@recipe(25)
def engine_start(rng: Generator, samples: int) -> Signal:
    """A starter that cranks about ten times per second until the engine fires and runs up."""
    ignition = rng.uniform(0.2, 0.6)
    elapsed = np.linspace(0, 1, samples)
    cranking = _combustion(rng, np.full(samples, rng.uniform(7, 14))) + 0.3 * harmonics(
        rng, rng.uniform(150, 400), falling(8, 0.5), samples
    )
    running = _combustion(rng, rng.uniform(25, 50) * (1 + np.exp(-8 * np.maximum(0, elapsed - ignition))))
    return np.where(elapsed < ignition, 0.5 * cranking, running)


@recipe(70)
def traffic(rng: Generator, samples: int) -> Signal:
    """A road: the rumble of distant cars, and passing cars with tyres, engine and Doppler shift."""
    seconds = samples / 16_000
    signal = coloured(rng, samples, rng.uniform(1, 2)) * rng.uniform(0.05, 0.5)
    for _ in range(rng.integers(1, 5)):
        speed, distance, passing_s = rng.uniform(8, 35), rng.uniform(2, 15), rng.uniform(0, seconds)
        along = speed * (times(samples) - passing_s)
        away = np.hypot(along, distance)
        # 340 m/s is the speed of sound; along / away is the cosine of the angle to the road.
        doppler = 1 / (1 + speed / 340 * along / away)
        tyres = noise_band(rng, samples, rng.uniform(200, 700), rng.uniform(1200, 4000))
        motor = _combustion(rng, rng.uniform(25, 110) * doppler)
        signal += (tyres + motor * rng.uniform(0.1, 1.5)) * distance / away * rng.uniform(0.4, 1)
    if rng.random() < 0.2:
        place(signal, chord_horn(rng, samples_of(rng.uniform(0.2, 0.8))), rng.uniform(0, seconds), 0.5)
    return signal


@recipe(45)
def bus(rng: Generator, samples: int) -> Signal:
    """A bus or lorry: a slow rattling diesel that changes gears, squealing brakes and compressed air."""
    ramps = (times(samples) * rng.uniform(0.15, 0.6) + rng.random()) % 1
    idle = rng.random() < 0.4
    firing_hz = rng.uniform(20, 32) * (1 + (0.0 if idle else rng.uniform(0.6, 1.4)) * ramps)
    knocks = impulses(rng, samples, 60) * np.exp(-(phase(firing_hz, samples) % 1) * 6)
    signal = _combustion(rng, firing_hz) + unit(band(knocks, 600, 3000, 1)) * rng.uniform(0, 0.6)
    if rng.random() < 0.6:
        length = samples_of(rng.uniform(0.3, 1.2))
        hiss = noise_band(rng, length, 2000, 7500) * decay(length, rng.uniform(2, 8))
        place(signal, hiss, rng.uniform(0, 0.7) * samples / 16_000, rng.uniform(0.3, 1.5))
    if rng.random() < 0.35:
        length = samples_of(rng.uniform(0.5, 2))
        squeal = harmonics(
            rng, rng.uniform(1200, 3500) * (1 - 0.05 * slowly(rng, length, 3)), [1, 0.3], length
        )
        place(
            signal, squeal * edges(length, 0.2), rng.uniform(0, 0.6) * samples / 16_000, rng.uniform(0.1, 0.6)
        )
    return signal + coloured(rng, samples, 1.5) * rng.uniform(0, 0.3)


@recipe(25)
def skidding(rng: Generator, samples: int) -> Signal:
    """Skidding tyres that stick and slip at a falling rate: a rough, unsteady squeal."""
    signal = coloured(rng, samples, 1.3) * 0.1
    for at_s in onsets(rng, samples, lambda: 0.8 + rng.exponential(1)):
        length = samples_of(rng.uniform(0.3, 2))
        pitch_hz = (
            rng.uniform(600, 1600)
            * np.linspace(1, rng.uniform(0.6, 1), length)
            * (0.9 + 0.2 * slowly(rng, length, 30))
        )
        squeal = (
            unit(harmonics(rng, pitch_hz, falling(5, 0.7), length)) + noise_band(rng, length, 500, 5000) * 0.7
        )
        place(signal, squeal * edges(length, 0.08), at_s)
    return signal


@recipe(70)
def train(rng: Generator, samples: int) -> Signal:
    """A train: rolling noise, double knocks of axles over joints, sometimes steam or a horn."""
    rolling = coloured(rng, samples, rng.uniform(1, 1.8)) * 0.6
    rolling += (
        noise_band(rng, samples, 300, rng.uniform(1500, 4000))
        * rng.uniform(0.1, 1)
        * (0.5 + slowly(rng, samples, 2))
    )
    signal = rolling
    if rng.random() < 0.7:
        period_s, axles_s = rng.uniform(0.5, 1.6), rng.uniform(0.05, 0.17)
        low_hz, high_hz = rng.uniform(80, 200), rng.uniform(600, 3000)
        length = samples_of(0.12)
        for at_s in onsets(rng, samples, lambda: period_s * rng.uniform(0.97, 1.03), 0.3):
            for delay_s in (0, axles_s):
                knock = noise_band(rng, length, low_hz, high_hz) * decay(length, rng.uniform(25, 60))
                place(signal, knock, at_s + delay_s, rng.uniform(0.5, 3))
    if rng.random() < 0.25:
        chuffs = np.maximum(0, np.sin(2 * np.pi * rng.uniform(1, 5) * times(samples))) ** 3
        signal = signal + band(white(rng, samples) * chuffs, 200, 4000, 1) * 4
    if rng.random() < 0.5:
        horn = chord_horn(rng, samples_of(rng.uniform(0.8, 3)))
        place(signal, horn, rng.uniform(0, 0.5) * samples / 16_000, rng.uniform(0.4, 3))
    return sometimes_reverberate(rng, signal, 0.7, 1)


@recipe(40)
def helicopter(rng: Generator, samples: int) -> Signal:
    """A helicopter: rotor blades that slap ten to thirty times per second, and a whining turbine."""
    slaps = np.maximum(0, np.sin(2 * np.pi * rng.uniform(8, 28) * times(samples))) ** rng.uniform(1, 6)
    rotor = unit(noise_band(rng, samples, 20, rng.uniform(300, 3000)) * slaps)
    turbine = harmonics(rng, rng.uniform(80, 900), [1, 0.8, 0.6], samples)
    return rotor * (0.4 + slowly(rng, samples, 0.4)) + turbine * rng.uniform(0, 0.2)


@recipe(40)
def aircraft(rng: Generator, samples: int) -> Signal:
    """A passing aircraft: a jet's broad roar with the whine of its compressor, or a propeller's buzz."""
    passing = 0.2 + np.exp(-(((times(samples) - rng.uniform(0, 5)) / rng.uniform(1, 6)) ** 2))
    if rng.random() < 0.5:
        whine_hz = rng.uniform(1500, 4500) * (1.1 - 0.2 * np.linspace(0, 1, samples))
        roar = coloured(rng, samples, rng.uniform(0.5, 1.5)) + noise_band(rng, samples, 200, 2500)
        return (roar + harmonics(rng, whine_hz, [1, 0.3], samples) * rng.uniform(0, 0.6)) * passing
    blades_hz = rng.uniform(45, 130) * np.linspace(1.05, 0.92, samples)
    buzz = unit(harmonics(rng, blades_hz, falling(25, rng.uniform(0.4, 1)), samples))
    return (buzz + coloured(rng, samples, 1.2) * rng.uniform(0.1, 0.8)) * passing


@recipe(50)
def power_tool(rng: Generator, samples: int) -> Signal:
    """Drills, saws and sanders: a whining motor that slows under load, and the noise of cutting."""
    load = slowly(rng, samples, rng.uniform(0.5, 3))
    motor_hz = log_uniform(rng, 60, 900) * (1.2 - 0.3 * load)
    motor = unit(harmonics(rng, motor_hz, rng.random(25) * falling(25, rng.uniform(0, 0.8)), samples))
    cutting = noise_band(rng, samples, 800, rng.uniform(3000, TOP_HZ)) * (0.3 + load)
    return (motor + cutting * rng.uniform(0.2, 2)) * (0.4 + load)


@recipe(20)
def jackhammer(rng: Generator, samples: int) -> Signal:
    """A jackhammer: ten to thirty clanks on stone per second, in bouts."""
    rate_hz, ring_hz, length = rng.uniform(10, 30), rng.uniform(900, 3500), samples_of(0.05)
    signal = coloured(rng, samples, 1) * 0.1
    for at_s in onsets(rng, samples, lambda: rng.uniform(0.95, 1.05) / rate_hz + (rng.random() < 0.02) * 0.7):
        clank = harmonics(rng, ring_hz, [1, 0, 0.4], length) * decay(length, 120) + noise_band(
            rng, length, 100, 5000
        ) * decay(length, 60)
        place(signal, clank, at_s, rng.uniform(0.7, 1))
    return signal


@recipe(50)
def household(rng: Generator, samples: int) -> Signal:
    """Vacuum cleaners, hair dryers, fans and blenders: air and a steady motor, sometimes starting up."""
    air = noise_band(rng, samples, rng.uniform(100, 400), rng.uniform(2500, 7000))
    motor_hz = rng.uniform(100, 900) * (1 + 0.05 * slowly(rng, samples, 0.5))
    if rng.random() < 0.3:
        motor_hz *= 1 - np.exp(-times(samples) * rng.uniform(1, 4))
    return air + harmonics(rng, motor_hz, [1, 0.7, 0.5, 0.3], samples) * rng.uniform(0, 0.7)


@recipe(25)
def washing_machine(rng: Generator, samples: int) -> Signal:
    """A washing machine: water and cloth that slosh with each turn of the drum, and a hum."""
    turns = 0.5 - 0.5 * np.cos(2 * np.pi * rng.uniform(0.6, 9) * times(samples))
    slosh = noise_band(rng, samples, 60, rng.uniform(500, 2500)) * turns ** rng.uniform(1, 4)
    return unit(slosh) + harmonics(
        rng, rng.choice([50, 60, 100, 120]), falling(10, 1), samples
    ) * rng.uniform(0, 0.6)


@recipe(25)
def hum(rng: Generator, samples: int) -> Signal:
    """Mains hum of 50 or 60 Hz with the harmonics of transformers and a little hiss."""
    mains = harmonics(rng, rng.choice([50.0, 60.0, 100.0, 120.0]), rng.random(14), samples)
    return mains + white(rng, samples) * log_uniform(rng, 1e-3, 0.6)


@recipe(40)
def noise(rng: Generator, samples: int) -> Signal:
    """Noise of any colour, steady or swelling."""
    steady = coloured(rng, samples, rng.uniform(-0.5, 2.2))
    return steady if rng.random() < 0.5 else steady * (0.2 + slowly(rng, samples, rng.uniform(0.3, 8)))


@recipe(25)
def spray(rng: Generator, samples: int) -> Signal:
    """Aerosol cans, steam and leaking air: bursts of bright hiss."""
    signal = white(rng, samples) * 1e-3
    for at_s in onsets(rng, samples, lambda: rng.uniform(0.3, 2), 0.3):
        length = samples_of(rng.uniform(0.08, 1.5))
        place(
            signal,
            noise_band(rng, length, rng.uniform(800, 4000), TOP_HZ) * edges(length),
            at_s,
            rng.uniform(0.5, 1),
        )
    return signal
