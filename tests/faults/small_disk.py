"""Folders that can hold only a few bytes, until they are given more."""

from __future__ import annotations

import os
import resource
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol


class SmallDisk(Protocol):
    """A folder on a disk that is nearly full."""

    folder: Path

    def prepare_child(self) -> Callable[[], None] | None:
        """Return what a child process calls before it runs a program; None for nothing."""

    def free(self) -> None:
        """Give the disk enough space."""


class SmallFileSystem:
    """A file system in memory."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def prepare_child(self) -> None:
        """The limit applies to all processes."""

    def free(self) -> None:
        subprocess.run(["mount", "-o", "remount,size=64m", str(self.folder)], check=True)


class SmallFiles:
    """A limit for the size of each file, which an ordinary user may set, too."""

    def __init__(self, folder: Path, size: int) -> None:
        self.folder, self._size = folder, size

    def prepare_child(self) -> Callable[[], None] | None:
        size = self._size
        return (lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))) if size else None

    def free(self) -> None:
        self._size = 0


@contextmanager
def small_disk(folder: Path, *, disk_bytes: int, file_bytes: int) -> Iterator[SmallDisk]:
    """Provide a small file system if this user may mount one; otherwise limit the size of files."""
    folder.mkdir(parents=True)
    if os.geteuid() == 0:
        options = f"size={disk_bytes}"
        mounted = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)], capture_output=True, check=False
        )
        if mounted.returncode == 0:
            try:
                yield SmallFileSystem(folder)
            finally:
                subprocess.run(["umount", "--lazy", str(folder)], check=True)
            return
    yield SmallFiles(folder, file_bytes)
