from __future__ import annotations

import contextlib
import http.client
import re
import time
from urllib.parse import urlsplit

import pytest
import requests
from prometheus_client.parser import text_string_to_metric_families

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
