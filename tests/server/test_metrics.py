from __future__ import annotations

import contextlib
import http.client
import platform
import re
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import pytest
import requests
from prometheus_client.metrics_core import Metric
from prometheus_client.openmetrics import parser as openmetrics_parser
from prometheus_client.openmetrics.exposition import generate_latest as openmetrics
from prometheus_client.parser import text_string_to_metric_families

import audio_classifier
from audio_classifier.server.limiter import ConcurrencyLimiter
from audio_classifier.server.metrics import Metrics
from tests.server.client import PREDICT, post
from tests.support.serving import serving
from tests.support.sounds import busy, encode


def test_requests_model_and_stages_are_counted() -> None:
    with serving() as (url, shared):
        shared.load()
        assert post(url, encode(busy(2, 16_000), 16_000)).status_code == 200
        assert post(url, b"nothing").status_code == 400
        requests.request("INVENTED", f"{url}/invented", timeout=5)
        text = requests.get(f"{url}/metrics", timeout=5).text
    samples = {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }

    def requests_total(route: str, status: str, method: str = "POST") -> float:
        labels = (("method", method), ("route", route), ("status", status))
        return samples["audio_classifier_requests_total", *labels]

    assert requests_total(PREDICT, "200") == requests_total(PREDICT, "400") == 1
    assert requests_total("other", "404", "other") == 1
    assert samples["audio_classifier_cold_starts_total",] == 1
    assert samples["audio_classifier_audio_seconds_total",] == pytest.approx(1.92)  # two patches
    for stage in ("read", "features", "embedding", "head"):
        assert samples["audio_classifier_stage_seconds_count", ("stage", stage)] == 1


def scrape(url: str) -> dict[str, Metric]:
    """Return the metrics by name; Prometheus's parsers of both formats check them."""
    text = requests.get(f"{url}/metrics", timeout=5).text
    return {family.name: family for family in text_string_to_metric_families(text)}


def test_exposition_is_well_formed_and_every_metric_is_documented() -> None:
    with serving() as (url, shared):
        shared.load()
        post(url, encode(busy(2, 16_000), 16_000))
        families = scrape(url)
        metrics = Metrics(shared, ConcurrencyLimiter(1, 1))
    for family in families.values():
        assert re.fullmatch(r"audio_classifier_[a-z_]+", family.name)
        assert family.documentation
        assert family.type != "unknown"
        keys = [(sample.name, *sorted(sample.labels.items())) for sample in family.samples]
        assert len(keys) == len({*keys})
    metrics.requests.labels("GET", "/", "200").inc()
    metrics.request_seconds.labels("/", "2xx").observe(1)
    # The stricter parser raises ValueError for names, types and buckets that do not match.
    text = openmetrics(metrics.registry).decode()  # type: ignore[no-untyped-call]
    strict = openmetrics_parser.text_string_to_metric_families(text)  # type: ignore[no-untyped-call]
    assert {"audio_classifier_requests", "audio_classifier_build"} <= {family.name for family in strict}


def test_requests_are_timed_by_route_and_class_of_status() -> None:
    with serving() as (url, shared):
        shared.load()
        for content in (encode(busy(2, 16_000), 16_000), b"nothing", b"nothing"):
            post(url, content)
        for number in range(3):
            requests.get(f"{url}/invented/{number}", timeout=5)
            requests.get(f"{url}/demo/demo.js?{number}", timeout=5)
        samples = scrape(url)["audio_classifier_request_seconds"].samples
    counts = {
        (sample.labels["route"], sample.labels["status"]): sample.value
        for sample in samples
        if sample.name.endswith("_count")
    }
    assert counts[PREDICT, "2xx"] == 1
    assert counts[PREDICT, "4xx"] == 2
    assert counts["other", "4xx"] == 3
    assert {route for route, _ in counts} == {PREDICT, "/demo/{name}", "other"}
    (total,) = (
        sample.value
        for sample in samples
        if sample.name.endswith("_sum") and sample.labels == {"route": PREDICT, "status": "2xx"}
    )
    assert 0 < total < 10


def test_requests_in_flight_and_in_the_queue_are_counted() -> None:
    with serving(max_concurrency=1) as (url, shared):
        shared.load()
        release = threading.Event()
        shared.classify = lambda *_, **__: release.wait(10)  # type: ignore[assignment, method-assign]
        content = encode(busy(1, 16_000), 16_000)
        with ThreadPoolExecutor(3) as pool:
            pending = [pool.submit(post, url, content) for _ in range(3)]
            deadline = time.monotonic() + 5
            while gauges(url) != {"in_flight": 4, "queued": 2}:  # the request for metrics is in flight, too
                assert time.monotonic() < deadline
                time.sleep(0.05)
            release.set()
            for future in pending:
                future.result()
        assert gauges(url) == {"in_flight": 1, "queued": 0}


def gauges(url: str) -> dict[str, float]:
    families = scrape(url)
    return {
        name: families[f"audio_classifier_requests_{name}"].samples[0].value
        for name in ("in_flight", "queued")
    }


def test_build_names_versions_and_the_model_once_it_is_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    def build(url: str) -> dict[str, str]:
        (sample,) = scrape(url)["audio_classifier_build_info"].samples
        assert sample.value == 1
        return dict(sample.labels)

    with serving() as (url, shared):
        manifest = shared.load().bundle.manifest
        versions = {"version": audio_classifier.__version__, "python": platform.python_version()}
        assert build(url) == {**versions, "model": manifest.name, "model_version": manifest.version}
        monkeypatch.setattr(shared, "_classifier", None)
        assert build(url) == {**versions, "model": "", "model_version": ""}


def test_seconds_of_timelines_are_counted(url: str) -> None:
    def audio_seconds() -> float:
        text = requests.get(f"{url}/metrics", timeout=5).text
        (value,) = re.findall(r"^audio_classifier_audio_seconds_total (.*)$", text, re.MULTILINE)
        return float(value)

    before = audio_seconds()
    post(url, encode(busy(21, 16_000), 16_000), timeline="true")
    assert audio_seconds() == pytest.approx(before + 20.16)


def test_client_that_disconnects_is_not_counted_as_a_server_error() -> None:
    with serving() as (url, shared):
        shared.load()
        with contextlib.closing(http.client.HTTPConnection(urlsplit(url).netloc, timeout=5)) as connection:
            connection.putrequest("POST", PREDICT)
            connection.putheader("Content-Type", "audio/wav")
            connection.putheader("Content-Length", "100000")
            connection.endheaders()
            connection.send(bytes(1000))
        deadline = time.monotonic() + 5
        while 'status="499"' not in (text := requests.get(f"{url}/metrics", timeout=5).text):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert 'status="500"' not in text
