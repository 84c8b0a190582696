from __future__ import annotations

from collections.abc import Iterator

import pytest
import requests

from audio_classifier.service.shared_classifier import SharedClassifier
from tests.server.client import post
from tests.support.serving import serving

PAGE = "https://page.example"


@pytest.fixture(scope="module")
def served() -> Iterator[tuple[str, SharedClassifier]]:
    with serving(cors_origins=(PAGE,)) as server:
        yield server


def check_api_headers(response: requests.Response, status: int) -> None:
    assert response.status_code == status
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert response.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/model/labels", 200),
        ("/model/metadata", 200),
        ("/model/predict", 405),
        ("/nothing", 404),
        ("/healthz", 200),
        ("/metrics", 200),
        ("/openapi.json", 200),
        ("/swagger.json", 200),
    ],
)
def test_response_of_the_api_is_not_stored_or_guessed(
    served: tuple[str, SharedClassifier], path: str, status: int
) -> None:
    check_api_headers(requests.get(served[0] + path, timeout=30), status)


def test_prediction_stream_and_preflight_are_not_stored_or_guessed(
    served: tuple[str, SharedClassifier], rain: bytes
) -> None:
    url, _ = served
    check_api_headers(post(url, rain), 200)
    check_api_headers(post(url, b"not audio"), 400)
    stream = {"Accept": "application/x-ndjson", "Content-Type": "audio/wav"}
    check_api_headers(
        requests.post(f"{url}/model/predict?timeline=true", rain, headers=stream, timeout=30), 200
    )
    preflight = {"Origin": PAGE, "Access-Control-Request-Method": "POST"}
    check_api_headers(requests.options(f"{url}/model/predict", headers=preflight, timeout=5), 200)


def test_unexpected_error_is_not_stored_or_guessed(
    served: tuple[str, SharedClassifier], monkeypatch: pytest.MonkeyPatch
) -> None:
    url, shared = served
    monkeypatch.setattr(shared, "load", lambda: 1 / 0)
    check_api_headers(requests.get(f"{url}/model/labels", timeout=5), 500)


@pytest.mark.parametrize(
    "path", ["/", "/demo", "/demo/demo.js", "/demo/speech.wav", "/static/swagger-ui.css"]
)
def test_files_of_the_pages_are_stored_and_revalidated(
    served: tuple[str, SharedClassifier], path: str
) -> None:
    url, _ = served
    response = requests.get(url + path, timeout=5)
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert response.headers["Cache-Control"] == "no-cache"
    unchanged = requests.get(url + path, headers={"If-None-Match": response.headers["ETag"]}, timeout=5)
    assert (unchanged.status_code, unchanged.headers["Cache-Control"]) == (304, "no-cache")


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize(
    "path",
    ["/model/predict/", "/demo/", "/demo/demo.js/", "/static", "/healthz/", "/metrics/", "//demo", "/x/"],
)
def test_path_with_another_slash_is_not_redirected_to_the_host_header(
    served: tuple[str, SharedClassifier], method: str, path: str
) -> None:
    headers = {"Host": "evil.example", "X-Forwarded-Host": "evil.example"}
    response = requests.request(method, served[0] + path, headers=headers, timeout=5, allow_redirects=False)
    assert response.status_code in (200, 404, 405, 422)
    assert "Location" not in response.headers
    assert "evil.example" not in f"{response.headers}{response.text}"


@pytest.mark.parametrize(
    "path", ["/", "/demo", "/openapi.json", "/swagger.json", "/model/metadata", "/model/metadata/"]
)
def test_no_response_repeats_the_host_header(served: tuple[str, SharedClassifier], path: str) -> None:
    response = requests.get(served[0] + path, headers={"Host": "evil.example"}, timeout=30)
    assert response.status_code == 200
    assert "evil.example" not in f"{response.headers}{response.text}"
