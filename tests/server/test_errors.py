"""The one error body over HTTP: codes, statuses and hints."""

from __future__ import annotations

import inspect
import json
from pathlib import Path
from typing import Any

import pytest
import requests

from audio_classifier import errors
from audio_classifier.errors import AudioClassifierError, RequestError
from audio_classifier.server.errors import STATUSES, body_of
from tests.support.serving import serving
from tests.support.sounds import busy, encode

FIELDS = {"status", "code", "message", "hint"}
CLASSES = [
    cls
    for _, cls in inspect.getmembers(errors, inspect.isclass)
    if issubclass(cls, AudioClassifierError) and cls not in (AudioClassifierError, errors.MissingExtraError)
]


@pytest.mark.parametrize("cls", CLASSES)
def test_every_error_has_the_one_body(cls: type[AudioClassifierError]) -> None:
    arguments: tuple[Any, ...] = ("top_k", "no") if issubclass(cls, errors.InvalidParameterError) else ("no",)
    body = body_of(cls(*arguments))
    assert body.keys() == FIELDS
    assert (body["status"], body["code"]) == ("error", cls.code)


def test_every_request_error_is_the_clients_or_asks_to_retry() -> None:
    for cls in RequestError.__subclasses__():
        status = next(STATUSES[base] for base in cls.__mro__ if base in STATUSES)
        assert 400 <= status < 500 or status == 503


@pytest.mark.parametrize(
    ("path", "content", "parameters", "status", "code"),
    [
        ("/model/predict", b"text", {}, 400, "unreadable_audio"),
        ("/model/predict", b"", {}, 422, "invalid_parameter"),
        ("/model/predict", None, {"filter": "Thundr"}, 422, "unknown_label"),
        ("/model/predict", None, {"top_k": "0"}, 422, "invalid_parameter"),
        ("/model/predict", None, {"start_time": "99"}, 400, "start_beyond_end"),
        ("/nothing", b"", {}, 404, "not_found"),
        ("/model/labels", b"", {}, 405, "method_not_allowed"),
    ],
)
def test_response_has_a_stable_code(
    url: str,
    assets: Path,
    path: str,
    content: bytes | None,
    parameters: dict[str, str],
    status: int,
    code: str,
) -> None:
    body = (assets / "rain.wav").read_bytes() if content is None else content
    response = requests.post(url + path, body, params=parameters, timeout=30)
    assert (response.status_code, response.json()["code"]) == (status, code)
    assert response.json().keys() == FIELDS


def test_unknown_label_names_a_route_instead_of_a_command(url: str, assets: Path) -> None:
    content = (assets / "rain.wav").read_bytes()
    body = requests.post(f"{url}/model/predict", content, params={"filter": "xyzzy"}, timeout=30).json()
    assert body["hint"] == "GET /model/labels lists all classes."


def test_event_that_is_not_a_cloudevent_gets_hints_for_http(monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(read_buckets=("uploads",)) as (url, _):
        for content, media_type in ((b"{}", "application/json"), (b"{", "application/cloudevents+json")):
            response = requests.post(
                f"{url}/events", content, headers={"Content-Type": media_type}, timeout=5
            )
            assert (response.status_code, response.json()["code"]) == (422, "unknown_event")
            assert "CloudEvent" in response.json()["hint"]
            assert "API Gateway" not in response.text


def test_unexpected_exception_has_the_body_and_no_details(monkeypatch: pytest.MonkeyPatch) -> None:
    with serving() as (url, shared):
        monkeypatch.setattr(shared, "load", lambda: 1 / 0)
        response = requests.get(f"{url}/model/labels", timeout=5)
    assert (response.status_code, response.json()["code"]) == (500, "internal_error")
    assert "ZeroDivision" not in response.text


def test_last_line_of_a_failed_stream_is_the_error_body(url: str) -> None:
    content = encode(busy(60, 16_000), 16_000, "FLAC")
    response = requests.post(
        f"{url}/model/predict",
        content[: len(content) // 2],
        headers={"Content-Type": "audio/flac", "Accept": "application/x-ndjson"},
        params={"timeline": "true"},
        timeout=30,
    )
    last = json.loads(response.text.splitlines()[-1])
    assert (last.keys(), last["code"]) == (FIELDS, "damaged_audio")


def test_threshold_of_zero_is_zero(url: str) -> None:
    content, parameters = encode(busy(3, 16_000), 16_000), {"timeline": "true", "filter": "Rain,Dog"}

    def events(**threshold: Any) -> list[dict[str, Any]]:
        response = requests.post(
            f"{url}/model/predict", content, params={**parameters, **threshold}, timeout=30
        )
        found: list[dict[str, Any]] = response.json()["events"]
        return found

    assert events() == []  # at the default threshold, 0.3
    assert {event["label"] for event in events(threshold=0)} == {"Rain", "Dog"}
