"""Cut audio files into clips: choose the files, the excerpts, and the minutes per source."""

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
from training.data.audio_files import AudioFile, find_audio_files
from training.data.clips import ClipWriter, to_int16
from training.data.packages import Package

# Optional index of a folder of recordings.
CORPUS_NAME: Final = "corpus.csv"

# Repositories whose clips are only for evaluation with labels by people.  ESC-50 contains ESC-10.
EVALUATION_SOURCES: Final = ("karoldvl/esc-10", "karoldvl/esc-50", "karolpiczak/esc-10", "karolpiczak/esc-50")

MIN_SAMPLES: Final = SAMPLE_RATE_HZ // 10
# Longer recordings are cut into excerpts: many short clips of different recordings are better training data
# than a few long ones.
WHOLE_S: Final = 20
EXCERPT_S: Final = 12
S_PER_EXCERPT: Final = 40
MAX_EXCERPTS: Final = 4

log = logging.getLogger(__name__)


def excerpts(source: Path | bytes) -> Iterator[NDArray[np.int16]]:
    """Yield the excerpts of a recording: all of a short one, several spread over a long one.

    Raises
    ------
    AudioClassifierError
        If the file cannot be decoded.
    """
    with AudioReader(source) as reader:
        total = reader.info.samples
        if total is None or total <= WHOLE_S * SAMPLE_RATE_HZ:
            spans = [(0, WHOLE_S * SAMPLE_RATE_HZ)]
        else:
            length = EXCERPT_S * SAMPLE_RATE_HZ
            count = min(MAX_EXCERPTS, 1 + total // (S_PER_EXCERPT * SAMPLE_RATE_HZ))
            # The first and the last tenth of a recording are often silent or fade.
            starts = np.linspace(0.1, 0.9, 2 * count + 1)[1::2] * (total - length)
            spans = [(int(start), length) for start in starts]
        for start, length in spans:
            samples = reader.read(start, length)
            clip = to_int16(samples) if len(samples) >= MIN_SAMPLES else None
            if clip is not None:
                yield clip


def interleave(files: Iterable[AudioFile], seed: int) -> list[AudioFile]:
    """Shuffle files and alternate between their folders, so that no large folder crowds out the others."""
    folders: defaultdict[PurePosixPath, list[AudioFile]] = defaultdict(list)
    for file in files:
        folders[PurePosixPath(file.name).parent].append(file)
    rng = np.random.default_rng(seed)
    shuffled = ([group[index] for index in rng.permutation(len(group))] for group in folders.values())
    rounds = itertools.zip_longest(*shuffled)
    return [file for turn in rounds for file in turn if file is not None]


def add_files(
    writer: ClipWriter, source: str, licence: str, files: Iterable[AudioFile], max_minutes: float = np.inf
) -> float:
    """Add clips of files in order until ``max_minutes`` are reached; skip files that cannot be decoded.

    Returns
    -------
    The minutes added.
    """
    added, limit = 0, max_minutes * 60 * SAMPLE_RATE_HZ
    unreadable = 0
    for file in files:
        if added >= limit:
            break
        try:
            for clip in excerpts(file.load()):
                added += len(clip) * writer.add(source, file.name, licence, clip)
        except AudioClassifierError:
            unreadable += 1
    if unreadable:
        log.info("%s: skipped %d files that cannot be decoded", source, unreadable)
    return added / 60 / SAMPLE_RATE_HZ


def add_package(writer: ClipWriter, package: Package, folder: Path) -> float:
    """Add clips of an unpacked package's audio files; return the minutes added."""
    files = find_audio_files(folder)
    if package.leave_out:
        unwanted = re.compile(package.leave_out)
        files = [file for file in files if not unwanted.search(file.name)]
    return add_files(writer, package.name, package.licence, interleave(files, seed=0), package.max_minutes)


def add_recordings(writer: ClipWriter, folder: Path, every: int = 1) -> float:
    """Add clips of a folder of recordings, or of every ``every``-th recording; return the minutes added.

    The folder's `CORPUS_NAME`, if any, lists the files with the columns path, source, original_path (the same
    for all excerpts of one recording) and licence. Without it, each file counts as a separate recording with
    an unknown licence. Files of `EVALUATION_SOURCES` are left out.
    """
    index = folder / CORPUS_NAME
    if not index.exists():
        return add_files(writer, folder.name, "unknown", find_audio_files(folder)[::every])
    minutes = 0.0
    with index.open(newline="", encoding="utf-8") as lines:
        rows = (row for row in csv.DictReader(lines) if not _is_for_evaluation(row["source"]))
        for row in itertools.islice(rows, 0, None, every):
            file = AudioFile(row["original_path"], partial(Path, folder / row["path"]))
            minutes += add_files(writer, row["source"], row["licence"], [file])
    return minutes


def _is_for_evaluation(source: str) -> bool:
    """Return whether a source, such as ``owner/name (commit 123)``, is one of `EVALUATION_SOURCES`."""
    return source.casefold().startswith(EVALUATION_SOURCES)
