from __future__ import annotations

import json
import time

import pytest

from audio_classifier.server import body_limits
from tests.server.client import ERROR_FIELDS, PREDICT
from tests.server.raw_client import connect, header, read_to_end


@pytest.mark.parametrize("media_type", ["audio/wav", "multipart/form-data; boundary=b", "application/json"])
def test_body_that_stops_is_refused_with_408_and_the_connection_is_closed(
    url: str, monkeypatch: pytest.MonkeyPatch, media_type: str
) -> None:
    monkeypatch.setattr(body_limits, "GRACE_S", 0.3)
    with connect(url) as client:
        client.sendall(header(PREDICT, 1000, media_type) + b"--b\r\n")
        head, _, body = read_to_end(client).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 408 ")
    assert b"connection: close" in head.lower()
    error = json.loads(body)
    assert error.keys() == ERROR_FIELDS
    assert error["code"] == "request_timeout"


def test_body_that_trickles_is_refused_although_it_never_stops(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(body_limits, "GRACE_S", 0.5)
    with connect(url) as client:
        client.sendall(header(PREDICT, 100_000))
        client.settimeout(0.01)
        deadline, response = time.monotonic() + 20, b""
        while not response and time.monotonic() < deadline:
            client.sendall(b"x")
            try:
                response = client.recv(100)
            except TimeoutError:
                continue
    assert response.startswith(b"HTTP/1.1 408 ")


def test_steady_body_is_accepted_although_it_takes_longer_than_the_grace(
    url: str, monkeypatch: pytest.MonkeyPatch, rain: bytes
) -> None:
    monkeypatch.setattr(body_limits, "GRACE_S", 1.5)
    with connect(url) as client:
        client.sendall(header(PREDICT, len(rain)))
        size = len(rain) // 10 + 1
        for begin in range(0, len(rain), size):
            client.sendall(rain[begin : begin + size])
            time.sleep(0.25)
        assert client.recv(100).startswith(b"HTTP/1.1 200 ")
