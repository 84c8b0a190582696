"""Speech by espeak-ng in many languages and voices: adults, children, conversations and babble.

The text consists of numbers, which are words in every language, and of invented words. Requires the program
``espeak-ng``.
"""

from __future__ import annotations

import io
import itertools
import subprocess
from collections.abc import Iterator
from typing import Final

import numpy as np
import soundfile
import soxr
from numpy.random import Generator
from numpy.typing import NDArray

from audio_classifier.constants import SAMPLE_RATE_HZ
from training.data.clips import SYNTHESIS, ClipWriter, to_int16
from training.synthesis.dsp import Signal, place, samples_of, sometimes_reverberate, unit

SOURCE: Final = f"{SYNTHESIS}voices"
# The output of espeak-ng is not covered by its licence, so it has the licence of this project.
LICENCE: Final = "Apache-2.0"
PEAK: Final = 0.8

LANGUAGES: Final = (
    "en-us", "en-gb", "en-gb-scotland", "en-029", "de", "fr-fr", "es", "es-419", "it", "pt", "pt-br", "nl",
    "sv", "da", "nb", "fi", "pl", "cs", "sk", "hu", "ro", "bg", "ru", "uk", "el", "tr", "ar", "fa", "he",
    "hi", "bn", "ta", "id", "ms", "vi", "cmn", "ja", "ko", "sw", "ka",
)  # fmt: skip
VARIANTS: Final = (
    "", "+m1", "+m2", "+m3", "+m4", "+m5", "+m6", "+m7", "+m8", "+f1", "+f2", "+f3", "+f4", "+f5", "+klatt",
    "+klatt2", "+klatt3", "+klatt4", "+croak", "+whisper", "+whisperf", "+grandpa", "+grandma", "+Annie",
    "+belinda", "+linda", "+steph", "+adam", "+david", "+Andy",
)  # fmt: skip
CHILDREN: Final = ("+f2", "+f4", "+f5", "+Annie", "+linda")
CONSONANTS: Final = ("b", "d", "f", "g", "k", "l", "m", "n", "p", "r", "s", "t", "v", "st", "tr", "pl", "sh")
VOWELS: Final = ("a", "e", "i", "o", "u", "ai", "ou", "ea")

UTTERANCES: Final = 480
CHILD_UTTERANCES: Final = 120
CONVERSATIONS: Final = 80
BABBLES: Final = 120
DURATION_S: Final = 6.0


def invent_text(rng: Generator) -> str:
    """Invent sentences of about a dozen words in total, some of which are numbers."""
    words = []
    for _ in range(rng.integers(8, 18)):
        if rng.random() < 0.3:
            words.append(str(rng.integers(0, 10 ** rng.integers(1, 5))))
        else:
            words.append(
                "".join(rng.choice(CONSONANTS) + rng.choice(VOWELS) for _ in range(rng.integers(1, 4)))
            )
        words[-1] += rng.choice(["", "", "", "", ",", ".", "?", "!"])
    return " ".join(words)


def speak(text: str, voice: str, words_per_minute: int, pitch: int) -> Signal:
    """Speak a text with a voice (language and variant) at a pitch of 0 to 99; ``(samples,)`` at 16 kHz.

    Raises
    ------
    FileNotFoundError
        If espeak-ng is not installed.
    subprocess.CalledProcessError
        If espeak-ng does not have the voice.
    """
    options = ["-v", voice, "-s", str(words_per_minute), "-p", str(pitch), "--stdout"]
    spoken = subprocess.run(["espeak-ng", *options, text], check=True, capture_output=True).stdout
    signal, rate_hz = soundfile.read(io.BytesIO(spoken), dtype="float32")
    return np.asarray(soxr.resample(signal, rate_hz, SAMPLE_RATE_HZ))


def utterance(rng: Generator, number: int) -> Signal:
    """Synthesise an adult's utterance; languages take turns and variants are random, so that all occur."""
    voice = LANGUAGES[number % len(LANGUAGES)] + VARIANTS[int(rng.integers(len(VARIANTS)))]
    return speak(invent_text(rng), voice, int(rng.integers(100, 260)), int(rng.integers(5, 95)))


def child(rng: Generator, number: int) -> Signal:
    """Synthesise a child's utterance: a high voice, sped up to raise its formants."""
    voice = LANGUAGES[number % len(LANGUAGES)] + str(rng.choice(CHILDREN))
    signal = speak(invent_text(rng), voice, int(rng.integers(90, 150)), int(rng.integers(50, 95)))
    speed = rng.uniform(1.2, 1.5)
    return np.asarray(soxr.resample(signal, SAMPLE_RATE_HZ * speed, SAMPLE_RATE_HZ))


def conversation(rng: Generator, voices: list[Signal]) -> Signal:
    """Mix two or three voices that take turns, sometimes overlapping, in a room."""
    signal = np.zeros(samples_of(DURATION_S))
    speakers = [voices[index] for index in rng.choice(len(voices), int(rng.integers(2, 4)), replace=False)]
    at_s = 0.0
    for speaker in itertools.cycle(speakers):
        start, length = int(rng.integers(0, max(1, len(speaker) // 2))), samples_of(rng.uniform(0.6, 2.5))
        turn = speaker[start : start + length]
        place(signal, unit(turn), at_s, rng.uniform(0.5, 1))
        at_s += len(turn) / SAMPLE_RATE_HZ + rng.uniform(-0.3, 0.5)
        if at_s > DURATION_S:
            return sometimes_reverberate(rng, signal, 0.7, 0.8)
    raise AssertionError("itertools.cycle must not end")


def babble(rng: Generator, voices: list[Signal]) -> Signal:
    """Mix five to thirty simultaneous voices, near and far, in a hall."""
    signal = np.zeros(samples_of(DURATION_S))
    for index in rng.choice(len(voices), int(rng.integers(5, 31))):
        around = np.resize(np.roll(voices[index], rng.integers(len(voices[index]))), len(signal))
        signal += unit(around) * rng.exponential(1)
    return sometimes_reverberate(rng, signal, 0.9, 1.8)


def speech(share: float = 1.0) -> Iterator[tuple[str, Signal]]:
    """Yield names and signals of all kinds of speech, or a share of each kind."""

    def numbered(seed: int, count: int) -> Iterator[tuple[int, Generator]]:
        for number in range(max(3, round(share * count))):
            yield number, np.random.default_rng([seed, number])

    adults, children = [], []
    for number, rng in numbered(1, UTTERANCES):
        adults.append(utterance(rng, number))
        yield f"utterance/{number}", adults[-1]
    for number, rng in numbered(2, CHILD_UTTERANCES):
        children.append(child(rng, number))
        yield f"child/{number}", children[-1]
    for number, rng in numbered(3, CONVERSATIONS):
        yield f"conversation/{number}", conversation(rng, children if number % 4 == 0 else adults)
    for number, rng in numbered(4, BABBLES):
        yield f"babble/{number}", babble(rng, (adults, children, adults + children)[number % 3])


def add(writer: ClipWriter, share: float = 1.0) -> float:
    """Add clips of all kinds of speech, or a share of each kind; return the minutes added."""
    added = 0
    for name, signal in speech(share):
        excerpt: NDArray[np.floating] = signal[: samples_of(DURATION_S)]
        clip = to_int16(excerpt * (PEAK / max(1e-9, float(np.abs(excerpt).max(initial=0.0)))))
        if clip is not None:
            added += len(clip) * writer.add(SOURCE, name, LICENCE, clip)
    return added / 60 / SAMPLE_RATE_HZ
