"""Record what a program writes and syncs, and construct the states that a power loss may leave.

Content that was not synced is missing, zero in some blocks, or there; so is a name until its directory is
synced.
"""

from __future__ import annotations

import os
import stat
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Any, Final
from unittest.mock import patch

BLOCK_BYTES: Final = 512  # smaller than those of file systems, so that small files have several


class RecordedDisk:
    """The files below a folder, and what of them is on the disk.

    Parameters
    ----------
    folder
        The folder, which exists.
    states
        Where the states are constructed: in the folders ``0``, ``1``, ...
    probability
        Of a power loss at each call that changes the disk; the program continues nevertheless.
    """

    def __init__(self, folder: Path, states: Path, random: Random, probability: float) -> None:
        self._folder, self._states, self._random, self._probability = folder, states, random, probability
        self._descriptors: dict[int, int] = {}  # held open, because numbers of removed files are reused
        self._contents: dict[int, bytes] = {}
        self._names: dict[int, dict[str, int]] = {}
        self._lock = threading.Lock()
        self.states: list[Path] = []
        self.syncs = 0

    @contextmanager
    def recording(self) -> Iterator[None]:
        """Record the calls of all threads within the block."""
        with (
            patch("os.fsync", self._fsync),
            patch("os.replace", self._observed(os.replace)),
            patch("os.rename", self._observed(os.rename)),
            patch("os.truncate", self._observed(os.truncate)),
        ):
            yield
        for descriptor in self._descriptors.values():
            os.close(descriptor)

    def lose_power(self) -> Path:
        """Construct a state that a power loss at this moment may leave."""
        with self._lock:
            target = self._states / str(len(self.states))
            self._construct(self._folder, target)
            self.states.append(target)
            return target

    def maybe_lose_power(self) -> None:
        """Lose power with the given probability."""
        if self._random.random() < self._probability:
            self.lose_power()

    def _fsync(self, descriptor: int) -> None:
        self.maybe_lose_power()
        status = os.fstat(descriptor)
        path = Path(f"/proc/self/fd/{descriptor}")
        with self._lock:
            self.syncs += 1
            number = self._hold(path)
            if stat.S_ISDIR(status.st_mode):
                self._names[number] = self._entries(path)
            else:
                self._contents[number] = path.read_bytes()
        self.maybe_lose_power()

    def _observed(self, function: Callable[..., None]) -> Callable[..., None]:
        def observed(*arguments: Any) -> None:
            self.maybe_lose_power()
            function(*arguments)
            self.maybe_lose_power()

        return observed

    def _hold(self, path: Path) -> int:
        number = path.stat().st_ino
        if number not in self._descriptors:
            self._descriptors[number] = os.open(path, os.O_RDONLY)
        return number

    def _entries(self, folder: Path) -> dict[str, int]:
        return {path.name: self._hold(path) for path in folder.iterdir()}

    def _construct(self, folder: Path, target: Path) -> None:
        target.mkdir(parents=True)
        current = self._entries(folder)
        synced = self._names.get(self._hold(folder), {})
        for name in sorted(current.keys() | synced.keys()):
            number = self._random.choice((current.get(name), synced.get(name)))
            if number is None:
                continue
            if stat.S_ISDIR(os.fstat(self._descriptors[number]).st_mode):
                if number == current.get(name):
                    self._construct(folder / name, target / name)
            else:
                (target / name).write_bytes(self._content(number))

    def _content(self, number: int) -> bytes:
        descriptor = self._descriptors[number]
        current = os.pread(descriptor, os.fstat(descriptor).st_size, 0)
        synced = self._contents.get(number, b"")
        if current == synced:
            return current
        match self._random.randrange(4):
            case 0:
                return synced
            case 1:
                return current
            case 2:
                return current[: max(len(synced), self._random.randrange(len(current) + 1))]
        if not current.startswith(synced):  # shortened
            return synced
        blocks = [current[: len(synced)]]
        for begin in range(len(synced), len(current), BLOCK_BYTES):
            block = current[begin : begin + BLOCK_BYTES]
            blocks.append(block if self._random.random() < 0.5 else bytes(len(block)))
        return b"".join(blocks)
