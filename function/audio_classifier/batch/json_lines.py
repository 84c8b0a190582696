"""Store the results of a batch in a JSON Lines file."""

from __future__ import annotations

import hashlib
import json
import os
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from filelock import FileLock, Timeout

from audio_classifier.errors import InvalidParameterError
from audio_classifier.inference.record import Result, is_batch_result, result_identity
from audio_classifier.s3 import json_documents

RESULT_START: Final = b'{"status"'


class JsonLinesStore:
    """A line for each result, appended in one piece.  Only fingerprints of the results are held in memory.

    A result that replaces an older one is a further line; the last line of an input counts.

    A last line that is incomplete, because its writer was killed, is removed.  A lock file next to the file
    lets one process write at a time.

    Raises
    ------
    InvalidParameterError
        If the file has other content, which is left unchanged, or another process writes to it.
    """

    def __init__(self, path: Path, *, redo: bool = False) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists() and not path.is_file():
            raise InvalidParameterError("output", f"{path} is not a file")
        path = path.resolve()
        lock = FileLock(path.with_name(f".{path.name}.lock"), blocking=False)
        try:
            lock.acquire()
        except Timeout as error:
            raise InvalidParameterError(
                "output", f"another process writes to {path}", hint="Wait for it, or name another file."
            ) from error
        with ExitStack() as on_error:
            on_error.callback(lock.release)
            self._file = on_error.enter_context(path.open("a+b", buffering=0))
            self._stored, complete_bytes = _read_fingerprints(path)
            self._file.truncate(complete_bytes)
            if redo:
                self._stored.clear()
            self._resources = on_error.pop_all()

    def contains(self, result_key: str, result: Result) -> bool:  # noqa: ARG002  # one file has all results
        return _fingerprint(result) in self._stored

    def write(self, result_key: str, result: Result) -> bool:
        if self.contains(result_key, result):
            return False
        line = json.dumps(result).encode() + b"\n"
        end = os.fstat(self._file.fileno()).st_size
        written = 0
        try:
            while written < len(line):
                written += self._file.write(line[written:])
        except BaseException:  # the disk is full, for example
            self._file.truncate(end)
            raise
        self._stored.add(_fingerprint(result))
        return True

    def close(self) -> None:
        self._resources.close()


def _fingerprint(result: Result) -> bytes:
    return hashlib.sha256(json.dumps(result_identity(result), sort_keys=True).encode()).digest()[:16]


def _read_fingerprints(path: Path) -> tuple[set[bytes], int]:
    """Return the fingerprints of the results in a file, and where the last complete line ends."""
    fingerprints: set[bytes] = set()
    complete_bytes = 0
    with path.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            ended = line.endswith(b"\n")
            result = json_documents.parse(line)
            if result is None and not ended and line.startswith(RESULT_START[: len(line)]):
                break  # truncated: its writer was killed
            if not is_batch_result(result):
                raise _not_a_result(path, number)
            if not ended:
                break  # only the line feed is missing: the line is written again
            fingerprints.add(_fingerprint(result))
            complete_bytes += len(line)
    return fingerprints, complete_bytes


def _not_a_result(path: Path, number: int) -> InvalidParameterError:
    return InvalidParameterError(
        "output",
        f"line {number} of {path} is not a result",
        hint="Name a new file, or one that an earlier run wrote.",
    )
