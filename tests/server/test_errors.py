"""Errors over HTTP: statuses, codes, hints and the one error body."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import pytest
import requests

from audio_classifier import errors
from audio_classifier.errors import AudioClassifierError, RequestError
from audio_classifier.server.errors import body_of, status_of
from tests.server.client import ERROR_FIELDS
from tests.support.serving import serving

CLASSES = [
    cls
    for _, cls in inspect.getmembers(errors, inspect.isclass)
    if issubclass(cls, AudioClassifierError) and cls not in (AudioClassifierError, errors.MissingExtraError)
]


@pytest.mark.parametrize("cls", CLASSES)
def test_error_of_every_class_has_the_one_body(cls: type[AudioClassifierError]) -> None:
    arguments: tuple[Any, ...] = ("top_k", "no") if issubclass(cls, errors.InvalidParameterError) else ("no",)
    body = body_of(cls(*arguments))
    assert body.keys() == ERROR_FIELDS
    assert (body["status"], body["code"]) == ("error", cls.code)


def test_request_error_has_a_status_of_the_client_or_503() -> None:
    for cls in RequestError.__subclasses__():
        assert 400 <= status_of(cls) < 500 or status_of(cls) == 503


@pytest.mark.parametrize(
    ("path", "content", "parameters", "status", "code"),
    [
        ("/model/predict", b"text", {}, 400, "unsupported_format"),
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
    assert response.json().keys() == ERROR_FIELDS


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
