"""Labelled patches on disk, which one process writes while others read.

A shard is a folder of plain arrays with one row per patch and unused capacity at the end. The file ``count``
contains the number of valid rows and is replaced after each append, so a killed writer loses only the rows
that it has not yet counted.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from audio_classifier.constants import CLASSES, MEL_BANDS, PATCH_FRAMES
from training.teacher.yamnet import HINT_SIZE, TEACHER_CLASSES

COUNT: Final = "count"
ROOM: Final = "capacity"


@dataclass(frozen=True, slots=True)
class _Column:
    file: str
    dtype: str
    shape: tuple[int, ...] = ()


COLUMNS: Final = {
    # log(mel + 0.01), as computed at inference.
    "mel": _Column("mel.f16", "<f2", (PATCH_FRAMES, MEL_BANDS)),
    "logits": _Column("logits.f16", "<f2", (TEACHER_CLASSES,)),
    # The teacher's pooled embedding.
    "hint": _Column("hint.f16", "<f2", (HINT_SIZE,)),
    # Index of the clip in the pool, and the patch's first sample in the clip.
    "clip": _Column("clip.i32", "<i4"),
    "offset": _Column("offset.i32", "<i4"),
}
# Columns of shards that a clip teacher has labelled, too; see `clip_teacher.ClipLogits`.
CLIP_COLUMNS: Final = {
    "clip_logits": _Column("clip_logits.f16", "<f2", (CLASSES,)),
    "pair_logits": _Column("pair_logits.f16", "<f2", (CLASSES,)),
}


class ShardError(Exception):
    """A shard has other columns than expected."""


class ShardWriter:
    """Append patches to a new or an existing shard.

    Parameters
    ----------
    folder
        Created if missing.
    capacity
        Maximum number of rows; unused rows take no space on disk. The capacity of a shard never shrinks.
    has_clip_logits
        Whether the rows have `CLIP_COLUMNS`, too.

    Raises
    ------
    ShardError
        If an existing shard was labelled with a clip teacher and this one is not, or the reverse.
    """

    def __init__(self, folder: Path, capacity: int, *, has_clip_logits: bool = False) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        columns = COLUMNS | (CLIP_COLUMNS if has_clip_logits else {})
        if (folder / ROOM).exists() and columns != _columns(folder):
            raise ShardError(f"{folder} was labelled with other teachers; use another work directory")
        self._folder = folder
        self.capacity = max(capacity, _read_number(folder / ROOM))
        for column in columns.values():
            with (folder / column.file).open("ab") as file:
                file.truncate(self.capacity * _row_bytes(column))
        _replace_number(folder / ROOM, self.capacity)
        self._arrays = _map(folder, "r+")
        self.count = _read_number(folder / COUNT)

    @property
    def room(self) -> int:
        """Number of rows that can still be appended."""
        return self.capacity - self.count

    def append(self, rows: Mapping[str, NDArray[Any]]) -> None:
        """Append one row per patch; ``rows`` has an array for each column.

        Raises
        ------
        ValueError
            If the rows exceed the capacity, or the arrays differ in length.
        """
        (patches,) = {len(array) for array in rows.values()}
        if patches > self.room:
            raise ValueError(f"the shard has room for {self.room} patches, got {patches}")
        end = self.count + patches
        for name, target in self._arrays.items():
            target[self.count : end] = rows[name]
        self.count = end
        _replace_number(self._folder / COUNT, end)


class ShardReader:
    """Read the rows that have been written to a shard so far.

    Attributes
    ----------
    mel, logits, hint, clip, offset
        The `COLUMNS`, memory-mapped; rows from `count` on are not yet valid.
    clip_logits, pair_logits
        The `CLIP_COLUMNS`; None if no clip teacher has labelled the shard.
    """

    mel: NDArray[np.float16]
    logits: NDArray[np.float16]
    hint: NDArray[np.float16]
    clip: NDArray[np.int32]
    offset: NDArray[np.int32]
    clip_logits: NDArray[np.float16] | None = None
    pair_logits: NDArray[np.float16] | None = None

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._capacity = 0
        self.count = 0
        self.refresh()

    def refresh(self) -> int:
        """Make newly appended rows available; return the number of rows."""
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
        for name, column in _columns(folder).items()
    }


def _columns(folder: Path) -> dict[str, _Column]:
    """Return the columns of an existing shard."""
    has_clip_logits = all((folder / column.file).exists() for column in CLIP_COLUMNS.values())
    return COLUMNS | (CLIP_COLUMNS if has_clip_logits else {})


def _read_number(path: Path) -> int:
    return int(path.read_text()) if path.exists() else 0


def _replace_number(path: Path, number: int) -> None:
    partial = path.with_suffix(".partial")
    partial.write_text(f"{number}\n")
    partial.replace(path)
