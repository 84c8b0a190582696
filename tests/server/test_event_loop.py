"""No request holds the event loop of the server."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Final

import pytest
import requests
from starlette.types import Receive, Scope, Send

from audio_classifier.server.app import create_app
from audio_classifier.service.settings import Settings
from audio_classifier.service.shared_classifier import SharedClassifier
from tests.server.client import PREDICT
from tests.support.serving import running
from tests.support.sounds import busy, encode

MAX_LAG_S: Final = 0.1
ATTEMPTS: Final = 4  # other processes delay the loop as well, but not in each attempt
AUDIO: Final = encode(busy(12, 16_000), 16_000)
LONG: Final = encode(busy(60, 44_100, channels=2), 44_100)


class LagMeter:
    """ASGI application that measures for how long its event loop does not run other tasks."""

    def __init__(self, app: Any) -> None:
        self._app = app
        self.worst_s = 0.0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            meter = asyncio.create_task(self._measure())
            await self._app(scope, receive, send)
            meter.cancel()
        else:
            await self._app(scope, receive, send)

    async def _measure(self) -> None:
        while True:
            begin = time.perf_counter()
            await asyncio.sleep(0.005)
            self.worst_s = max(self.worst_s, time.perf_counter() - begin - 0.005)


@pytest.fixture(scope="module")
def server() -> Iterator[tuple[str, LagMeter]]:
    settings = replace(Settings.from_environment({}), read_buckets=("shared",))
    shared = SharedClassifier(settings)
    shared.load()
    meter = LagMeter(create_app(shared))
    with running(meter) as url:
        yield url, meter


def form(*parts: tuple[str, bytes], boundary: str = "b") -> bytes:
    """Return a multipart body; each part has its disposition and content."""
    lines = [
        f"--{boundary}\r\nContent-Disposition: form-data; {disposition}\r\n\r\n".encode() + content + b"\r\n"
        for disposition, content in parts
    ]
    return b"".join(lines) + f"--{boundary}--\r\n".encode()


FILE: Final = ('name="audio"; filename="a.wav"', AUDIO)
FORM: Final = "multipart/form-data; boundary=b"
NDJSON: Final = {"Accept": "application/x-ndjson"}
REQUESTS: Final[dict[str, dict[str, Any]]] = {
    "raw": {"data": AUDIO},
    "raw, long": {"data": LONG},
    "raw in chunks": {"data": [LONG[i : i + 999] for i in range(0, len(LONG) // 4, 999)]},
    "form": {"data": form(FILE), "headers": {"Content-Type": FORM}},
    "form, long": {"data": form((FILE[0], LONG)), "headers": {"Content-Type": FORM}},
    "form of line ends": {
        "data": form((FILE[0], b"\r\n--" * 2_000_000)),
        "headers": {"Content-Type": FORM},
    },
    "form of boundaries": {
        "data": form((FILE[0], b"\r\n-" * 2_000_000), boundary="-" * 60),
        "headers": {"Content-Type": "multipart/form-data; boundary=" + "-" * 60},
    },
    "form with many fields": {
        "data": form(*((f'name="x{i}"', b"y") for i in range(50_000)), FILE),
        "headers": {"Content-Type": FORM},
    },
    "form with a long field": {
        "data": form(('name="filter"', b"a," * 120_000), FILE),
        "headers": {"Content-Type": FORM},
    },
    "form with a long header": {
        "data": form(('name="' + "x" * 1_000_000 + '"', b"y"), FILE),
        "headers": {"Content-Type": FORM},
    },
    **{
        f"form in {charset}": {
            "data": form(('name="x-"', b"-" + b"a" * 250_000), FILE),
            "headers": {"Content-Type": f"{FORM}; charset={charset}"},
        }
        for charset in ("punycode", "idna", "utf-7", "utf-16", "unicode_escape", "unknown")
    },
    "JSON": {"json": {"audio": "s3://private/a.wav"}},
    "deep JSON": {"data": b"[" * 250_000, "headers": {"Content-Type": "application/json"}},
    "long JSON": {"json": {"audio": list(range(40_000))}},
    "long CloudEvent": {"path": "/events", "json": {"specversion": "1.0", "x": list(range(40_000))}},
    "timeline": {"data": LONG, "params": {"timeline": "true", "window": 0.96, "hop": 0.96, "top_k": 527}},
    "timeline as lines": {"data": LONG, "params": {"timeline": "true", "top_k": 527}, "headers": NDJSON},
    "long filter": {"data": AUDIO, "params": {"filter": "Rain," * 900}},
}


@pytest.mark.parametrize("name", REQUESTS)
def test_request_does_not_hold_the_event_loop(server: tuple[str, LagMeter], name: str) -> None:
    url, meter = server
    request = dict(REQUESTS[name])
    path = request.pop("path", PREDICT)
    lags_s: list[float] = []
    while len(lags_s) < ATTEMPTS and min(lags_s, default=1) > MAX_LAG_S:
        data = request.get("data")
        prepared = {**request, "data": iter(data)} if isinstance(data, list) else request
        time.sleep(0.02)
        meter.worst_s = 0.0
        response = requests.post(url + path, timeout=120, **prepared)
        lags_s.append(meter.worst_s)
        assert response.status_code < 500, response.text
    assert min(lags_s) <= MAX_LAG_S, lags_s


def test_meter_notices_a_held_event_loop() -> None:
    async def hold(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            time.sleep(0.2)
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": json.dumps({}).encode()})
        else:
            while (await receive())["type"] != "lifespan.shutdown":
                await send({"type": "lifespan.startup.complete"})
            await send({"type": "lifespan.shutdown.complete"})

    meter = LagMeter(hold)
    with running(meter) as url:
        requests.get(url, timeout=5)
        time.sleep(0.05)
    assert meter.worst_s > MAX_LAG_S
