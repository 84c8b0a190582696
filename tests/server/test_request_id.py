from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from audio_classifier.server.logs import AppendLogFields
from audio_classifier.service.shared_classifier import SharedClassifier
from tests.server.client import post
from tests.server.deployment import s3_notification, send_event
from tests.support.serving import serving

PAGE = "https://page.example"
NEW_ID = re.compile(r"[0-9a-f]{32}")


@pytest.fixture(scope="module")
def served() -> Iterator[tuple[str, SharedClassifier]]:
    with serving(cors_origins=(PAGE,), api_keys=("secret",)) as server:
        yield server


@pytest.fixture
def fields(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> Iterator[list[str]]:
    """The fields of each log entry that is written while the test runs."""
    written: list[str] = []

    class Collect(AppendLogFields):
        def filter(self, record: logging.LogRecord) -> bool:
            super().filter(record)
            written.append(vars(record)["fields"])
            return True

    collect = Collect()
    caplog.handler.addFilter(collect)
    with caplog.at_level(logging.INFO):
        yield written
    caplog.handler.removeFilter(collect)


@pytest.mark.parametrize(
    "sent", ["a", "Root=1-5c536348-3d683b8b04734faae651f476", "JKJaXmPLvHcESHA=", "a" * 128]
)
def test_valid_id_of_the_client_is_returned(served: tuple[str, SharedClassifier], sent: str) -> None:
    response = requests.get(f"{served[0]}/healthz", headers={"X-Request-Id": sent}, timeout=5)
    assert response.headers["X-Request-Id"] == sent


@pytest.mark.parametrize("sent", ["", "a b", "a;b", "<a>", 'a"', "é".encode(), "a" * 129])
def test_missing_or_invalid_id_is_replaced_by_a_new_one(
    served: tuple[str, SharedClassifier], sent: str | bytes
) -> None:
    ids = {
        requests.get(f"{served[0]}/healthz", headers={"X-Request-Id": sent}, timeout=5).headers[
            "X-Request-Id"
        ]
        for _ in range(2)
    }
    assert len(ids) == 2
    assert all(map(NEW_ID.fullmatch, ids))


def test_every_kind_of_response_has_an_id(
    served: tuple[str, SharedClassifier], monkeypatch: pytest.MonkeyPatch
) -> None:
    url, shared = served
    key = {"X-Api-Key": "secret"}
    preflight = {"Origin": PAGE, "Access-Control-Request-Method": "POST"}
    responses = [
        requests.get(f"{url}/demo", timeout=5),
        requests.get(f"{url}/model/labels", timeout=5),
        requests.get(f"{url}/nothing", headers=key, timeout=5),
        requests.head(f"{url}/healthz", timeout=5),
        requests.options(f"{url}/model/predict", headers=preflight, timeout=5),
        requests.post(f"{url}/model/predict", b"no audio", headers=key, timeout=5),
    ]
    monkeypatch.setattr(shared, "load", lambda: 1 / 0)
    responses.append(requests.get(f"{url}/model/labels", headers=key, timeout=5))
    assert [response.status_code for response in responses] == [200, 401, 404, 200, 200, 400, 500]
    assert all(NEW_ID.fullmatch(response.headers["X-Request-Id"]) for response in responses)


def test_pages_of_allowed_origins_may_read_the_headers(served: tuple[str, SharedClassifier]) -> None:
    response = requests.get(f"{served[0]}/healthz", headers={"Origin": PAGE}, timeout=5)
    exposed = response.headers["Access-Control-Expose-Headers"]
    assert exposed.split(", ") == ["Retry-After", "Server-Timing", "X-Request-Id"]


def test_log_entries_of_a_request_have_its_id(
    served: tuple[str, SharedClassifier], monkeypatch: pytest.MonkeyPatch, fields: list[str]
) -> None:
    url, shared = served
    monkeypatch.setattr(shared, "load", lambda: 1 / 0)
    headers = {"X-Api-Key": "secret", "X-Request-Id": "abc"}
    assert requests.get(f"{url}/model/labels", headers=headers, timeout=5).status_code == 500
    assert fields
    assert set(fields) == {" request_id=abc"}


def test_log_entries_of_an_event_name_the_request_and_the_object(
    url_with_buckets: str, s3: Any, assets: Path, fields: list[str]
) -> None:
    for key in ("a.wav", "b\u202e.wav"):
        s3.put_object(Bucket="shared", Key=key, Body=(assets / "rain.wav").read_bytes())
        fields.clear()
        response = send_event(url_with_buckets, s3_notification("shared", key))
        assert response.status_code == 200
        name = key.replace("\u202e", "\\u202e")
        request_id = response.headers["X-Request-Id"]
        assert f" request_id={request_id} object=s3://shared/{name}" in fields


def test_log_entry_outside_of_a_request_has_no_fields() -> None:
    record = logging.makeLogRecord({})
    assert AppendLogFields().filter(record)
    assert vars(record)["fields"] == ""


def test_prediction_has_the_id_of_its_request(url: str, assets: Path) -> None:
    response = post(url, (assets / "rain.wav").read_bytes())
    assert NEW_ID.fullmatch(response.headers["X-Request-Id"])
    assert response.json().keys() == {"status", "predictions"}
