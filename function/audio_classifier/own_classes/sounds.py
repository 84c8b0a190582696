"""Find the recordings to learn from: folders whose names are classes, or a table, and negatives."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from audio_classifier.batch.inputs import FileInput, UnusableInput, find_inputs
from audio_classifier.errors import InvalidParameterError, NoInputError
from audio_classifier.evaluation.recordings import END, LABEL, PATH, START, invalid, read_table, split_labels

GROUP = "group"


@dataclass(frozen=True, slots=True)
class LabelledSpan:
    """Labels that apply from ``start_s`` to ``end_s``."""

    labels: frozenset[str]
    start_s: float
    end_s: float


@dataclass(frozen=True, slots=True)
class Sound:
    """A recording to learn from.

    Attributes
    ----------
    path
        The audio file.
    labels
        The classes that it contains throughout; empty if it is a negative or has spans.
    spans
        Where it contains classes; the rest of the recording is not used.
    group
        What it has in common with other recordings, such as a day, a place or a microphone.  Recordings of
        one group are never on both sides of a split.
    """

    path: str
    labels: frozenset[str] = frozenset()
    spans: tuple[LabelledSpan, ...] = ()
    group: str = ""

    @property
    def is_negative(self) -> bool:
        """Whether it contains none of the classes."""
        return not self.labels and not self.spans

    @property
    def all_labels(self) -> frozenset[str]:
        """The classes that occur anywhere in it."""
        return self.labels.union(*(span.labels for span in self.spans))


def find_sounds(sounds: Path, *, labels: Path | None = None, negatives: Path | None = None) -> list[Sound]:
    """Find all recordings, in the order of the folder or table, and then the negatives.

    Parameters
    ----------
    sounds
        A folder with a subfolder for each class, or a table; with ``labels``, the folder that the paths of
        that table are relative to.  A recording in a folder below that of its class belongs to the group of
        that name, any other is a group of its own.
    labels
        A CSV file with the columns ``path`` and ``label``, and optionally ``start`` and ``end`` in seconds,
        and ``group``.  A path may occur in several rows; a row may have several labels, separated by
        semicolons, or none for a negative, and an empty start and end if it describes the whole recording.
    negatives
        A folder with recordings that contain none of the classes.

    Raises
    ------
    InvalidParameterError, NoInputError, OSError
        If a folder or table is malformed, contains no recordings, or cannot be read.
    """
    if negatives and not labels and negatives.resolve().is_relative_to(sounds.resolve()):
        raise InvalidParameterError(
            "negatives",
            f"expected a folder outside of {str(sounds)!r}, whose subfolders are classes, "
            f"got {str(negatives)!r}",
            hint="Move the folder out of that of the classes.",
        )
    if labels:
        found = _in_table(labels, sounds)
    elif sounds.is_dir():
        found = [_of_class(path, parts) for path, parts in _files(sounds)]
    else:
        found = _in_table(sounds, sounds.parent)
    if not any(sound.all_labels for sound in found):
        raise NoInputError(f"{labels or sounds}: expected labelled recordings, found none")
    if negatives:
        found += [Sound(path, group="/".join(parts[:-1]) or path) for path, parts in _files(negatives)]
    return found


def unlisted_files(folder: Path, sounds: list[Sound]) -> list[str]:
    """Return the audio files below a folder that are not among ``sounds``."""
    listed = {os.path.realpath(sound.path) for sound in sounds}
    return [path for path, _ in _files(folder) if os.path.realpath(path) not in listed]


def _files(folder: Path) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield the path of each audio file below a folder, and its parts relative to the folder."""
    for item in find_inputs([str(folder)], _no_client):
        if isinstance(item, UnusableInput):
            raise item.error
        if isinstance(item, FileInput):
            yield item.name, Path(os.path.relpath(item.name, folder)).parts


def _no_client() -> NoReturn:
    raise NotImplementedError  # a folder is not in S3


def _of_class(path: str, parts: tuple[str, ...]) -> Sound:
    if len(parts) < 2:
        raise InvalidParameterError(
            "sounds",
            f"{path}: expected audio files in subfolders whose names are classes",
            hint="Move the file to such a subfolder, or list the recordings in a CSV file.",
        )
    return Sound(path, frozenset(split_labels(parts[0])), group="/".join(parts[1:-1]) or path)


def _in_table(table: Path, folder: Path) -> list[Sound]:
    sounds: dict[str, Sound] = {}
    for line, row in read_table(table, PATH, LABEL):
        if not row[PATH] or "\0" in row[PATH]:
            invalid(table, line, "expected a path")
        path = os.path.normpath(folder / row[PATH])
        one = _in_row(table, line, row, path)
        before = sounds.get(path)
        if before and before.group != one.group:
            invalid(table, line, f"expected the group {before.group!r} of the same path, got {one.group!r}")
        sounds[path] = _merged(before, one) if before else one
    for sound in sounds.values():
        if sound.labels and sound.spans:
            raise InvalidParameterError(
                "labels", f"{table}: {sound.path} has rows with start and end, and rows without"
            )
    return [*sounds.values()]


def _in_row(table: Path, line: int, row: dict[str, str], path: str) -> Sound:
    labels = frozenset(split_labels(row[LABEL]))
    group = row.get(GROUP) or path
    if not labels or not (row.get(START) or row.get(END)):
        return Sound(path, labels, group=group)
    try:
        start_s, end_s = float(row.get(START, "")), float(row.get(END, ""))
    except ValueError:
        invalid(table, line, f"expected start and end in seconds, got {row.get(START)!r}, {row.get(END)!r}")
    if not 0 <= start_s < end_s < math.inf:
        invalid(table, line, f"expected 0 <= start < end, got {start_s:g} and {end_s:g}")
    return Sound(path, spans=(LabelledSpan(labels, start_s, end_s),), group=group)


def _merged(first: Sound, second: Sound) -> Sound:
    spans = tuple(dict.fromkeys([*first.spans, *second.spans]))
    return Sound(first.path, first.labels | second.labels, spans, first.group)
