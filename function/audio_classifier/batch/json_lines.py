"""Store the results of a batch in a JSON Lines file."""

from __future__ import annotations

import hashlib
import json
import os
import time
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Final

from filelock import FileLock, Timeout

from audio_classifier.batch.damage import is_damaged
from audio_classifier.batch.spans import Span, add_span, keep_spans
from audio_classifier.durability import make_directory, sync_directory
from audio_classifier.errors import InvalidParameterError
from audio_classifier.inference.record import Result, Status, is_batch_result, result_identity, result_status
from audio_classifier.s3 import json_documents

SYNC_INTERVAL_S: Final = 1.0
MAX_LINE_BYTES: Final = 64 << 20  # of what is read at once; a result is far shorter


class JsonLinesStore:
    """A line for each result, appended in one piece.  Only fingerprints of the results are held in memory.

    A result that replaces an older one is a further line; the last line of an input counts.

    Damaged lines, which a killed process or a power loss leaves, are removed.  A lock file next to the file
    lets one process write at a time.

    Raises
    ------
    InvalidParameterError
        If the file has other content, which is left unchanged, or another process writes to it.
    OSError
        If it cannot be written.
    """

    def __init__(self, path: Path, *, redo: bool = False) -> None:
        changed = make_directory(path.parent)
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
            path.touch()
            self._statuses, undamaged = _read(path)
            keep_spans(path, undamaged)
            self._file = on_error.enter_context(path.open("ab", buffering=0))
            for directory in (path.parent, *changed):
                sync_directory(directory)
            if redo:
                self._statuses.clear()
            self._resources = on_error.pop_all()
        self._synced_s = float("-inf")

    def find(self, result_key: str, result: Result) -> Status | None:  # noqa: ARG002  # one file has all results
        return self._statuses.get(_fingerprint(result))

    def write(self, result_key: str, result: Result) -> bool:
        if self.find(result_key, result):
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
        self._statuses[_fingerprint(result)] = result_status(result)
        if time.monotonic() >= self._synced_s + SYNC_INTERVAL_S:
            self._sync()
        return True

    def close(self) -> None:
        with self._resources:
            self._sync()

    def _sync(self) -> None:
        os.fsync(self._file.fileno())
        self._synced_s = time.monotonic()


def _fingerprint(result: Result) -> bytes:
    return hashlib.sha256(json.dumps(result_identity(result), sort_keys=True).encode()).digest()[:16]


def _read(path: Path) -> tuple[dict[bytes, Status], list[Span]]:
    """Return the statuses of the results in a file by fingerprint, and where its undamaged lines are."""
    statuses: dict[bytes, Status] = {}
    spans: list[Span] = []
    begin = 0
    with path.open("rb") as lines:
        for number, line in enumerate(iter(partial(lines.readline, MAX_LINE_BYTES), b""), 1):
            result, end = json_documents.parse(line), begin + len(line)
            if is_batch_result(result):
                if line.endswith(b"\n"):  # otherwise the line is written again
                    statuses[_fingerprint(result)] = result_status(result)
                    add_span(spans, (begin, end))
            elif result is not None or not is_damaged(line) or (line.endswith(b"\n") and b"\0" not in line):
                raise _not_a_result(path, number)
            begin = end
    return statuses, spans


def _not_a_result(path: Path, number: int) -> InvalidParameterError:
    return InvalidParameterError(
        "output",
        f"line {number} of {path} is not a result",
        hint="Name a new file, or one that an earlier run wrote.",
    )
