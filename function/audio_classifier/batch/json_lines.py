"""Results of many files in a file of JSON lines."""

from __future__ import annotations

import hashlib
import json
import os
from contextlib import ExitStack
from pathlib import Path

from filelock import FileLock, Timeout

from audio_classifier.errors import InvalidParameterError
from audio_classifier.inference.record import Result, identity_of


class LinesStore:
    """A line for each result, appended in one piece.  Of what is there only fingerprints are kept.

    A last line that was cut off when its writer was killed is removed.  One process writes at a time: a lock
    stands beside the file.

    Raises
    ------
    InvalidParameterError
        If the file holds something else (it is left as it is), or another process writes to it.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists() and not path.is_file():
            raise InvalidParameterError("output", f"{path} is no file")
        path = path.resolve()
        lock = FileLock(path.with_name(f".{path.name}.lock"), blocking=False)
        try:
            lock.acquire()
        except Timeout as error:
            raise InvalidParameterError(
                "output", f"another process writes to {path}", hint="Wait for it, or name another file."
            ) from error
        with ExitStack() as undone:
            undone.callback(lock.release)
            self._file = undone.enter_context(path.open("a+b", buffering=0))
            self._there, whole = _fingerprints(path)
            self._file.truncate(whole)
            self._closing = undone.pop_all()

    def has(self, place: str, result: Result) -> bool:  # noqa: ARG002  # all are in one place
        return _fingerprint(result) in self._there

    def write(self, place: str, result: Result) -> bool:
        if self.has(place, result):
            return False
        line = json.dumps(result).encode() + b"\n"
        end = os.fstat(self._file.fileno()).st_size
        written = 0
        try:
            while written < len(line):
                written += self._file.write(line[written:])
        except BaseException:  # the disk is full
            self._file.truncate(end)
            raise
        self._there.add(_fingerprint(result))
        return True

    def close(self) -> None:
        self._closing.close()


def _fingerprint(result: Result) -> bytes:
    return hashlib.sha256(json.dumps(identity_of(result), sort_keys=True).encode()).digest()[:16]


def _fingerprints(path: Path) -> tuple[set[bytes], int]:
    """Of the results in a file of lines; and where the last whole line ends."""
    there: set[bytes] = set()
    whole = 0
    with path.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            ended = line.endswith(b"\n")
            try:
                fingerprint = _fingerprint(json.loads(line))
            except (AttributeError, KeyError, RecursionError, TypeError, ValueError) as error:
                cut_off = isinstance(error, ValueError) and line.startswith(b'{"status"'[: len(line)])
                if cut_off and not ended:
                    break  # of a run that was killed
                raise InvalidParameterError(
                    "output",
                    f"line {number} of {path} is no result",
                    hint="Name a new file, or one that was written by --output.",
                ) from error
            if not ended:
                break  # all but its end: it is written again
            there.add(fingerprint)
            whole += len(line)
    return there, whole
