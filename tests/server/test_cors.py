"""Requests of web pages with other origins."""

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
    """The URL and the classifier of a server that allows two origins."""
    with serving(cors_origins=(PAGE, "http://localhost:8080"), max_upload_bytes=1 << 20) as served:
        yield served


def preflight(url: str, origin: str, method: str = "POST") -> requests.Response:
    """Send the request with which a browser asks whether a page may send another one."""
    headers = {
        "Origin": origin,
        "Access-Control-Request-Method": method,
        "Access-Control-Request-Headers": "content-type,authorization",
    }
    return requests.options(f"{url}/model/predict", headers=headers, timeout=5)


def test_page_of_a_listed_origin_may_send_recordings(
    cors: tuple[str, SharedClassifier], assets: Path
) -> None:
    url, _ = cors
    allowed = preflight(url, PAGE)
    assert allowed.status_code == 200
    assert allowed.headers[ALLOWED] == PAGE
    assert "POST" in allowed.headers["Access-Control-Allow-Methods"]
    assert "authorization" in allowed.headers["Access-Control-Allow-Headers"]
    assert "Access-Control-Allow-Credentials" not in allowed.headers

    headers = {"Origin": PAGE, "Content-Type": "audio/wav"}
    content = (assets / "rain.wav").read_bytes()
    response = requests.post(f"{url}/model/predict", data=content, headers=headers, timeout=30)
    assert response.json()["status"] == "ok"
    assert response.headers[ALLOWED] == PAGE
    assert "Origin" in response.headers["Vary"]


def test_page_of_another_origin_is_refused(cors: tuple[str, SharedClassifier]) -> None:
    url, _ = cors
    assert preflight(url, OTHER).status_code == 400
    assert ALLOWED not in preflight(url, OTHER).headers
    assert preflight(url, PAGE, "DELETE").status_code == 400
    response = requests.get(f"{url}/model/labels", headers={"Origin": OTHER}, timeout=5)
    assert ALLOWED not in response.headers


def test_page_of_a_listed_origin_may_read_errors(
    cors: tuple[str, SharedClassifier], monkeypatch: pytest.MonkeyPatch
) -> None:
    url, shared = cors

    def send(body: bytes) -> requests.Response:
        headers = {"Origin": PAGE, "Content-Type": "audio/wav"}
        return requests.post(f"{url}/model/predict", data=body, headers=headers, timeout=5)

    responses = [
        send(b"not audio"),
        send(bytes((1 << 20) + 1)),
        requests.get(url + "/gone", headers={"Origin": PAGE}),
    ]
    monkeypatch.setattr(shared, "load", lambda: 1 / 0)
    responses.append(send(b"some content"))
    assert [response.status_code for response in responses] == [400, 413, 404, 500]
    assert {response.headers.get(ALLOWED) for response in responses} == {PAGE}
    assert {response.json()["status"] for response in responses} == {"error"}
    (counted,) = (
        line
        for line in requests.get(f"{url}/metrics", timeout=5).text.splitlines()
        if line.startswith("audio_classifier_requests_total") and 'status="500"' in line
    )
    assert counted.endswith(" 1.0")


def test_star_allows_pages_of_any_origin() -> None:
    with serving(cors_origins=("*",)) as (url, _):
        assert preflight(url, OTHER).headers[ALLOWED] == "*"


def test_no_origin_is_allowed_by_default(url: str) -> None:
    assert preflight(url, PAGE).status_code == 405
    response = requests.get(f"{url}/model/labels", headers={"Origin": PAGE}, timeout=5)
    assert [name for name in response.headers if name.lower().startswith("access-control")] == []
