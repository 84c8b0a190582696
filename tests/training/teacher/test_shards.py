"""Shards keep what was counted, whoever is killed, and can be read while they are written."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from training.teacher.shards import COLUMNS, COUNT, ShardReader, ShardWriter


def rows(patches: int, value: float) -> dict[str, NDArray[np.float32]]:
    return {name: np.full((patches, *column.shape), value, np.float32) for name, column in COLUMNS.items()}


def test_what_is_written_can_be_read(tmp_path: Path) -> None:
    writer = ShardWriter(tmp_path, capacity=5)
    writer.append(rows(2, 1))
    reader = ShardReader(tmp_path)
    assert len(reader) == 2
    writer.append(rows(3, 7))
    assert len(reader) == 2
    assert reader.refresh() == 5
    for name, column in COLUMNS.items():
        array = getattr(reader, name)
        assert array.shape == (5, *column.shape)
        assert (array[:2] == 1).all()
        assert (array[2:] == 7).all()


def test_a_writer_goes_on_where_the_last_one_was_killed(tmp_path: Path) -> None:
    ShardWriter(tmp_path, capacity=4).append(rows(2, 1))
    # What was written but not counted is written over.
    uncounted = np.memmap(tmp_path / COLUMNS["clip"].file, "<i4", "r+")
    uncounted[2] = 99
    writer = ShardWriter(tmp_path, capacity=4)
    assert writer.room == 2
    writer.append(rows(1, 3))
    assert ShardReader(tmp_path).clip[:3].tolist() == [1, 1, 3]


def test_a_shard_can_grow_but_never_shrinks(tmp_path: Path) -> None:
    ShardWriter(tmp_path, capacity=2).append(rows(2, 1))
    reader = ShardReader(tmp_path)
    writer = ShardWriter(tmp_path, capacity=3)
    writer.append(rows(1, 2))
    assert reader.refresh() == 3
    assert reader.offset.tolist() == [1, 1, 2]
    assert ShardWriter(tmp_path, capacity=1).capacity == 3


def test_there_must_be_room(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="3 patches do not fit into the room for 2"):
        ShardWriter(tmp_path, capacity=2).append(rows(3, 1))


def test_a_shard_that_was_only_begun_is_empty(tmp_path: Path) -> None:
    ShardWriter(tmp_path, capacity=2)
    assert not (tmp_path / COUNT).exists()
    assert len(ShardReader(tmp_path)) == 0
