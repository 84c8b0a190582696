from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import requests
from starlette.responses import Response

from audio_classifier.server.timing import ServerTiming, StageTimes
from tests.server.client import PREDICT, post
from tests.server.deployment import s3_notification, send_event
from tests.support.serving import running, serving
from tests.support.sounds import busy, encode


def times_of(response: requests.Response) -> dict[str, float]:
    """Return the milliseconds of each stage."""
    stages = (stage.split(";dur=") for stage in response.headers["Server-Timing"].split(", "))
    return {name: float(milliseconds) for name, milliseconds in stages}


@pytest.mark.parametrize("isolate_decoding", [False, True])
def test_prediction_reports_its_stages(assets: Path, isolate_decoding: bool) -> None:
    with serving(isolate_decoding=isolate_decoding) as (url, shared):
        shared.load()
        times = times_of(post(url, (assets / "rain.wav").read_bytes()))
    assert list(times) == ["queue", "read", "features", "embedding", "head", "total"]
    assert times["read"] > 0
    assert times["embedding"] > 0
    total = times.pop("total")
    assert total >= sum(times.values()) - 0.5  # rounded to tenths


@pytest.mark.parametrize("path", [f"{PREDICT}?timeline=true", "/model/embed"])
def test_timeline_and_embeddings_report_the_time_of_the_analysis(url: str, path: str) -> None:
    content = encode(busy(21, 16_000), 16_000)
    times = times_of(requests.post(url + path, content, headers={"Content-Type": "audio/wav"}, timeout=30))
    assert list(times) == ["queue", "analyze", "total"]
    assert 0 < times["analyze"] <= times["total"]


def test_stream_reports_the_time_until_its_first_line(url: str) -> None:
    headers = {"Content-Type": "audio/wav", "Accept": "application/x-ndjson"}
    content = encode(busy(21, 16_000), 16_000)
    response = requests.post(f"{url}{PREDICT}?timeline=true", content, headers=headers, timeout=30)
    assert list(times_of(response)) == ["queue", "total"]


def test_time_in_the_queue_is_reported() -> None:
    with serving(max_concurrency=1) as (url, shared):
        shared.load()
        release = threading.Event()
        original = shared.classify

        def classify_when_released(*arguments: Any, **options: Any) -> Any:
            release.wait(10)
            return original(*arguments, **options)

        shared.classify = classify_when_released  # type: ignore[method-assign]
        content = encode(busy(1, 16_000), 16_000)
        with ThreadPoolExecutor(2) as pool:
            pending = [pool.submit(post, url, content) for _ in range(2)]
            time.sleep(0.3)
            release.set()
            first, second = sorted(times_of(future.result())["queue"] for future in pending)
    assert first < 100 < second


def test_request_that_loads_the_model_reports_it() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        StageTimes().model_loaded(0.5)
        await Response()(scope, receive, send)

    with running(ServerTiming(app)) as url:
        assert times_of(requests.get(url, timeout=5))["load"] == 500


def test_error_reports_the_stages_before_it(url: str) -> None:
    response = post(url, b"not audio")
    assert response.status_code == 400
    assert list(times_of(response)) == ["queue", "total"]


def test_event_reports_the_stages_of_its_object(url_with_buckets: str, s3: Any, rain: bytes) -> None:
    s3.put_object(Bucket="shared", Key="a.wav", Body=rain)
    times = times_of(send_event(url_with_buckets, s3_notification("shared", "a.wav")))
    assert {"queue", "open", "read", "embedding", "store", "total"} <= times.keys()
    assert times["open"] > 0
    assert times["store"] > 0


def test_response_without_work_has_no_header(url: str) -> None:
    assert "Server-Timing" not in requests.get(f"{url}/healthz", timeout=5).headers
