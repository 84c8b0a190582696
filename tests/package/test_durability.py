from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from audio_classifier.durability import make_directory, sync_directory, sync_file, sync_tree


def failing_with(number: int) -> Callable[[int], None]:
    def fail(descriptor: int) -> None:
        raise OSError(number, os.strerror(number))

    return fail


@pytest.fixture
def synced(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Record the paths that are synced."""
    paths: list[str] = []
    monkeypatch.setattr(
        "os.fsync", lambda descriptor: paths.append(os.readlink(f"/proc/self/fd/{descriptor}"))
    )
    return paths


def test_created_directory_is_returned_with_its_parents_that_changed(tmp_path: Path) -> None:
    deep = tmp_path / "a" / "b"
    assert make_directory(deep) == {tmp_path, tmp_path / "a"}
    assert deep.is_dir()
    assert make_directory(deep) == set()


def test_file_in_place_of_a_directory_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    with pytest.raises(FileExistsError):
        make_directory(tmp_path / "a")
    with pytest.raises(NotADirectoryError):
        make_directory(tmp_path / "a" / "b")


def test_everything_in_a_tree_is_synced(tmp_path: Path, synced: list[str]) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "c").write_bytes(b"c")
    sync_tree(tmp_path)
    assert sorted(synced) == [str(tmp_path / name) for name in ("", "a", "a/b", "a/b/c")]


@pytest.mark.parametrize("number", [errno.EINVAL, errno.ENOTSUP])
def test_directory_is_not_synced_if_the_file_system_cannot(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    monkeypatch.setattr("os.fsync", failing_with(number))
    sync_directory(tmp_path)


def test_failure_of_the_disk_is_raised(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a").touch()
    monkeypatch.setattr("os.fsync", failing_with(errno.EIO))
    for function, path in ((sync_directory, tmp_path), (sync_file, tmp_path / "a")):
        with pytest.raises(OSError, match="Input/output error"):
            function(path)
