"""The processes that decode untrusted recordings: ``python -m audio_classifier.service.decoder_process FD``.

A single-threaded parent imports the decoders once and forks a worker for each connection that it receives, so
that a new worker starts in milliseconds.  A worker reads the recording through its connection, has no AWS
credentials in its environment, and is limited in memory and CPU time: a file that crashes libsndfile ends one
worker.

Messages are a JSON object, followed by as many binary messages as its ``parts`` states.  Neither side
unpickles what the other sends.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import socket
import sys
import time
from contextlib import suppress
from dataclasses import asdict
from multiprocessing.connection import Connection
from typing import Any, Final

import numpy as np

from audio_classifier.audio.front_end import FrontEnd
from audio_classifier.audio.warnings import AudioWarning
from audio_classifier.errors import AudioClassifierError, DecodingLimitError, InvalidParameterError
from audio_classifier.inference.blocks import Block
from audio_classifier.inference.decoding import LocalDecoder

MAX_MEMORY_BYTES: Final = 1 << 30  # of address space
# CPU time of a recording: a base, and a share of its length.  An hour of stereo takes 2 to 6 s in
# most formats, and up to 25 s in Opus.
BASE_CPU_S: Final = 2.0
CPU_S_PER_AUDIO_S: Final = 1 / 100
# The kernel ends a worker that spends this much more in a single call.
HARD_CPU_MARGIN_S: Final = 3
READ_BYTES: Final = 64 << 10


class SourceError(Exception):
    """The parent failed to read the recording; it knows why."""


class ParentFile:
    """The recording, which the process at the other end of the connection reads.

    Parameters
    ----------
    connection
        To the process that has the file.
    size
        The file's length in bytes.
    head
        Its first bytes, possibly all of them.
    """

    def __init__(self, connection: Connection, size: int, head: bytes) -> None:
        self._connection = connection
        self._size = size
        self._buffer, self._buffer_start = memoryview(head), 0
        self._position = 0
        self._expected = 0

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._size}[whence]
        if base + offset < 0:
            raise ValueError(f"negative seek position {base + offset}")
        self._position = base + offset
        return self._position

    def expect(self, size: int) -> None:
        self._expected = size

    def read(self, size: int) -> bytes:
        size = min(size, self._size - self._position)
        if size <= 0:
            return b""
        offset = self._position - self._buffer_start
        if not 0 <= offset < len(self._buffer):
            self._fetch(max(size, READ_BYTES))
            offset = 0
        data = bytes(self._buffer[offset : offset + size])
        self._position += len(data)
        return data

    def _fetch(self, size: int) -> None:
        send(self._connection, {"read": [self._position, size], "expect": self._expected})
        self._expected = 0
        header, *parts = receive(self._connection)
        if "failed" in header:
            raise SourceError
        self._buffer, self._buffer_start = memoryview(parts[0]), self._position


class CpuBudget:
    """Limits the CPU time of one recording.

    `check` raises between blocks; the kernel ends the process if a single call takes much longer.
    """

    def __init__(self) -> None:
        self._begin_s = time.process_time()
        self._extend(0)

    def check(self, audio_s: float) -> None:
        """Raise `DecodingLimitError` if the first ``audio_s`` of the recording took too long."""
        used_s, allowed_s = time.process_time() - self._begin_s, self._allowed_s(audio_s)
        if used_s > allowed_s:
            raise DecodingLimitError(
                f"decoding {audio_s:.0f} s of the recording must take at most {allowed_s:.1f} s of CPU time"
            )
        self._extend(audio_s)

    def _allowed_s(self, audio_s: float) -> float:
        return BASE_CPU_S + CPU_S_PER_AUDIO_S * audio_s

    def _extend(self, audio_s: float) -> None:
        limit_s = int(self._begin_s + self._allowed_s(audio_s)) + HARD_CPU_MARGIN_S
        _, hard = resource.getrlimit(resource.RLIMIT_CPU)
        resource.setrlimit(resource.RLIMIT_CPU, (limit_s, hard))


def send(connection: Connection, header: dict[str, Any], *parts: Any) -> None:
    """Send a message."""
    connection.send_bytes(json.dumps({**header, "parts": len(parts)}).encode())
    for part in parts:
        connection.send_bytes(part)


def receive(connection: Connection) -> tuple[Any, ...]:
    """Receive a message: its header and its binary parts.

    Raises
    ------
    EOFError
        If the other process has ended.
    """
    header = json.loads(connection.recv_bytes())
    return header, *(connection.recv_bytes() for _ in range(header["parts"]))


def main(control_fd: int) -> None:
    """Fork a worker for each connection that arrives, until the control socket is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal sends it to all processes
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the kernel reaps workers
    control = socket.socket(fileno=control_fd)
    while True:
        data, fds, _, _ = socket.recv_fds(control, 1, 1)
        if not data:
            return
        if os.fork() == 0:
            control.close()
            _work(Connection(fds[0]))
            os._exit(0)
        os.close(fds[0])


def _work(connection: Connection) -> None:
    with suppress(ValueError):  # macOS has no such limit
        resource.setrlimit(resource.RLIMIT_AS, (MAX_MEMORY_BYTES, MAX_MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    decoder = LocalDecoder()
    try:
        while True:
            request, head = receive(connection)
            _serve(connection, decoder, request, head)
    except (EOFError, OSError):  # the parent has ended, or does not need the worker any more
        return


def _serve(connection: Connection, decoder: LocalDecoder, request: dict[str, Any], head: bytes) -> None:
    file, budget = ParentFile(connection, request["size"], head), CpuBudget()
    try:
        if request["kind"] == "clip":
            _send_clip(connection, decoder, file, request)
        else:
            for item in decoder.blocks(
                file, front_end=FrontEnd(**request["front_end"]), channel=request["channel"]
            ):
                if isinstance(item, AudioWarning):
                    send(connection, {"warning": asdict(item)})
                else:
                    budget.check(item.start_s)
                    send(connection, {"start_s": item.start_s}, *_parts(item))
        send(connection, {"done": True})
    except SourceError:
        send(connection, {"failed": "source"})
    except InvalidParameterError as error:
        failure = {"parameter": error.parameter, "message": error.reason, "hint": error.hint}
        send(connection, {"failed": error.code, **failure})
    except AudioClassifierError as error:
        send(connection, {"failed": error.code, "message": str(error), "hint": error.hint})
    except MemoryError:
        send(connection, {"failed": "memory"})


def _send_clip(
    connection: Connection, decoder: LocalDecoder, file: ParentFile, request: dict[str, Any]
) -> None:
    blocks: list[Block] = []
    on_block = blocks.append if request["with_samples"] else None
    clip = decoder.clip(
        file,
        front_end=FrontEnd(**request["front_end"]),
        start_s=request["start_s"],
        channel=request["channel"],
        on_block=on_block,
    )
    for block in blocks:
        send(connection, {"start_s": block.start_s}, *_parts(block))
    found = [asdict(warning) for warning in clip.warnings]
    header = {
        "audio": asdict(clip.audio),
        "analyzed_s": clip.analyzed_s,
        "seconds": clip.seconds,
        "warnings": found,
    }
    send(connection, header, clip.log_mel.tobytes())


def _parts(block: Block) -> tuple[bytes, bytes]:
    return block.log_mel.tobytes(), block.samples.astype(np.float32, copy=False).tobytes()


if __name__ == "__main__":
    main(int(sys.argv[1]))
