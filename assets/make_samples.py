"""Synthesise the sample recordings of this folder: ``python assets/make_samples.py [OUT_DIR]``.

All of them are computed reproducibly, except for ``speech.wav``, which requires espeak-ng.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np
import soundfile
from numpy.typing import NDArray

Signal = NDArray[Any]

WORDS: Final = (
    "Hello. This is a short recording, made to try out the audio classifier. "
    "It should hear that somebody is speaking, and nothing else."
)


def times(duration_s: float, rate_hz: int) -> Signal:
    """Return the time of each sample in seconds."""
    return np.arange(round(duration_s * rate_hz)) / rate_hz


def sine(frequency_hz: Signal | float, t: Signal) -> Signal:
    """Return a sine whose frequency may change with time."""
    steps = np.full(len(t), frequency_hz) * np.gradient(t)
    return np.sin(2 * np.pi * np.cumsum(steps))


def noise(rng: np.random.Generator, count: int, rate_hz: int, shape: Callable[[Signal], Signal]) -> Signal:
    """Return noise of unit RMS whose spectrum follows ``shape(frequency_hz)``."""
    spectrum = np.fft.rfft(rng.standard_normal(count)) * shape(np.fft.rfftfreq(count, 1 / rate_hz))
    signal = np.fft.irfft(spectrum, count)
    return np.asarray(signal / np.sqrt(np.mean(signal**2)))


def band(low_hz: float, high_hz: float) -> Callable[[Signal], Signal]:
    """Return a band-pass of second order on both sides, as a shape for `noise`."""
    return lambda f: 1 / np.sqrt((1 + (low_hz / np.maximum(f, 1e-3)) ** 4) * (1 + (f / high_hz) ** 4))


def slowly(rng: np.random.Generator, count: int, rate_hz: int, changes_hz: float) -> Signal:
    """Return a random curve between 0 and 1 that changes about ``changes_hz`` times a second."""
    knots = rng.random(int(count / rate_hz * changes_hz) + 3)
    return np.interp(np.arange(count) / rate_hz * changes_hz, np.arange(len(knots)), knots)


def add(signal: Signal, part: Signal, at_s: float, rate_hz: int) -> None:
    """Add a part to the signal at a time, cut at the signal's end."""
    start = round(at_s * rate_hz)
    stop = min(len(signal), start + len(part))
    signal[start:stop] += part[: stop - start]


def rain(rng: np.random.Generator, rate_hz: int) -> Signal:
    """Steady hiss, and drops: short ringing at random times."""
    signal = noise(rng, 10 * rate_hz, rate_hz, band(1000, 9000)) * 0.6
    t = times(0.02, rate_hz)
    for at_s in rng.uniform(0, 10, 4000):
        drop = sine(rng.uniform(1500, 7000), t) * np.exp(-t / rng.uniform(0.001, 0.005))
        add(signal, drop * rng.exponential(0.5), at_s, rate_hz)
    return signal


def thunder(rng: np.random.Generator, rate_hz: int) -> Signal:
    """A crack, then rumbling that rolls away, in light rain."""
    count = 10 * rate_hz
    t = times(10, rate_hz)
    rumble = noise(rng, count, rate_hz, band(25, 130)) + 0.35 * noise(rng, count, rate_hz, band(100, 500))
    rolling = np.zeros(count)
    for at_s, strength in ((0.8, 1.0), (1.5, 0.7), (2.6, 0.8), (4.0, 0.4), (5.6, 0.25)):
        after_s = t - at_s
        rolling += strength * np.where(after_s > 0, np.minimum(1, after_s / 0.05) * np.exp(-after_s / 1.3), 0)
    crack = noise(rng, count, rate_hz, band(200, 3000)) * np.where(t > 0.8, np.exp(-(t - 0.8) / 0.12), 0)
    hiss = noise(rng, count, rate_hz, band(800, 7000))
    return rumble * rolling * (0.5 + slowly(rng, count, rate_hz, 9)) + 0.5 * crack + 0.04 * hiss


def siren(rng: np.random.Generator, rate_hz: int) -> Signal:  # noqa: ARG001  # not random
    """A wailing siren: harmonics of a tone that glides between 600 and 1,400 Hz."""
    t = times(8, rate_hz)
    pitch_hz = 1000 - 400 * np.cos(2 * np.pi * t / 4)
    return np.asarray(np.sum([sine(pitch_hz * n, t) / n for n in (1, 2, 3, 4, 5)], axis=0))


def dial_tone(rng: np.random.Generator, rate_hz: int) -> Signal:
    """The North American dial tone, 350 and 440 Hz (ITU-T E.180), on a line with a little hiss."""
    t = times(6, rate_hz)
    return sine(350, t) + sine(440, t) + 0.002 * noise(rng, len(t), rate_hz, band(300, 3400))


def clock(rng: np.random.Generator, rate_hz: int) -> Signal:
    """A ticking clock with two beats a second, in a quiet room."""
    signal = 0.0005 * noise(rng, 8 * rate_hz, rate_hz, band(50, 1000))
    t = times(0.06, rate_hz)
    for beat in range(16):
        ring = sum(
            sine(frequency_hz * (1.0, 0.87)[beat % 2], t) * np.exp(-t / decay_s)
            for frequency_hz, decay_s in ((2300, 0.006), (3900, 0.004), (5600, 0.003))
        )
        click = noise(rng, len(t), rate_hz, band(1000, 7000)) * np.exp(-t / 0.0015)
        add(signal, 0.5 * ring + click, 0.25 + beat * 0.5, rate_hz)
    return signal


def melody(rng: np.random.Generator, rate_hz: int) -> Signal:
    """A melody on plucked strings: each string is a loop of noise that is smoothed in each turn.

    Karplus & Strong, *Digital Synthesis of Plucked-String and Drum Timbres*, Computer Music Journal 7(2),
    1983.
    """
    signal = np.zeros(10 * rate_hz)
    notes = (60, 64, 67, 72, 67, 64, 62, 65, 69, 74, 69, 65, 64, 67, 71, 76, 71, 67, 60, 64, 67, 72, 76, 72)
    for index, note in enumerate(notes):
        period = round(rate_hz / (440 * 2 ** ((note - 69) / 12)))
        turns = round(1.5 * rate_hz / period)
        loop = rng.uniform(-1, 1, period)
        string = np.empty((turns, period))
        for turn in range(turns):
            string[turn] = loop
            loop = 0.498 * (loop + np.roll(loop, 1))
        add(signal, string.reshape(-1), index * 0.4, rate_hz)
    return signal


def church_bell(rng: np.random.Generator, rate_hz: int) -> Signal:
    """A bell struck four times: hum, prime, tierce, quint, nominal and higher partials, and a clack."""
    signal = np.zeros(10 * rate_hz)
    t, clack_t = times(6, rate_hz), times(0.05, rate_hz)
    partials = (  # ratio to the prime, amplitude, decay in seconds
        (0.5, 0.4, 6.0), (1.0, 0.6, 3.5), (1.2, 0.9, 2.6), (1.5, 0.5, 2.0), (2.0, 1.0, 2.2), (2.5, 0.4, 1.2),
        (2.67, 0.4, 1.1), (3.0, 0.7, 1.2), (4.0, 0.6, 0.8), (5.3, 0.4, 0.5), (6.7, 0.3, 0.35), (8.2, 0.2,
        0.25),
    )  # fmt: skip
    for at_s in (0.1, 2.5, 4.9, 7.3):
        for ratio, amplitude, decay_s in partials:
            detune = 1.001 + 0.001 * rng.random()  # partials are pairs that are slightly out of tune and beat
            pair = sine(520 * ratio, t) + 0.6 * sine(520 * ratio * detune, t)
            add(signal, amplitude * pair * np.exp(-t / decay_s), at_s, rate_hz)
        clack = noise(rng, len(clack_t), rate_hz, band(800, 6000)) * np.exp(-clack_t / 0.008)
        add(signal, 2 * clack, at_s, rate_hz)
    return signal


def alarm(rng: np.random.Generator, rate_hz: int) -> Signal:
    """A smoke detector: three beeps of 3,150 Hz and a pause, repeatedly (ISO 8201)."""
    t = times(8, rate_hz)
    in_cycle_s = t % 4
    sounding = (in_cycle_s < 3) & (in_cycle_s % 1 < 0.5)
    tone = sine(3150, t) + 0.3 * sine(6300, t)
    return tone * sounding + 0.001 * noise(rng, len(t), rate_hz, band(100, 4000))


def town(rng: np.random.Generator, rate_hz: int) -> Signal:
    """A church bell, then a siren that comes and goes, then thunder in the rain."""
    signal = np.zeros(18 * rate_hz)
    for at_s, length_s, loudness, make in (
        (0, 7, 0.5, church_bell),
        (5, 8, 0.4, siren),
        (11, 7, 1.0, thunder),
        (10.5, 7.5, 0.1, rain),
    ):
        part = make(rng, rate_hz)[: round(length_s * rate_hz)]
        t = times(length_s, rate_hz)[: len(part)]
        fade = np.clip(np.minimum(t / 0.8, (length_s - t) / 1.5), 0, 1)
        add(signal, loudness * part / np.abs(part).max() * fade, at_s, rate_hz)
    return signal


def speech(rate_hz: int) -> Signal | None:
    """Let espeak-ng speak `WORDS`; return None if it is not installed."""
    if shutil.which("espeak-ng") is None:
        return None
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "speech.wav")
        subprocess.run(["espeak-ng", "-v", "en-gb", "-s", "150", "-w", path, WORDS], check=True)
        signal, spoken_rate_hz = soundfile.read(path)
    if spoken_rate_hz != rate_hz:
        raise ValueError(f"espeak-ng must write {rate_hz} Hz, got {spoken_rate_hz} Hz")
    return np.asarray(signal)


SOUNDS: Final[dict[str, tuple[Callable[[np.random.Generator, int], Signal], int]]] = {
    "alarm.wav": (alarm, 16_000),
    "church-bell.wav": (church_bell, 16_000),
    "clock.wav": (clock, 16_000),
    "dial-tone.wav": (dial_tone, 16_000),
    "melody.wav": (melody, 22_050),
    "rain.wav": (rain, 22_050),
    "siren.wav": (siren, 16_000),
    "thunder.wav": (thunder, 44_100),
    "town.wav": (town, 16_000),
}
SPEECH_RATE_HZ: Final = 22_050


def write(path: Path, signal: Signal, rate_hz: int) -> None:
    """Write a 16-bit WAV file whose loudest sample is at half of full scale."""
    soundfile.write(path, signal / np.abs(signal).max() * 0.5, rate_hz, subtype="PCM_16")


def main() -> None:
    out_dir = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent
    for seed, (name, (synthesise, rate_hz)) in enumerate(SOUNDS.items()):
        write(out_dir / name, synthesise(np.random.default_rng(seed), rate_hz), rate_hz)
    spoken = speech(SPEECH_RATE_HZ)
    if spoken is None:
        print("speech.wav was not written, because espeak-ng is not installed", file=sys.stderr)
    else:
        write(out_dir / "speech.wav", spoken, SPEECH_RATE_HZ)


if __name__ == "__main__":
    main()
