"""HTTP requests that are malformed, and clients that are slow or vanish, against a real server."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import Random
from typing import Final

from tests.faults.cloud import UPLOADS, running_cloud
from tests.faults.http_mutations import mutate_request, valid_requests
from tests.faults.recordings import Recording
from tests.faults.report import Outcome
from tests.faults.server import ANSWER_S, PREDICT, Observer, Server, running_server
from tests.server.raw_client import connect, header
from tests.support.sounds import busy, encode

CLIENTS: Final = 4  # at the same time
PATIENCE_S: Final = 3.0  # of clients that are slow on purpose
# Answers to requests that the server has no time for, or whose objects S3 does not give.
TEMPORARY: Final = (502, 503, 504)


class Clients:
    """Hostile clients of one server.

    Parameters
    ----------
    folder
        Where requests that are findings are saved.
    """

    def __init__(self, server: Server, audio: bytes, folder: Path, seed: str, outcome: Outcome) -> None:
        self._server, self._audio, self._folder, self._seed = server, audio, folder, seed
        self._outcome = outcome
        self._requests = valid_requests(audio)
        self._recording = encode(busy(600, 8_000), 8_000, "FLAC")
        self._lock = threading.Lock()
        self._number = 0

    def run(self, deadline: float) -> None:
        """Act as one client after another until the time is over; several threads call this."""
        kinds: tuple[tuple[str, Callable[[Random], None]], ...] = (
            ("slow body", self._send_slowly),
            ("vanished after the request", self._vanish),
            ("vanished in the request", self._vanish_early),
            ("answer not read", self._read_slowly),
        )
        while time.monotonic() < deadline and self._server.runs():
            with self._lock:
                self._number += 1
                number = self._number
            random = Random(f"{self._seed}-{number}")
            if random.random() < 0.85:
                self._count("mutated request")
                self._send_mutated(number, random)
                continue
            fault, act = random.choice(kinds)
            self._count(fault)
            try:
                act(random)
            except OSError:  # the server may close the connection at any time
                continue

    def _count(self, fault: str) -> None:
        with self._lock:
            self._outcome.inputs += 1
            self._outcome.faults[fault] += 1

    def _send_mutated(self, number: int, random: Random) -> None:
        content = mutate_request(random.choice(self._requests), self._audio, random)
        try:
            answer = _exchange(self._server.url, content)
        except TimeoutError:
            self._outcome.hangs += 1
            self._save(number, content, "hang: no answer")
            return
        except OSError:
            if self._server.runs():
                return
            answer = b""
        status = int(answer[9:12]) if answer.startswith(b"HTTP/1.1 ") else 0
        if status >= 500 and status not in TEMPORARY:
            self._outcome.wrong += 1
            self._save(number, content, f"wrong: status {status}: {answer[-300:]!r}")

    def _save(self, number: int, content: bytes, text: str) -> None:
        path = self._folder / f"request-{self._seed}-{number}"
        path.write_bytes(content)
        with self._lock:
            self._outcome.findings.append(f"{text}; {path}")

    def _send_slowly(self, random: Random) -> None:
        deadline = time.monotonic() + PATIENCE_S
        with connect(self._server.url) as client:
            client.sendall(header(PREDICT, len(self._audio)))
            for begin in range(0, len(self._audio), 100):
                client.sendall(self._audio[begin : begin + 100])
                time.sleep(0.05)
                if time.monotonic() > deadline:
                    return

    def _vanish(self, random: Random) -> None:
        path = f"{PREDICT}?timeline=true"
        with connect(self._server.url) as client:
            client.sendall(header(path, len(self._recording), "audio/flac") + self._recording)
            time.sleep(random.uniform(0, 0.3))

    def _vanish_early(self, random: Random) -> None:
        with connect(self._server.url) as client:
            content = header(PREDICT, len(self._audio)) + self._audio
            client.sendall(content[: random.randrange(len(content))])
            if random.random() < 0.5:  # reset the connection
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")

    def _read_slowly(self, random: Random) -> None:
        path = f"{PREDICT}?timeline=true&window=0.96&hop=0.96&top_k=527"
        with connect(self._server.url, receive_buffer_bytes=4096) as client:
            accept = "application/x-ndjson"
            client.sendall(header(path, len(self._recording), "audio/flac", accept) + self._recording)
            time.sleep(PATIENCE_S)


def run_clients(recordings: list[Recording], random: Random, folder: Path, *, seconds: float) -> Outcome:
    """Send requests for some time; meanwhile and afterwards an honest client gets right answers."""
    outcome = Outcome("HTTP clients")
    seed = str(random.randrange(1 << 32))
    with running_cloud() as cloud:
        cloud.s3.put_object(Bucket=UPLOADS, Key="in/0.wav", Body=recordings[0].content)
        environment = {**cloud.environment, "AUDIO_CLASSIFIER_READ_BUCKETS": UPLOADS}
        with running_server(folder / "server.log", environment) as server:
            clients = Clients(server, recordings[0].content, folder, seed, outcome)
            with Observer(server, recordings, outcome), ThreadPoolExecutor(CLIENTS) as pool:
                deadline = time.monotonic() + seconds
                list(pool.map(clients.run, [deadline] * CLIENTS))
            if not server.runs():
                outcome.crashes += 1
                outcome.findings.append(f"crash: the server ended with status {server.process.returncode}")
    return outcome


def _exchange(url: str, content: bytes) -> bytes:
    """Send a request, and return the beginning and the end of the answer.

    The rest of the request is not sent if the server answers earlier.

    Raises
    ------
    OSError
        If the connection is closed by the server; `TimeoutError` if it does not answer.
    """
    with connect(url) as client:
        client.settimeout(ANSWER_S)
        try:
            client.sendall(content)
            client.shutdown(socket.SHUT_WR)
        except (BrokenPipeError, ConnectionResetError):
            pass  # it may have answered before
        answer = b""
        while data := client.recv(1 << 16):
            answer = (answer + data)[:100_000]
        return answer
