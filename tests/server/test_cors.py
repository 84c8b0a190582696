"""Web pages of other origins: those that a deployment lists may call it, others may not."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from audio_classifier.service.shared_classifier import SharedClassifier
from tests.support.serving import serving

PAGE = "https://page.example"
OTHER = "https://other.example"
ALLOWED = "Access-Control-Allow-Origin"


@pytest.fixture(scope="module")
def cors() -> Iterator[tuple[str, SharedClassifier]]:
    with serving(cors_origins=(PAGE, "http://localhost:8080"), max_upload_bytes=1 << 20) as served:
        yield served


def ask_first(url: str, origin: str, method: str = "POST") -> requests.Response:
    """As a browser does before it sends what a form could not."""
    headers = {
        "Origin": origin,
        "Access-Control-Request-Method": method,
        "Access-Control-Request-Headers": "content-type,authorization",
    }
    return requests.options(f"{url}/model/predict", headers=headers, timeout=5)


def test_a_listed_page_may_send_sounds(cors: tuple[str, SharedClassifier], assets: Path) -> None:
    url, _ = cors
    preflight = ask_first(url, PAGE)
    assert preflight.status_code == 200
    assert preflight.headers[ALLOWED] == PAGE
    assert "POST" in preflight.headers["Access-Control-Allow-Methods"]
    assert "authorization" in preflight.headers["Access-Control-Allow-Headers"]
    assert "Access-Control-Allow-Credentials" not in preflight.headers

    headers = {"Origin": PAGE, "Content-Type": "audio/wav"}
    sound = (assets / "rain.wav").read_bytes()
    answer = requests.post(f"{url}/model/predict", data=sound, headers=headers, timeout=30)
    assert answer.json()["status"] == "ok"
    assert answer.headers[ALLOWED] == PAGE
    assert "Origin" in answer.headers["Vary"]


def test_another_page_is_refused(cors: tuple[str, SharedClassifier]) -> None:
    url, _ = cors
    assert ask_first(url, OTHER).status_code == 400
    assert ALLOWED not in ask_first(url, OTHER).headers
    assert ask_first(url, PAGE, "DELETE").status_code == 400
    answer = requests.get(f"{url}/model/labels", headers={"Origin": OTHER}, timeout=5)
    assert ALLOWED not in answer.headers


def test_a_page_may_read_errors(cors: tuple[str, SharedClassifier], monkeypatch: pytest.MonkeyPatch) -> None:
    url, service = cors

    def send(body: bytes) -> requests.Response:
        headers = {"Origin": PAGE, "Content-Type": "audio/wav"}
        return requests.post(f"{url}/model/predict", data=body, headers=headers, timeout=5)

    answers = [
        send(b"no sound"),
        send(bytes((1 << 20) + 1)),
        requests.get(url + "/gone", headers={"Origin": PAGE}),
    ]
    monkeypatch.setattr(service, "load", lambda: 1 / 0)
    answers.append(send(b"whatever"))
    assert [answer.status_code for answer in answers] == [400, 413, 404, 500]
    assert {answer.headers.get(ALLOWED) for answer in answers} == {PAGE}
    assert {answer.json()["status"] for answer in answers} == {"error"}
    (counted,) = (
        line
        for line in requests.get(f"{url}/metrics", timeout=5).text.splitlines()
        if line.startswith("audio_classifier_requests_total") and 'status="500"' in line
    )
    assert counted.endswith(" 1.0")


def test_any_page_may_where_a_star_says_so() -> None:
    with serving(cors_origins=("*",)) as (url, _):
        assert ask_first(url, OTHER).headers[ALLOWED] == "*"


def test_no_page_may_where_nothing_is_said(url: str) -> None:
    assert ask_first(url, PAGE).status_code == 405
    answer = requests.get(f"{url}/model/labels", headers={"Origin": PAGE}, timeout=5)
    assert [name for name in answer.headers if name.lower().startswith("access-control")] == []
