"""Music on the sampled instruments of General MIDI sound fonts: solos, drums, ensembles and MIDI songs.

Requires ``tinysoundfont``; the packages of `sources.csv` contain the sound fonts and songs.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

import numpy as np
import soxr
from numpy.random import Generator

from audio_classifier.constants import SAMPLE_RATE_HZ
from training.data.clips import SYNTHESIS, ClipWriter, to_int16
from training.synthesis import music
from training.synthesis.dsp import Signal
from training.synthesis.music import DRUM_CHANNEL, Note

SOURCE: Final = f"{SYNTHESIS}instruments"

# The synthesiser plays at this rate, and the result is resampled, because at 16 kHz it would alias.
PLAYED_RATE_HZ: Final = 48_000
PROGRAMS: Final = 128
DRUM_BANK: Final = 128
DRUM_KITS: Final = (0, 8, 16, 24, 25, 32, 40, 48)
BASSES: Final = {*range(32, 40), 43, 58, 67, 70}
PEAK: Final = 0.8

SOLO_S: Final = 7.0
ENSEMBLE_S: Final = 10.0
PHRASES: Final = (music.melody, music.chords, music.arpeggio, music.melody)
TAKES: Final = 3
BEATS: Final = 64
PIECES_PER_STYLE: Final = 10
# Start times of the excerpts of a song.
EXCERPTS_S: Final = (5.0, 35.0, 65.0)


class Instruments:
    """A loaded sound font; every rendering begins in silence."""

    def __init__(self, sound_font: Path) -> None:
        import tinysoundfont

        self._synth = tinysoundfont.Synth(samplerate=PLAYED_RATE_HZ)
        self._font = self._synth.sfload(str(sound_font))

    def play(
        self, programs: dict[int, int], notes: Iterable[Note], duration_s: float, drum_kit: int = 0
    ) -> Signal:
        """Play notes, each channel with its program; return mono audio at 16 kHz."""
        for channel, program in programs.items():
            self._synth.program_select(channel, self._font, 0, program)
        self._synth.program_select(DRUM_CHANNEL, self._font, DRUM_BANK, drum_kit)
        presses = [(note.start_s, True, note) for note in notes if note.start_s < duration_s]
        releases = [(note.end_s, False, note) for _, _, note in presses if note.end_s < duration_s]
        blocks, position = [], 0
        for at_s, pressed, note in sorted([*presses, *releases]):
            blocks.append(self._generate(int(at_s * PLAYED_RATE_HZ) - position))
            position = max(position, int(at_s * PLAYED_RATE_HZ))
            if pressed:
                self._synth.noteon(note.channel, note.key, note.velocity)
            else:
                self._synth.noteoff(note.channel, note.key)
        blocks.append(self._generate(int(duration_s * PLAYED_RATE_HZ) - position))
        self._silence()
        return _at_16_khz(np.concatenate(blocks))

    def play_song(self, path: Path, starts_s: Iterable[float], duration_s: float) -> Iterator[Signal]:
        """Play a MIDI file to its end, and yield excerpts of it as mono audio at 16 kHz."""
        import tinysoundfont

        sequencer = tinysoundfont.Sequencer(self._synth)
        for channel in range(16):
            bank = DRUM_BANK if channel == DRUM_CHANNEL else 0
            self._synth.program_select(channel, self._font, bank, 0)
        sequencer.midi_load(str(path), persistent=False)
        for start_s in starts_s:
            self._generate(int((start_s - sequencer.get_time()) * PLAYED_RATE_HZ))
            if sequencer.is_empty():
                break
            yield _at_16_khz(self._generate(int(duration_s * PLAYED_RATE_HZ)))
        self._synth.callback = None
        self._silence()

    def _generate(self, samples: int) -> Signal:
        if samples <= 0:
            return np.empty(0, np.float32)
        stereo = np.frombuffer(self._synth.generate(samples), np.float32).reshape(-1, 2)
        return np.asarray(stereo.mean(axis=1))

    def _silence(self) -> None:
        self._synth.sounds_off()
        self._synth.generate(PLAYED_RATE_HZ // 10)


def _at_16_khz(signal: Signal) -> Signal:
    return np.asarray(soxr.resample(signal, PLAYED_RATE_HZ, SAMPLE_RATE_HZ), np.float32)


def solos(instruments: Instruments, takes: int = TAKES) -> Iterator[tuple[str, Signal]]:
    """Yield names and signals of phrases on each of the 128 programs."""
    for program, take in itertools.product(range(PROGRAMS), range(takes)):
        rng = np.random.default_rng([1, program, take])
        tonic = int(rng.integers(28, 45) if program in BASSES else rng.integers(45, 70))
        notes = PHRASES[take % len(PHRASES)](rng, 0, tonic, SOLO_S, _beat_s(rng))
        yield f"solo/{program}/{take}", instruments.play({0: program}, notes, SOLO_S)


def beats(instruments: Instruments, count: int = BEATS) -> Iterator[tuple[str, Signal]]:
    """Yield names and signals of drum patterns on all kits."""
    for number in range(count):
        rng = np.random.default_rng([2, number])
        beat_s, kit = _beat_s(rng), DRUM_KITS[number % len(DRUM_KITS)]
        styles = [style.drums for style in music.read_styles().values() if style.drums]
        known = music.drums(rng, styles[rng.integers(len(styles))], SOLO_S, beat_s)
        notes = known if number % 2 else music.random_drums(rng, SOLO_S, beat_s)
        yield f"drums/{number}", instruments.play({}, notes, SOLO_S, kit)


def ensembles(instruments: Instruments, per_style: int = PIECES_PER_STYLE) -> Iterator[tuple[str, Signal]]:
    """Yield names and signals of pieces in all styles."""
    for (name, style), number in itertools.product(music.read_styles().items(), range(per_style)):
        rng = np.random.default_rng([3, number, *name.encode()])
        programs, notes = music.ensemble(rng, style, ENSEMBLE_S)
        yield f"{name}/{number}", instruments.play(programs, notes, ENSEMBLE_S)


def songs(instruments: Instruments, paths: Iterable[Path]) -> Iterator[tuple[str, Signal]]:
    """Yield names and signals of excerpts of MIDI files."""
    for path in paths:
        for number, excerpt in enumerate(instruments.play_song(path, EXCERPTS_S, ENSEMBLE_S)):
            yield f"{path.name}/{number}", excerpt


def add(writer: ClipWriter, pieces: Iterable[tuple[str, Signal]], licence: str, package: str) -> float:
    """Add clips of pieces, with the licence of the sound font and songs; return the minutes added.

    The package is part of the clips' recording names.
    """
    added = 0
    for name, signal in pieces:
        clip = to_int16(signal * (PEAK / max(1e-6, float(np.abs(signal).max(initial=0.0)))))
        if clip is not None:
            added += len(clip) * writer.add(SOURCE, f"{package}/{name}", licence, clip)
    return added / 60 / SAMPLE_RATE_HZ


def _beat_s(rng: Generator) -> float:
    return 60 / float(rng.uniform(60, 170))
