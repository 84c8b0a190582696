"""Compose notes: phrases for one instrument, drum patterns, and small ensembles in a style.

The compositions need not be good music; they have the instruments, tempo and rhythm that distinguish a style.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
from numpy.random import Generator

DRUM_CHANNEL: Final = 9
SCALES: Final = ((0, 2, 4, 5, 7, 9, 11), (0, 2, 3, 5, 7, 8, 10), (0, 3, 5, 6, 7, 10), (0, 2, 4, 7, 9))
PROGRESSIONS: Final = ((0, 5, 3, 4), (0, 3, 4, 4), (0, 4, 5, 3), (1, 4, 0, 0), (0, 0, 3, 0))

STYLES_PATH: Final = Path(__file__).with_name("styles.csv")

# General MIDI's keys for drums.
DRUMS: Final = {
    "kick": 36, "stick": 37, "snare": 38, "clap": 39, "closed_hat": 42, "low_tom": 45, "open_hat": 46,
    "crash": 49, "ride": 51, "cowbell": 56, "high_conga": 62, "low_conga": 64, "cabasa": 69, "claves": 75,
}  # fmt: skip


class Note(NamedTuple):
    """A key that is pressed on a channel from ``start_s`` to ``end_s``."""

    start_s: float
    end_s: float
    channel: int
    key: int
    velocity: int


@dataclass(frozen=True)
class Style:
    """A style of ensembles.

    Parameters
    ----------
    bpm
        Slowest and fastest tempo.
    bass, chords, leads
        Alternative General MIDI programs for each part, counted from 0; an empty part is not played.
    comping
        Rhythm of the chords: a pattern of sixteenths, x for struck, . for a rest.
    drums
        The same kind of pattern for each drum key.
    swing
        Delay of every second eighth, in eighths.
    """

    bpm: tuple[int, int]
    bass: Sequence[int]
    chords: Sequence[int]
    leads: Sequence[int]
    comping: str
    drums: dict[int, str]
    swing: float


def read_styles(path: Path = STYLES_PATH) -> dict[str, Style]:
    """Read the table of styles."""

    def numbers(cell: str) -> list[int]:
        return [int(number) for number in cell.split()]

    with path.open(newline="", encoding="utf-8") as file:
        return {
            row["style"]: Style(
                bpm=(int(row["slowest_bpm"]), int(row["fastest_bpm"])),
                swing=float(row["swing"]),
                bass=numbers(row["bass"]),
                chords=numbers(row["chords"]),
                leads=numbers(row["leads"]),
                comping=row["comping"],
                drums={
                    DRUMS[name]: steps for name, steps in (drum.split(":") for drum in row["drums"].split())
                },
            )
            for row in csv.DictReader(file)
        }


def melody(rng: Generator, channel: int, tonic: int, duration_s: float, beat_s: float) -> Iterator[Note]:
    """Compose a tune: steps up and down a scale, long and short notes, and rests."""
    scale, degree, velocity, at_s = SCALES[rng.integers(len(SCALES))], 0, int(rng.integers(65, 115)), 0.0
    while at_s < duration_s:
        long_s = beat_s * float(rng.choice([0.25, 0.5, 0.5, 1, 1, 2]))
        degree = int(np.clip(degree + rng.integers(-3, 4), -5, 12))
        if rng.random() < 0.9:
            key = _key(tonic, scale, degree)
            yield Note(at_s, at_s + long_s * rng.uniform(0.5, 1), channel, key, velocity)
        at_s += long_s


def chords(rng: Generator, channel: int, tonic: int, duration_s: float, beat_s: float) -> Iterator[Note]:
    """Compose slightly strummed triads, each held for one to four beats."""
    scale, roots, number, at_s = SCALES[rng.integers(2)], PROGRESSIONS[rng.integers(5)], 0, 0.0
    strum_s, velocity = rng.uniform(0, 0.04), int(rng.integers(60, 110))
    while at_s < duration_s:
        long_s = beat_s * float(rng.choice([1, 2, 4]))
        for voice, step in enumerate((0, 2, 4)):
            key = _key(tonic, scale, roots[number % 4] + step)
            yield Note(at_s + voice * strum_s, at_s + 0.95 * long_s, channel, key, velocity)
        at_s, number = at_s + long_s, number + 1


def arpeggio(rng: Generator, channel: int, tonic: int, duration_s: float, beat_s: float) -> Iterator[Note]:
    """Compose broken chords in eighths."""
    scale, roots = SCALES[rng.integers(2)], PROGRESSIONS[rng.integers(5)]
    for number in range(int(2 * duration_s / beat_s)):
        at_s = number * beat_s / 2
        degree = roots[number // 8 % 4] + (0, 2, 4, 7, 4, 2, 4, 2)[number % 8]
        yield Note(at_s, at_s + 0.75 * beat_s, channel, _key(tonic, scale, degree), 95)


def random_drums(rng: Generator, duration_s: float, beat_s: float) -> Iterator[Note]:
    """Compose a beat of random drums, each with a random pattern."""
    backbeat = (
        {DRUMS["kick"]: "x.......x.......", DRUMS["snare"]: "....x.......x..."} if rng.random() < 0.6 else {}
    )
    others = rng.choice(np.arange(35, 82), 4, replace=False)
    pattern = {int(key): "".join(rng.choice(["x", "."], 16, p=[0.3, 0.7])) for key in others}
    return drums(rng, pattern | backbeat, duration_s, beat_s)


def drums(
    rng: Generator, pattern: dict[int, str], duration_s: float, beat_s: float, swing: float = 0.0
) -> Iterator[Note]:
    """Compose the beat of a pattern per drum, with random velocities."""
    for key, steps in pattern.items():
        for at_s in struck(steps, duration_s, beat_s, swing):
            yield Note(at_s, at_s + 0.1, DRUM_CHANNEL, key, int(rng.integers(75, 120)))


def struck(pattern: str, duration_s: float, beat_s: float, swing: float = 0.0) -> Iterator[float]:
    """Yield the times at which a repeated pattern of sixteenths is struck."""
    for number in range(int(4 * duration_s / beat_s)):
        if pattern[number % len(pattern)] == "x":
            delay_s = swing / 2 * beat_s if number % 4 == 2 else 0.0
            yield number * beat_s / 4 + delay_s


def ensemble(rng: Generator, style: Style, duration_s: float) -> tuple[dict[int, int], list[Note]]:
    """Compose a piece in a style; return the program of each channel, and the notes."""
    beat_s = 60 / rng.uniform(*style.bpm)
    bar_s = len(style.comping) / 4 * beat_s
    tonic, scale, roots = int(rng.integers(45, 57)), SCALES[rng.integers(2)], PROGRESSIONS[rng.integers(5)]
    programs: dict[int, int] = {}
    notes = list(drums(rng, style.drums, duration_s, beat_s, style.swing)) if rng.random() < 0.9 else []
    if style.bass:
        programs[0] = int(rng.choice(style.bass))
        for at_s in struck("x..." if style.swing else "x.....x.", duration_s, beat_s, style.swing):
            degree = roots[int(at_s / bar_s) % 4] + int(rng.choice([0, 0, 0, 2, 4]))
            notes.append(Note(at_s, at_s + 0.9 * beat_s, 0, _key(tonic - 12, scale, degree), 100))
    for channel in range(1, 1 + int(rng.integers(1, 3))):
        programs[channel] = int(rng.choice(style.chords))
        for at_s in struck(style.comping, duration_s, beat_s, style.swing):
            long_s = beat_s if "x" in style.comping[1:] else bar_s
            for step in (0, 2, 4):
                key = _key(tonic, scale, roots[int(at_s / bar_s) % 4] + step)
                notes.append(Note(at_s, at_s + 0.9 * long_s, channel, key, 80))
    if style.leads and rng.random() < 0.8:
        programs[4] = int(rng.choice(style.leads))
        notes += melody(rng, 4, tonic + 12, duration_s, beat_s)
    return programs, notes


def _key(tonic: int, scale: Sequence[int], degree: int) -> int:
    """Return the key of a scale's degree, which may be in another octave."""
    octave, step = divmod(degree, len(scale))
    return int(np.clip(tonic + 12 * octave + scale[step], 12, 115))
