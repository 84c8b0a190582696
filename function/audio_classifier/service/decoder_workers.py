"""Start worker processes for decoding, and lend their connections."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Final

from audio_classifier.errors import BusyError

MODULE: Final = "audio_classifier.service.decoder_process"
HIDDEN_VARIABLES: Final = ("AWS_", "AUDIO_CLASSIFIER_")  # credentials and keys, which a decoder does not need


class WorkerConnection(Connection):
    """A connection that is closed once, also if the cyclic garbage collector finalises it before its user.

    `Connection` then closes its file descriptor a second time, which can be another file's by then.
    """

    def __del__(self) -> None:
        self.close()


@dataclass(slots=True)
class Worker:
    """The connection to a worker process, and whether it waits for its next recording."""

    connection: Connection
    is_idle: bool = True


class WorkerProcesses:
    """Workers, and the process that forks them; see `decoder_process`.

    Parameters
    ----------
    max_idle
        How many workers are kept for reuse.
    """

    def __init__(self, max_idle: int) -> None:
        self._max_idle = max_idle
        self._lock = threading.Lock()
        self._idle: list[Connection] = []
        self._control: socket.socket | None = None
        self._parent: subprocess.Popen[bytes] | None = None
        self._is_closed = False

    @contextmanager
    def worker(self) -> Iterator[Worker]:
        """Lend a worker, which is reused only if it is idle at the end of the block.

        A worker whose connection is closed ends with its next message, or at its limit of CPU time.

        Raises
        ------
        BusyError
            If the processes were ended by `close`.
        """
        worker = Worker(self._take())
        try:
            yield worker
        finally:
            if not worker.is_idle or not self._keep(worker.connection):
                worker.connection.close()

    def close(self) -> None:
        """End the idle workers and the process that forks them, and start no others."""
        with self._lock:
            self._is_closed = True
            for connection in self._idle:
                connection.close()
            self._idle.clear()
            self._end_parent()

    def _take(self) -> Connection:
        with self._lock:
            if self._is_closed:
                raise BusyError("the server is stopping")
            if self._idle:
                return self._idle.pop()
            own_end, worker_end = socket.socketpair()
            with worker_end:
                try:
                    self._fork(worker_end)
                except OSError:  # the parent has ended
                    self._end_parent()
                    self._fork(worker_end)
        return WorkerConnection(own_end.detach())

    def _keep(self, connection: Connection) -> bool:
        with self._lock:
            keep = self._control is not None and len(self._idle) < self._max_idle
            if keep:
                self._idle.append(connection)
        return keep

    def _fork(self, worker_end: socket.socket) -> None:
        if self._control is None:
            self._control = self._start_parent()
        socket.send_fds(self._control, [b"w"], [worker_end.fileno()])

    def _start_parent(self) -> socket.socket:
        own_end, parent_end = socket.socketpair()
        environment = {
            name: value for name, value in os.environ.items() if not name.startswith(HIDDEN_VARIABLES)
        }
        with parent_end:
            self._parent = subprocess.Popen(  # noqa: S603  # a module of this package
                [sys.executable, "-m", MODULE, str(parent_end.fileno())],
                env={**environment, "OPENBLAS_NUM_THREADS": "1"},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=[parent_end.fileno()],
            )
        return own_end

    def _end_parent(self) -> None:
        """Close the control socket, at which the parent ends, and wait for that."""
        if self._control is not None:
            self._control.close()
            self._control = None
        if self._parent is not None:
            self._parent.wait()
            self._parent = None
