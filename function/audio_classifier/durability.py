"""Make files and directories survive a power loss.

A file's content is on the disk only after ``fsync``, and its name only after ``fsync`` of its directory.
"""

from __future__ import annotations

import errno
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

UNSUPPORTED: Final = (errno.EINVAL, errno.ENOTSUP)  # by some network file systems, for directories
SYNC_THREADS: Final = 8  # file systems combine what is synced at the same time


def sync_file(path: Path) -> None:
    """Wait until the content of a file is on the disk.

    Raises
    ------
    OSError
        If it cannot be written there.
    """
    with path.open("r+b", buffering=0) as file:
        os.fsync(file.fileno())


def sync_directory(path: Path) -> None:
    """Wait until the names in a directory are on the disk, if the system can do that.

    Raises
    ------
    OSError
        If they cannot be written there.
    """
    if not hasattr(os, "O_DIRECTORY"):  # Windows
        return
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    except PermissionError:  # files may be created in it nevertheless
        return
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in UNSUPPORTED:
            raise
    finally:
        os.close(descriptor)


def sync_tree(directory: Path) -> None:
    """Wait until everything below a directory is on the disk.

    Raises
    ------
    OSError
        If it cannot be written there.
    """
    paths = [directory, *directory.rglob("*")]
    with ThreadPoolExecutor(SYNC_THREADS) as pool:
        list(pool.map(sync_file, (path for path in paths if path.is_file())))
    for path in paths:
        if path.is_dir():
            sync_directory(path)


def make_directory(path: Path) -> set[Path]:
    """Create a directory and its parents; return the directories that have a new entry, to be synced.

    Raises
    ------
    OSError
        If it cannot be created.
    """
    changed: set[Path] = set()
    if path.is_dir():
        return changed
    for directory in (path, *path.parents):
        if directory.exists():
            break
        changed.add(directory.parent)
    path.mkdir(parents=True, exist_ok=True)
    return changed
