from __future__ import annotations

import os
from pathlib import Path
from random import Random

import pytest

from tests.faults.power_loss import RecordedDisk
from tests.faults.resumption import OUTPUTS, Output, Resumptions, check_bundle, check_store


@pytest.mark.parametrize("output", OUTPUTS)
@pytest.mark.parametrize("seed", range(3))
def test_run_resumes_after_a_power_loss(tmp_path: Path, output: Output, seed: int) -> None:
    found = Resumptions()
    check_store(output, tmp_path, Random(seed), found)
    assert found.wrong == []
    assert found.lost == 0
    assert found.states >= 3
    assert found.redone > 0


def test_bundle_is_complete_or_missing_after_a_power_loss(tmp_path: Path, compact: Path) -> None:
    found = Resumptions()
    for seed in range(5):
        check_bundle(compact, tmp_path / str(seed), Random(seed), found)
    assert found.wrong == []
    assert found.lost == 0
    assert found.redone > 0


def write(path: Path, content: bytes, *, synced: bool) -> None:
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        if synced:
            os.fsync(file.fileno())


def sync_names(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    os.fsync(descriptor)
    os.close(descriptor)


def contents_after_power_losses(folder: Path, disk: RecordedDisk) -> set[bytes | None]:
    states = [disk.lose_power() / "a" for _ in range(100)]
    return {path.read_bytes() if path.exists() else None for path in states}


@pytest.mark.parametrize("synced", [True, False])
def test_content_and_name_that_are_not_synced_may_be_lost(tmp_path: Path, synced: bool) -> None:
    folder = tmp_path / "disk"
    folder.mkdir()
    disk = RecordedDisk(folder, tmp_path / "states", Random(1), probability=0)
    content = b"x" * 1024
    with disk.recording():
        write(folder / "a", content, synced=synced)
        found = contents_after_power_losses(folder, disk)
        if synced:
            assert found == {content, None}
            sync_names(folder)
            assert contents_after_power_losses(folder, disk) == {content}
        else:
            assert {content, None, b"", bytes(1024), content[:512] + bytes(512)} <= found


def test_replaced_file_is_the_old_or_the_new_one(tmp_path: Path) -> None:
    folder = tmp_path / "disk"
    folder.mkdir()
    disk = RecordedDisk(folder, tmp_path / "states", Random(1), probability=0)
    with disk.recording():
        write(folder / "a", b"old", synced=True)
        sync_names(folder)
        write(folder / "b", b"new", synced=True)
        (folder / "b").replace(folder / "a")
        assert contents_after_power_losses(folder, disk) == {b"old", b"new"}
        sync_names(folder)
        assert contents_after_power_losses(folder, disk) == {b"new"}
