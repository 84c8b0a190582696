"""From found sounds to clips: which of them, which stretches, up to how many minutes a source."""

from __future__ import annotations

import csv
import itertools
import logging
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Final

import numpy as np
from numpy.typing import NDArray

from audio_classifier.audio.reader import AudioReader
from audio_classifier.constants import SAMPLE_RATE_HZ
from audio_classifier.errors import AudioClassifierError
from training.data.audio_files import Sound, find_sounds
from training.data.clips import ClipWriter, to_int16
from training.data.packages import Package

# What a folder of recordings may have beside them, to say what they are.
CORPUS_NAME: Final = "corpus.csv"

MIN_SAMPLES: Final = SAMPLE_RATE_HZ // 10
# Longer sounds are cut into excerpts; many short ones of different sounds teach more than a few long ones.
WHOLE_S: Final = 20
EXCERPT_S: Final = 12
S_PER_EXCERPT: Final = 40
MAX_EXCERPTS: Final = 4

log = logging.getLogger(__name__)


def excerpts(source: Path | bytes) -> Iterator[NDArray[np.int16]]:
    """The stretches of a sound that are taken: all of a short one, some spread over a long one.

    Raises
    ------
    AudioClassifierError
        If it is no sound that can be read.
    """
    with AudioReader(source) as reader:
        total = reader.info.samples
        if total is None or total <= WHOLE_S * SAMPLE_RATE_HZ:
            spans = [(0, WHOLE_S * SAMPLE_RATE_HZ)]
        else:
            length = EXCERPT_S * SAMPLE_RATE_HZ
            count = min(MAX_EXCERPTS, 1 + total // (S_PER_EXCERPT * SAMPLE_RATE_HZ))
            # The first and the last tenth of a piece are often silent, or fade.
            starts = np.linspace(0.1, 0.9, 2 * count + 1)[1::2] * (total - length)
            spans = [(int(start), length) for start in starts]
        for start, length in spans:
            samples = reader.read(start, length)
            clip = to_int16(samples) if len(samples) >= MIN_SAMPLES else None
            if clip is not None:
                yield clip


def interleave(sounds: Iterable[Sound], seed: int) -> list[Sound]:
    """Sounds in a random order that visits their folders in turn: no folder of hundreds hides the others."""
    folders: defaultdict[PurePosixPath, list[Sound]] = defaultdict(list)
    for sound in sounds:
        folders[PurePosixPath(sound.name).parent].append(sound)
    rng = np.random.default_rng(seed)
    shuffled = ([group[index] for index in rng.permutation(len(group))] for group in folders.values())
    rounds = itertools.zip_longest(*shuffled)
    return [sound for turn in rounds for sound in turn if sound is not None]


def add_sounds(
    writer: ClipWriter, source: str, licence: str, sounds: Iterable[Sound], max_minutes: float = np.inf
) -> float:
    """Add sounds one after the other, until there are so many minutes; those that cannot be read are skipped.

    Returns
    -------
    How many minutes were added.
    """
    added, limit = 0, max_minutes * 60 * SAMPLE_RATE_HZ
    unreadable = 0
    for sound in sounds:
        if added >= limit:
            break
        try:
            for clip in excerpts(sound.load()):
                added += len(clip) * writer.add(source, sound.name, licence, clip)
        except AudioClassifierError:
            unreadable += 1
    if unreadable:
        log.info("%s: %d files hold no sound that can be read", source, unreadable)
    return added / 60 / SAMPLE_RATE_HZ


def add_package(writer: ClipWriter, package: Package, folder: Path) -> float:
    """Add an unpacked package's sounds; the minutes added."""
    sounds = find_sounds(folder)
    if package.leave_out:
        unwanted = re.compile(package.leave_out)
        sounds = [sound for sound in sounds if not unwanted.search(sound.name)]
    return add_sounds(writer, package.name, package.licence, interleave(sounds, seed=0), package.max_minutes)


def add_recordings(writer: ClipWriter, folder: Path, every: int = 1) -> float:
    """Add a folder of recordings, or every so manyth of them; the minutes added.

    `CORPUS_NAME` in it may list them: path, source, original_path (the same for all that were cut from one),
    licence.  Without it, each file is a recording of its own, and of unknown licence.
    """
    index = folder / CORPUS_NAME
    if not index.exists():
        return add_sounds(writer, folder.name, "unknown", find_sounds(folder)[::every])
    minutes = 0.0
    with index.open(newline="", encoding="utf-8") as file:
        for row in itertools.islice(csv.DictReader(file), 0, None, every):
            sound = Sound(row["original_path"], partial(Path, folder / row["path"]))
            minutes += add_sounds(writer, row["source"], row["licence"], [sound])
    return minutes
