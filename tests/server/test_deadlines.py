"""Deadlines, clients that disconnect, and clients that do not read."""

from __future__ import annotations

import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import requests

from audio_classifier.service.shared_classifier import SharedClassifier
from devtools.ports import wait_until
from tests.server.client import ERROR_FIELDS, PREDICT, check_error, post
from tests.server.deployment import BUCKETS, s3_notification
from tests.server.raw_client import connect, header
from tests.support.serving import serving
from tests.support.sounds import busy, encode

SHORT = encode(busy(3, 16_000), 16_000)
LONG = encode(busy(120, 8_000), 8_000)
NDJSON = "application/x-ndjson"


class SlowNetwork:
    """Delays each invocation of a classifier's network, and counts them."""

    def __init__(self, shared: SharedClassifier, delay_s: float) -> None:
        self.calls = 0
        self.called = threading.Event()
        self._delay_s = delay_s
        network: Any = shared.load()._network
        embedder = network.embedder
        self._embed = embedder.embed
        embedder.embed = self._slow_embed

    def _slow_embed(self, patches: Any) -> Any:
        self.calls += 1
        self.called.set()
        time.sleep(self._delay_s)
        return self._embed(patches)


@pytest.mark.parametrize("ndjson", [False, True])
def test_timeline_that_exceeds_its_deadline_ends_with_an_error(ndjson: bool) -> None:
    with serving(timeline_deadline_s=4, predict_deadline_s=60) as (url, shared):
        network = SlowNetwork(shared, 0.6)
        headers = {"Accept": NDJSON if ndjson else "*/*"}
        response = requests.post(
            f"{url}{PREDICT}?timeline=true",
            LONG,
            headers={"Content-Type": "audio/wav", **headers},
            timeout=30,
        )
        calls = network.calls
        time.sleep(1)
        assert network.calls == calls < 12  # of 13 blocks
    if ndjson:
        first, second, *_, last = map(json.loads, response.text.splitlines())
        assert response.status_code == 200
        assert first.keys() == {"predictions"}
        assert second["window"]["start"] == 0
        assert last.keys() == ERROR_FIELDS
        assert last["code"] == "deadline_exceeded"
    else:
        check_error(response, 504, "within 4 s")
        assert response.json()["code"] == "deadline_exceeded"


def test_prediction_that_waits_beyond_its_deadline_is_refused() -> None:
    with serving(max_concurrency=1, predict_deadline_s=1) as (url, shared):
        SlowNetwork(shared, 2)
        with ThreadPoolExecutor(2) as pool:
            first = pool.submit(post, url, SHORT)
            time.sleep(0.2)
            begin = time.monotonic()
            check_error(post(url, SHORT), 504, "within 1 s")
            assert time.monotonic() - begin < 1.8  # it does not wait for the first one
            first.result()


def test_body_that_arrives_beyond_the_deadline_is_refused() -> None:
    with serving(predict_deadline_s=1) as (url, _), connect(url) as client:
        client.sendall(header(PREDICT, len(SHORT)) + SHORT[:1000])
        response = client.recv(1000)
    assert response.startswith(b"HTTP/1.1 504 ")
    assert b"connection: close" in response.lower()


def test_timeline_may_take_longer_than_a_prediction() -> None:
    with serving(predict_deadline_s=1, timeline_deadline_s=60) as (url, shared):
        SlowNetwork(shared, 0.15)
        assert post(url, LONG, timeline="true").status_code == 200
        form = requests.post(url + PREDICT, files={"audio": LONG}, data={"timeline": "true"}, timeout=30)
        assert form.status_code == 200


@pytest.mark.parametrize("accept", ["*/*", NDJSON])
def test_timeline_stops_when_its_client_disconnects(accept: str) -> None:
    with serving(max_concurrency=1, max_queue=1) as (url, shared):
        network = SlowNetwork(shared, 0.2)
        with connect(url) as client:
            path = f"{PREDICT}?timeline=true"
            client.sendall(header(path, len(LONG), accept=accept) + LONG)
            assert network.called.wait(20)
        time.sleep(0.5)
        calls = network.calls
        time.sleep(1)
        assert network.calls == calls < 12  # of 13 blocks
        assert post(url, SHORT).status_code == 200


def test_event_is_not_processed_further_when_its_client_disconnects(s3: Any) -> None:
    for bucket in ("shared", "results"):
        s3.create_bucket(Bucket=bucket)
    s3.put_object(Bucket="shared", Key="long.wav", Body=LONG)
    body = json.dumps(s3_notification("shared", "long.wav")).encode()
    with serving(**BUCKETS, timeline_over_s=1) as (url, shared):
        network = SlowNetwork(shared, 0.2)
        with connect(url) as client:
            client.sendall(header("/events", len(body), "application/json") + body)
            assert network.called.wait(20)
        wait_until(lambda: 'status="499"' in requests.get(f"{url}/metrics", timeout=5).text, timeout_s=20)
        assert network.calls < 12  # of 13 blocks
    assert "Contents" not in s3.list_objects_v2(Bucket="results", Prefix="results/long.wav")


def test_request_that_waits_is_removed_when_its_client_disconnects() -> None:
    with serving(max_concurrency=1, max_queue=1) as (url, shared):
        network = SlowNetwork(shared, 1.5)
        with ThreadPoolExecutor(1) as pool:
            first = pool.submit(post, url, SHORT)
            assert network.called.wait(20)
            with connect(url) as client:
                client.sendall(header(PREDICT, len(SHORT)) + SHORT)
                wait_until(lambda: post(url, SHORT).status_code == 503, timeout_s=20)
            assert not first.done()
            second = post(url, SHORT)
            assert first.result().status_code == second.status_code == 200
        assert network.calls == 2


def test_disconnected_client_is_counted_with_its_own_status() -> None:
    with serving() as (url, shared):
        network = SlowNetwork(shared, 0.2)
        with connect(url) as client:
            client.sendall(header(f"{PREDICT}?timeline=true", len(LONG)) + LONG)
            assert network.called.wait(20)

        def counted() -> bool:
            return 'status="499"' in requests.get(f"{url}/metrics", timeout=5).text

        wait_until(counted, timeout_s=20)


def test_clients_that_do_not_read_their_lines_do_not_keep_others_out() -> None:
    path = f"{PREDICT}?timeline=true&window=0.96&hop=0.96&top_k=527"
    content = encode(busy(900, 4_000), 4_000, "FLAC")
    with serving(max_concurrency=1, max_queue=2) as (url, shared):
        shared.load()
        clients = [connect(url, receive_buffer_bytes=4096) for _ in range(6)]
        for client in clients:
            client.sendall(header(path, len(content), "audio/flac", NDJSON) + content)
            assert client.recv(12) == b"HTTP/1.1 200"  # and no more
        try:
            assert post(url, SHORT).status_code == 200
        finally:
            for client in clients:
                client.close()
