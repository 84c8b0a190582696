"""Shards: concurrent reads, recovery after a killed writer, and capacity."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from training.teacher.shards import COLUMNS, COUNT, ShardReader, ShardWriter


def rows(patches: int, value: float) -> dict[str, NDArray[np.float32]]:
    return {name: np.full((patches, *column.shape), value, np.float32) for name, column in COLUMNS.items()}


def test_a_reader_sees_appended_rows_after_refresh(tmp_path: Path) -> None:
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


def test_a_writer_overwrites_uncounted_rows_of_a_killed_writer(tmp_path: Path) -> None:
    ShardWriter(tmp_path, capacity=4).append(rows(2, 1))
    uncounted = np.memmap(tmp_path / COLUMNS["clip"].file, "<i4", "r+")
    uncounted[2] = 99
    writer = ShardWriter(tmp_path, capacity=4)
    assert writer.room == 2
    writer.append(rows(1, 3))
    assert ShardReader(tmp_path).clip[:3].tolist() == [1, 1, 3]


def test_capacity_grows_but_never_shrinks(tmp_path: Path) -> None:
    ShardWriter(tmp_path, capacity=2).append(rows(2, 1))
    reader = ShardReader(tmp_path)
    writer = ShardWriter(tmp_path, capacity=3)
    writer.append(rows(1, 2))
    assert reader.refresh() == 3
    assert reader.offset.tolist() == [1, 1, 2]
    assert ShardWriter(tmp_path, capacity=1).capacity == 3


def test_rows_are_refused_when_they_exceed_the_capacity(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="the shard has room for 2 patches, got 3"):
        ShardWriter(tmp_path, capacity=2).append(rows(3, 1))


def test_a_new_shard_is_empty(tmp_path: Path) -> None:
    ShardWriter(tmp_path, capacity=2)
    assert not (tmp_path / COUNT).exists()
    assert len(ShardReader(tmp_path)) == 0
