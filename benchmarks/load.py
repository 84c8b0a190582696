"""Measure an HTTP server under load: ``python -m benchmarks.load PORT CLIENTS SECONDS FILE``.

Each client sends its next request as soon as it has received a response.  Clients share the CPUs with the
server.
"""

from __future__ import annotations

import http.client
import json
import statistics
import subprocess
import sys
import threading
import time
from functools import partial
from pathlib import Path
from typing import Final

from benchmarks.children import start
from benchmarks.deployed import Deployed
from benchmarks.measuring import Measured, interleaved
from benchmarks.paths import Paths
from devtools.ports import wait_until

CLIENTS: Final = (1, 2, 4, 8, 16)
SECONDS: Final = 4.0


def measure(paths: Paths, deployed: Deployed, port: int, rounds: int) -> Measured:
    """Measure, by number of clients, requests per second, latency (p50 and p99), and errors."""
    serve = [*deployed.command, "serve", "--host", "127.0.0.1", "--port", str(port)]
    server = start(serve, deployed.variables)

    def load(clients: int) -> dict[str, float]:
        command = [sys.executable, "-m", "benchmarks.load", str(port), str(clients), str(SECONDS)]
        run = subprocess.run([*command, str(paths.ten_seconds)], check=True, stdout=subprocess.PIPE)
        return dict(json.loads(run.stdout))

    try:
        wait_until(lambda: _ready(port), alive=lambda: server.poll() is None)
        return interleaved({str(clients): partial(load, clients) for clients in CLIENTS}, rounds)
    finally:
        server.terminate()
        server.wait()


def _ready(port: int) -> bool:
    try:
        return _request(http.client.HTTPConnection("127.0.0.1", port), "GET", "/readyz") == 200
    except OSError:
        return False


def _request(connection: http.client.HTTPConnection, method: str, path: str, body: bytes = b"") -> int:
    connection.request(method, path, body, {"Content-Type": "audio/wav"})
    response = connection.getresponse()
    response.read()
    return response.status


def main() -> None:
    port, clients, seconds, file = int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]), Path(sys.argv[4])
    body = file.read_bytes()
    latencies_s: list[float] = []
    errors: list[int] = []
    end = time.perf_counter() + seconds

    def client() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port)
        while (begin := time.perf_counter()) < end:
            try:
                status = _request(connection, "POST", "/model/predict", body)
            except (OSError, http.client.HTTPException):
                status = 0
                connection.close()  # the next request reconnects
            if status == 200:
                latencies_s.append(time.perf_counter() - begin)
            else:
                errors.append(status)

    begin = time.perf_counter()
    threads = [threading.Thread(target=client) for _ in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    elapsed = time.perf_counter() - begin
    if len(latencies_s) < 2:
        raise SystemExit(
            f"at least 2 requests must succeed, got {len(latencies_s)}; statuses of failed ones: {errors[:9]}"
        )
    p50, p99 = (statistics.quantiles(latencies_s, n=100, method="inclusive")[at] for at in (49, 98))
    print(
        json.dumps(
            {"requests_per_s": len(latencies_s) / elapsed, "p50_s": p50, "p99_s": p99, "errors": len(errors)}
        )
    )


if __name__ == "__main__":
    main()
