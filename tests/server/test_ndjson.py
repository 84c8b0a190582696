from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import pytest
import requests
from starlette.requests import Request

from audio_classifier.server.ndjson import accepts_ndjson
from audio_classifier.service.timeline_lines import MEDIA_TYPE
from tests.server.client import ERROR_FIELDS, PREDICT, check_error, post
from tests.support.serving import serving
from tests.support.sounds import busy, damaged_flac, encode


def post_for_lines(url: str, content: bytes, **options: Any) -> requests.Response:
    headers = {"Content-Type": "audio/wav", "Accept": "application/x-ndjson; q=1, */*"}
    parameters = {"timeline": "true", **options.pop("parameters", {})}
    return requests.post(url + PREDICT, content, headers=headers, params=parameters, timeout=30, **options)


def lines_of(url: str, content: bytes, **parameters: Any) -> list[dict[str, Any]]:
    response = post_for_lines(url, content, parameters=parameters)
    assert response.status_code == 200, response.text
    assert response.headers["Content-Type"].startswith("application/x-ndjson")
    return list(map(json.loads, response.text.splitlines()))


@pytest.mark.parametrize(
    ("accept", "accepted"),
    [
        (MEDIA_TYPE, True),
        ("Application/X-NDJSON", True),
        ("application/json, application/x-ndjson;q=0.5", True),
        ("*/*", False),
        ("application/json", False),
        ("", False),
    ],
)
def test_ndjson_is_used_if_the_client_names_it(accept: str, accepted: bool) -> None:
    request = Request({"type": "http", "headers": [(b"accept", accept.encode())]})
    assert accepts_ndjson(request) is accepted


def test_lines_have_the_windows_and_events_of_the_whole_response(url: str, assets: Path) -> None:
    content = (assets / "thunder.wav").read_bytes()
    parameters: dict[str, Any] = {"window": 1.92, "hop": 0.96, "top_k": 2}
    response = post(url, content, timeline="true", **parameters).json()
    *lines, last = lines_of(url, content, **parameters)
    assert last == {"status": "ok"}
    assert [line["window"] for line in lines if "window" in line] == response["windows"]
    events = [line["event"] for line in lines if "event" in line]
    assert sorted(events, key=lambda event: event["start"]) == response["events"]


def test_first_line_is_sent_before_the_recording_is_analyzed_to_its_end() -> None:
    with serving() as (url, shared):
        classifier, resume = shared.load(), threading.Event()
        network: Any = classifier._network
        embed = network.embedder.embed
        calls = iter(range(100))

        def embed_and_wait(patches: Any) -> Any:
            if next(calls) == 5:  # the first window is yielded after call 3, of which one is for the clip
                assert resume.wait(10)
            return embed(patches)

        network.embedder.embed = embed_and_wait
        with post_for_lines(url, encode(busy(60, 16_000), 16_000), stream=True) as response:
            lines = response.iter_lines()
            assert len(json.loads(next(lines))["predictions"]) == 5
            assert json.loads(next(lines))["window"]["start"] == 0
            resume.set()
            assert json.loads([*lines][-1]) == {"status": "ok"}


def test_error_after_the_first_line_is_the_last_line(url: str) -> None:
    first, second, *_, last = lines_of(url, damaged_flac(60))
    assert first.keys() == {"predictions"}
    assert second["window"]["start"] == 0
    assert last.keys() == ERROR_FIELDS
    assert (last["status"], last["code"]) == ("error", "damaged_audio")
    assert last["message"]


def test_details_are_a_line_on_request(url: str) -> None:
    *_, details, last = lines_of(url, encode(busy(20, 16_000), 16_000), details="true")
    assert details.keys() == {"audio", "analyzed_seconds", "model"}
    assert (details["analyzed_seconds"], last) == (19.2, {"status": "ok"})


def test_error_of_a_parameter_precedes_all_lines(url: str) -> None:
    response = post_for_lines(url, encode(busy(20, 16_000), 16_000), parameters={"window": 0.96, "hop": 2})
    check_error(response, 422, "hop")


def test_warning_is_the_line_before_the_last(url: str) -> None:
    *_, warning, last = lines_of(url, encode(1e-4 * busy(20, 16_000), 16_000, subtype="FLOAT"))
    assert warning["warning"]["code"] == "very_quiet"
    assert last == {"status": "ok"}


def test_error_before_the_first_line_is_the_response(url: str) -> None:
    check_error(post_for_lines(url, b"nothing"), 400, "not a readable audio file")
