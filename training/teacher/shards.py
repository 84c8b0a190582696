"""Labelled patches on disk: written by one process while others read what is there already.

A shard is a folder of plain arrays, one row a patch, with room for more rows than there are; how many there
are stands in ``count``, which is replaced after the rows are written.  Who is killed loses only what was not
yet counted.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from audio_classifier.constants import MEL_BANDS, PATCH_FRAMES
from training.teacher.yamnet import HINT_SIZE, TEACHER_CLASSES

COUNT: Final = "count"
ROOM: Final = "capacity"


@dataclass(frozen=True, slots=True)
class _Column:
    file: str
    dtype: str
    shape: tuple[int, ...] = ()


COLUMNS: Final = {
    "mel": _Column(
        "mel.f16", "<f2", (PATCH_FRAMES, MEL_BANDS)
    ),  # log(mel + 0.01), as the product computes it
    "logits": _Column("logits.f16", "<f2", (TEACHER_CLASSES,)),
    # The teacher's pooled embedding.
    "hint": _Column("hint.f16", "<f2", (HINT_SIZE,)),
    # Which one of the pool, and the first sample within it.
    "clip": _Column("clip.i32", "<i4"),
    "offset": _Column("offset.i32", "<i4"),
}


class ShardWriter:
    """Appends patches to a shard, a new one or one that was begun.

    Parameters
    ----------
    folder
        Made if it does not exist.
    capacity
        Rows that there is room for; room takes no space on disk before it is used.
    """

    def __init__(self, folder: Path, capacity: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self.capacity = max(capacity, _read_number(folder / ROOM))
        for column in COLUMNS.values():
            with (folder / column.file).open("ab") as file:
                file.truncate(self.capacity * _row_bytes(column))
        _replace_number(folder / ROOM, self.capacity)
        self._arrays = _map(folder, "r+")
        self.count = _read_number(folder / COUNT)

    @property
    def room(self) -> int:
        """How many more rows fit."""
        return self.capacity - self.count

    def append(self, rows: Mapping[str, NDArray[Any]]) -> None:
        """Add as many patches as the arrays have rows; one array for each of `COLUMNS`.

        Raises
        ------
        ValueError
            If there is no room for them, or they are not equally many.
        """
        (patches,) = {len(array) for array in rows.values()}
        if patches > self.room:
            raise ValueError(f"{patches} patches do not fit into the room for {self.room}")
        end = self.count + patches
        for name, target in self._arrays.items():
            target[self.count : end] = rows[name]
        self.count = end
        _replace_number(self._folder / COUNT, end)


class ShardReader:
    """What has been written to a shard so far.

    Attributes
    ----------
    mel, logits, hint, clip, offset
        As `COLUMNS` says, mapped into memory; rows from `count` on mean nothing yet.
    """

    mel: NDArray[np.float16]
    logits: NDArray[np.float16]
    hint: NDArray[np.float16]
    clip: NDArray[np.int32]
    offset: NDArray[np.int32]

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._capacity = 0
        self.count = 0
        self.refresh()

    def refresh(self) -> int:
        """See what was added meanwhile; how many rows there are now."""
        count, capacity = _read_number(self._folder / COUNT), _read_number(self._folder / ROOM)
        if capacity != self._capacity:
            for name, array in _map(self._folder, "r").items():
                setattr(self, name, array)
            self._capacity = capacity
        self.count = count
        return count

    def __len__(self) -> int:
        return self.count


def _row_bytes(column: _Column) -> int:
    return int(np.dtype(column.dtype).itemsize * np.prod(column.shape, dtype=int))


def _map(folder: Path, mode: Any) -> dict[str, NDArray[Any]]:
    capacity = _read_number(folder / ROOM)
    return {
        name: np.memmap(folder / column.file, column.dtype, mode, shape=(capacity, *column.shape))
        for name, column in COLUMNS.items()
    }


def _read_number(path: Path) -> int:
    return int(path.read_text()) if path.exists() else 0


def _replace_number(path: Path, number: int) -> None:
    partial = path.with_suffix(".partial")
    partial.write_text(f"{number}\n")
    partial.replace(path)
