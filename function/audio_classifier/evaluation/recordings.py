"""Read labelled recordings: a folder with a subfolder for each label, or a table."""

from __future__ import annotations

import csv
import math
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NoReturn

from audio_classifier.batch.inputs import FileInput, UnusableInput, find_inputs
from audio_classifier.errors import InvalidParameterError, NoInputError

SEPARATOR: Final = ";"
PATH, LABEL, START, END = "path", "label", "start", "end"


@dataclass(frozen=True, slots=True)
class LabelledEvent:
    """A label that applies from ``start_s`` to ``end_s``."""

    label: str
    start_s: float
    end_s: float


@dataclass(frozen=True, slots=True)
class LabelledRecording:
    """A recording and its labels.

    Attributes
    ----------
    path
        The audio file.
    labels
        Its labels; empty if it contains none of the classes.
    events
        When they apply; empty if the labels have no times.
    """

    path: str
    labels: frozenset[str]
    events: tuple[LabelledEvent, ...] = ()


@dataclass(frozen=True, slots=True)
class LabelledRecordings:
    """Recordings in the order of the table; either all labels have times, or none."""

    recordings: list[LabelledRecording]
    has_times: bool

    @property
    def labels(self) -> list[str]:
        """All labels, sorted."""
        return sorted({label for recording in self.recordings for label in recording.labels})


def read_recordings(path: Path) -> LabelledRecordings:
    """Read a folder or a CSV file.

    In a folder, the name of each subfolder is the label of the audio files below it.  A CSV file has the
    columns ``path``, relative to the file, and ``label``, and optionally ``start`` and ``end`` in seconds.  A
    path may occur in several rows; a row may have several labels, separated by semicolons, or an empty label
    for a recording without any of the classes.

    Raises
    ------
    InvalidParameterError, NoInputError, OSError
        If the folder or table is malformed, contains no recordings, or cannot be read.
    """
    found = _in_folder(path) if path.is_dir() else _in_table(path)
    if not any(recording.labels for recording in found.recordings):
        raise NoInputError(f"{path}: expected labelled recordings, found none")
    return found


def read_table(path: Path, *columns: str) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield the number of the line and the stripped fields of each row of a CSV file, which has a header.

    Raises
    ------
    InvalidParameterError
        If it is not a CSV file in UTF-8, or lacks a column.
    OSError
        If it cannot be read.
    """
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = csv.DictReader(file, strict=True)
        try:
            header = rows.fieldnames or []
            if not {*columns} <= {*header}:
                invalid(path, 1, f"expected a header with {', '.join(columns)}, got {', '.join(header)!r}")
            for row in rows:
                fields: dict[Any, Any] = row  # a None is a missing or an additional field
                if None in fields or None in fields.values():
                    invalid(path, rows.line_num, f"expected {len(header)} fields")
                yield rows.line_num, {name: value.strip() for name, value in row.items()}
        except (csv.Error, UnicodeDecodeError) as error:
            raise InvalidParameterError("labels", f"{path}: expected CSV in UTF-8: {error}") from error


def invalid(path: Path, line: int, reason: str) -> NoReturn:
    """Raise the error for a line of a table."""
    raise InvalidParameterError("labels", f"{path}, line {line}: {reason}")


def split_labels(text: str) -> list[str]:
    """Split labels at semicolons; empty ones are dropped."""
    return [label.strip() for label in text.split(SEPARATOR) if label.strip()]


def _in_folder(folder: Path) -> LabelledRecordings:
    recordings = []
    for item in find_inputs([str(folder)], _no_client):
        if isinstance(item, UnusableInput) and isinstance(item.error, NoInputError):
            raise item.error
        parts = Path(os.path.relpath(item.name, folder)).parts
        if len(parts) < 2 and isinstance(item, FileInput):
            raise InvalidParameterError(
                "labels",
                f"{item.name}: expected audio files in subfolders whose names are labels",
                hint="Move the file to such a subfolder, or list the recordings in a CSV file.",
            )
        recordings.append(LabelledRecording(item.name, frozenset(split_labels(parts[0]))))
    return LabelledRecordings(recordings, has_times=False)


def _no_client() -> NoReturn:
    raise NotImplementedError  # a folder is not in S3


def _in_table(path: Path) -> LabelledRecordings:
    labels: dict[str, set[str]] = {}
    events: dict[str, dict[LabelledEvent, None]] = {}
    has_times = False
    for line, row in read_table(path, PATH, LABEL):
        has_times = START in row or END in row
        if not row[PATH] or "\0" in row[PATH]:
            invalid(path, line, "expected a path")
        name = os.path.normpath(path.parent / row[PATH])
        own = split_labels(row[LABEL])
        labels.setdefault(name, set()).update(own)
        if has_times and own:
            start_s, end_s = _times(path, line, row)
            own_events = events.setdefault(name, {})
            own_events.update(dict.fromkeys(LabelledEvent(label, start_s, end_s) for label in own))
    return LabelledRecordings(
        [
            LabelledRecording(name, frozenset(found), tuple(events.get(name, ())))
            for name, found in labels.items()
        ],
        has_times,
    )


def _times(path: Path, line: int, row: dict[str, str]) -> tuple[float, float]:
    try:
        start_s, end_s = float(row.get(START, "")), float(row.get(END, ""))
    except ValueError:
        invalid(path, line, f"expected start and end in seconds, got {row.get(START)!r}, {row.get(END)!r}")
    if not 0 <= start_s < end_s < math.inf:
        invalid(path, line, f"expected 0 <= start < end, got {start_s:g} and {end_s:g}")
    return start_s, end_s
