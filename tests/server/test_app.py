from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import requests

from audio_classifier import AudioClassifier, Hysteresis
from tests.server.client import PREDICT, check_error, labels_of, post
from tests.support.serving import serving
from tests.support.sounds import busy, encode


def test_parameters_are_passed_to_the_classifier(url: str, assets: Path, classifier: AudioClassifier) -> None:
    content = (assets / "thunder.wav").read_bytes()
    response = post(url, content, start_time=3, top_k=7, threshold=0.05).json()
    expected = classifier.predict(content, start_s=3, top_k=7, threshold=0.05)
    assert [p["label"] for p in response["predictions"]] == [p.label for p in expected]
    assert [p["probability"] for p in response["predictions"]] == pytest.approx(
        [p.probability for p in expected], abs=1e-4
    )


def test_excluded_classes_and_groups_are_omitted(url: str, assets: Path) -> None:
    content = (assets / "thunder.wav").read_bytes()
    assert "Thunder" in labels_of(post(url, content).json())
    response = post(url, content, exclude=["Thunder", "Rain,Echo"], top_k=527).json()
    assert len(labels_of(response)) == 524
    assert {"Thunder", "Rain", "Echo"}.isdisjoint(labels_of(response))

    parameters: dict[str, Any] = {"filter": "Natural sounds", "exclude": "Water", "groups": "true"}
    labels = {*labels_of(post(url, content, **parameters, top_k=527).json())}
    assert {"Thunder", "Wind"} <= labels
    assert {"Rain", "Stream", "Speech"}.isdisjoint(labels)
    events = post(url, content, timeline="true", threshold=0.01, **parameters).json()["events"]
    assert {"Thunder"} <= {event["label"] for event in events} <= labels


def test_timeline_covers_the_whole_file(url: str) -> None:
    content = encode(busy(21, 16_000), 16_000)
    response = post(url, content, timeline="true", top_k=1).json()
    spans = [(window["start"], window["end"]) for window in response["windows"]]
    assert spans[:3] == [(0, 2.88), (0.96, 3.84), (1.92, 4.8)]
    assert spans[-1][1] == 20.16
    assert all(len(window["predictions"]) == 1 for window in response["windows"])
    assert response["predictions"] == post(url, content, top_k=1).json()["predictions"]


@pytest.mark.parametrize("timeline", ["true", "false"])
def test_details_are_added_on_request(url: str, assets: Path, timeline: str) -> None:
    content = (assets / "rain.wav").read_bytes()
    plain = post(url, content, timeline=timeline).json()
    response = post(url, content, timeline=timeline, details="true").json()
    assert response.keys() - plain.keys() == {"audio", "analyzed_seconds", "model"}
    assert {name: response[name] for name in plain} == plain
    assert response["model"]["bundle"] == "compact"


def test_timeline_has_the_events_of_the_classifier(
    url: str, assets: Path, classifier: AudioClassifier
) -> None:
    content = (assets / "thunder.wav").read_bytes()
    parameters: dict[str, Any] = {"window": 2.88, "hop": 0.96, "threshold": 0.4, "release": 0.3}
    parameters |= {"timeline": "true", "filter": "Thunder,Rain", "min_duration": 1}
    response = post(url, content, **parameters).json()
    expected = [
        {name.removesuffix("_s"): value for name, value in asdict(event).items()}
        for event in classifier.events(
            content, hysteresis=Hysteresis(0.4, 0.3, 1), labels=["Thunder", "Rain"]
        )
    ]
    assert response["events"] == sorted(expected, key=lambda event: event["start"])
    assert {"Thunder"} <= {event["label"] for event in expected}
    assert [window["start"] for window in response["windows"]] == pytest.approx(
        [0.96 * i for i in range(len(response["windows"]))]
    )


def test_threshold_of_zero_is_not_the_default(url: str) -> None:
    content, parameters = encode(busy(3, 16_000), 16_000), {"timeline": "true", "filter": "Rain,Dog"}

    def events(**threshold: Any) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = post(url, content, **parameters, **threshold).json()["events"]
        return found

    assert events() == []  # at the default threshold, 0.3
    assert {event["label"] for event in events(threshold=0)} == {"Rain", "Dog"}


def test_timeline_longer_than_the_limit_is_refused() -> None:
    with serving(max_timeline_s=20) as (url, _):
        assert post(url, encode(busy(19, 8_000), 8_000), timeline="true").status_code == 200
        check_error(post(url, encode(busy(40, 8_000), 8_000), timeline="true"), 413, "20 s")


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"top_k": 0}, "top_k: "),
        ({"top_k": "many"}, "top_k: "),
        ({"threshold": 2}, "threshold: "),
        ({"start_time": -1}, "start_time: "),
        ({"start_time": "nan"}, "start_time: "),
        ({"timeline": "perhaps"}, "timeline: "),
        ({"window": 20}, "window: "),
        ({"timeline": "true", "window": 0.96, "hop": 1.92}, "hop: "),
        ({"timeline": "true", "release": 0.5}, "release: "),
        ({"min_duration": -1}, "min_duration: "),
        ({"filter": "Thundr"}, "filter: no class is called 'Thundr'"),
        ({"exclude": "Thundr"}, "exclude: no class is called 'Thundr'"),
        ({"exclude": "Thundr", "groups": "true"}, "exclude: no class or group is called 'Thundr'"),
        ({"groups": "perhaps"}, "groups: "),
    ],
)
def test_parameter_out_of_range_is_named(
    url: str, assets: Path, parameters: dict[str, Any], message: str
) -> None:
    check_error(post(url, (assets / "rain.wav").read_bytes(), **parameters), 422, message)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"not audio at all", "not a readable audio file"),
        (encode(busy(1, 16_000), 16_000)[:44], "contains no audio"),
        (encode(busy(1, 16_000) * float("nan"), 16_000, subtype="FLOAT"), "NaN"),
    ],
)
def test_unusable_recording_is_refused_with_a_hint(url: str, content: bytes, message: str) -> None:
    assert check_error(post(url, content), 400, message)


@pytest.mark.parametrize(
    ("method", "path", "status"), [("GET", PREDICT, 405), ("GET", "/nothing", 404), ("POST", "/", 405)]
)
def test_http_error_has_the_error_body(url: str, method: str, path: str, status: int) -> None:
    check_error(requests.request(method, url + path, timeout=5), status, "")


def test_server_is_alive_but_not_ready_without_a_model(tmp_path: Path) -> None:
    with serving(bundle=str(tmp_path / "nothing")) as (url, _):
        assert requests.get(f"{url}/healthz", timeout=5).status_code == 200
        check_error(post(url, encode(busy(1, 16_000), 16_000)), 500, "no model bundle")
        ready = requests.get(f"{url}/readyz", timeout=5)
        check_error(ready, 503, "no model bundle")


def test_routes_of_buckets_do_not_exist_without_buckets() -> None:
    with serving() as (url, _):
        for path in ("/uploads", "/events"):
            assert requests.post(url + path, timeout=5).status_code == 404
        refused = requests.post(url + PREDICT, json={"audio": "s3://shared/a.wav"}, timeout=5)
        assert refused.status_code == 422


def test_route_of_events_does_not_exist_without_readable_buckets() -> None:
    """Clients of a public API may upload, but not send events."""
    with serving(uploads_bucket="uploads") as (url, _):
        assert requests.post(f"{url}/events", timeout=5).status_code == 404
