"""Connections of clients that send nothing, half a request, or do not read."""

from __future__ import annotations

import socket
import time
from contextlib import ExitStack, closing
from http.client import HTTPConnection
from urllib.parse import urlsplit

import pytest
import requests
from starlette.types import Receive, Scope, Send

from audio_classifier.server.connections import BoundedConnection
from tests.server.client import PREDICT
from tests.server.raw_client import connect, header, read_to_end
from tests.support.serving import running, serving

RESPONSE_BYTES = 64 << 20


@pytest.fixture
def short_timeouts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(BoundedConnection, "interval_s", 0.1)
    monkeypatch.setattr(BoundedConnection, "idle_timeout_s", 0.8)
    monkeypatch.setattr(BoundedConnection, "write_timeout_s", 0.8)


def trickle(client: socket.socket) -> None:
    """Send a byte at a time until the server closes the connection."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        client.sendall(b"x")
        time.sleep(0.05)


async def long_response(scope: Scope, receive: Receive, send: Send) -> None:
    """Send a long response in pieces."""
    if scope["type"] != "http":
        return
    await receive()
    headers = [(b"content-length", str(RESPONSE_BYTES).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    for _ in range(RESPONSE_BYTES >> 16):
        await send({"type": "http.response.body", "body": bytes(1 << 16), "more_body": True})
    await send({"type": "http.response.body", "body": b""})


@pytest.mark.usefixtures("short_timeouts")
@pytest.mark.parametrize("content", [b"", b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-Half: "])
def test_connection_without_a_whole_header_is_closed(url: str, content: bytes) -> None:
    with connect(url) as client:
        client.sendall(content)
        assert read_to_end(client) == b""


@pytest.mark.usefixtures("short_timeouts")
def test_header_that_trickles_does_not_keep_the_connection_open(url: str) -> None:
    with connect(url) as client:
        client.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-Half: ")
        with pytest.raises(ConnectionError):
            trickle(client)


@pytest.mark.usefixtures("short_timeouts")
def test_body_that_trickles_after_its_response_does_not_keep_the_connection_open(url: str) -> None:
    with connect(url) as client:
        client.sendall(header(PREDICT, 1000, "text/plain"))
        assert client.recv(1000).startswith(b"HTTP/1.1 415 ")
        with pytest.raises(ConnectionError):
            trickle(client)


@pytest.mark.usefixtures("short_timeouts")
def test_connection_with_frequent_requests_stays_open(url: str) -> None:
    with closing(HTTPConnection(urlsplit(url).netloc, timeout=5)) as connection:
        connection.connect()
        connection.auto_open = 0  # it must not be opened again
        for _ in range(20):
            connection.request("GET", "/healthz")
            response = connection.getresponse()
            response.read()
            assert response.status == 200
            time.sleep(0.1)


def test_response_on_an_open_connection_does_not_wait_for_a_delayed_acknowledgement(url: str) -> None:
    times_s: list[float] = []
    with closing(HTTPConnection(urlsplit(url).netloc, timeout=5)) as connection:
        for _ in range(20):
            begin = time.perf_counter()
            connection.request("GET", "/healthz")
            connection.getresponse().read()
            times_s.append(time.perf_counter() - begin)
    # The first responses of a connection never wait; Linux delays acknowledgements by at least 40 ms.
    assert min(times_s[5:]) < 0.035


@pytest.mark.usefixtures("short_timeouts")
def test_client_that_does_not_read_is_disconnected() -> None:
    with running(long_response) as url, connect(url, receive_buffer_bytes=4096) as client:
        client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        time.sleep(3)
        assert len(read_to_end(client)) < RESPONSE_BYTES


@pytest.mark.usefixtures("short_timeouts")
def test_client_that_reads_slowly_receives_everything() -> None:
    with running(long_response) as url, connect(url, receive_buffer_bytes=1 << 20) as client:
        client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        count, last = 0, time.monotonic()
        while data := client.recv(1 << 20):
            count += len(data)
            if time.monotonic() - last > 0.02:
                time.sleep(0.05)
                last = time.monotonic()
    assert count > RESPONSE_BYTES


def test_server_is_alive_with_hundreds_of_idle_connections(url: str) -> None:
    with ExitStack() as clients:
        for i in range(500):
            client = clients.enter_context(connect(url))
            if i % 2:
                client.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-Half: ")
        assert requests.get(f"{url}/healthz", timeout=5).status_code == 200


def test_longest_idle_connections_are_closed_when_there_are_too_many(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(BoundedConnection, "max_connections", 20)
    with serving() as (url, _), ExitStack() as clients:
        uploading = clients.enter_context(connect(url))
        uploading.sendall(header(PREDICT, 1000))
        time.sleep(0.2)
        idle = [clients.enter_context(connect(url)) for _ in range(40)]
        assert requests.get(f"{url}/healthz", timeout=5).status_code == 200
        assert read_to_end(idle[0]) == b""
        idle[-1].sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        assert idle[-1].recv(1000).startswith(b"HTTP/1.1 200 ")
        uploading.sendall(bytes(1000))
        assert uploading.recv(1000).startswith(b"HTTP/1.1 400 ")
