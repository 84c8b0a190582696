"""A real HTTP server in a process of its own, with a prober and honest clients."""

from __future__ import annotations

import http.client
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import requests

from devtools.ports import answers, free_port, wait_until
from tests.faults.memory import tree_bytes
from tests.faults.recordings import TOP_K, Recording
from tests.faults.report import Outcome

PROBE_INTERVAL_S: Final = 0.05
ANSWER_S: Final = 60.0  # more than any deadline of the server
PREDICT: Final = "/model/predict"


class Server:
    """A running server.

    Attributes
    ----------
    url
        Its URL.
    process
        Its process, which has children that decode recordings.
    """

    def __init__(self, url: str, process: subprocess.Popen[bytes]) -> None:
        self.url, self.process = url, process

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    def runs(self) -> bool:
        """Return whether the process has not ended."""
        return self.process.poll() is None


@contextmanager
def running_server(log: Path, environment: Mapping[str, str]) -> Iterator[Server]:
    """Start ``audio-classifier serve``, wait until it is ready, and end it with the block."""
    port = free_port()
    command = [sys.executable, "-m", "audio_classifier", "serve", "--port", str(port)]
    with log.open("ab") as output:
        process = subprocess.Popen(command, env={**os.environ, **environment}, stdout=output, stderr=output)
    server = Server(f"http://127.0.0.1:{port}", process)
    try:
        wait_until(lambda: answers(f"{server.url}/readyz"), alive=server.runs, timeout_s=60)
        yield server
    finally:
        process.terminate()
        try:
            process.wait(40)
        except subprocess.TimeoutExpired:
            process.kill()
            raise


class Observer:
    """Probe a server's health and memory, and send requests of an honest client, in the background.

    Parameters
    ----------
    recordings
        What the honest client sends, one after another.
    outcome
        Receives the worst stall, the peak memory, and findings.
    """

    def __init__(self, server: Server, recordings: list[Recording], outcome: Outcome) -> None:
        self._server, self._recordings, self._outcome = server, recordings, outcome
        self._stopped = threading.Event()
        self._threads = [threading.Thread(target=self._probe), threading.Thread(target=self._be_honest)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopped.set()
        for thread in self._threads:
            thread.join()

    def _probe(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._server.port, timeout=ANSWER_S)
        worst_s, memory_bytes = 0.0, 0
        while not self._stopped.wait(PROBE_INTERVAL_S) and self._server.runs():
            begin = time.perf_counter()
            try:
                connection.request("GET", "/healthz")
                connection.getresponse().read()
            except (OSError, http.client.HTTPException):  # an idle connection was closed
                connection.close()
                continue
            worst_s = max(worst_s, time.perf_counter() - begin)
            memory_bytes = max(memory_bytes, tree_bytes(self._server.process.pid))
        connection.close()
        self._outcome.stall_s, self._outcome.memory_bytes = worst_s, memory_bytes

    def _be_honest(self) -> None:
        number = 0
        while not self._stopped.wait(0.2) and self._server.runs():
            recording = self._recordings[number % len(self._recordings)]
            number += 1
            self._outcome.inputs += 1
            response = self._classify(recording)
            if response is None:
                self._outcome.lost += 1
                self._outcome.findings.append("lost: an honest client got no answer")
            elif not recording.matches(response.json()):
                self._outcome.wrong += 1
                self._outcome.findings.append(f"wrong: an honest client got {response.text:.200}")

    def _classify(self, recording: Recording) -> requests.Response | None:
        """Try until the server has time; return its answer, or None if there is none in time."""
        deadline = time.monotonic() + ANSWER_S
        while time.monotonic() < deadline:
            try:
                response = requests.post(
                    self._server.url + PREDICT,
                    data=recording.content,
                    params={"top_k": TOP_K},
                    headers={"Content-Type": "application/octet-stream"},
                    timeout=ANSWER_S,
                )
            except requests.RequestException:
                return None
            if response.status_code != 503:
                return response
            time.sleep(0.5)
        return None
