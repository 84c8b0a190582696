from __future__ import annotations

import pytest
import requests

from tests.server.client import PREDICT
from tests.support.serving import serving

GET_PATHS = [
    "/",
    "/demo",
    "/demo/rain.wav",
    "/demo/speech.wav",
    "/healthz",
    "/metrics",
    "/model/labels",
    "/model/metadata",
    "/openapi.json",
    "/readyz",
    "/static/swagger-ui.css",
    "/swagger.json",
]


@pytest.mark.parametrize("path", GET_PATHS)
def test_head_is_answered_like_get_without_the_body(url: str, path: str) -> None:
    expected, response = requests.get(url + path, timeout=5), requests.head(url + path, timeout=5)
    assert response.status_code == expected.status_code
    assert response.content == b""
    for name in ("Content-Type", "Cache-Control", "ETag", "X-Content-Type-Options"):
        assert response.headers.get(name) == expected.headers.get(name)


def test_head_of_a_route_without_get_is_refused(url: str) -> None:
    assert requests.head(url + PREDICT, timeout=5).status_code == 405
    assert requests.head(f"{url}/nowhere", timeout=5).status_code == 404


def test_route_with_a_slash_at_its_end_is_the_same_route(url: str, rain: bytes) -> None:
    headers = {"Content-Type": "audio/wav"}
    expected = requests.post(url + PREDICT, rain, headers=headers, timeout=30)
    response = requests.post(f"{url}{PREDICT}/", rain, headers=headers, timeout=30, allow_redirects=False)
    assert response.status_code == 200
    assert response.json() == expected.json()
    for path in ("/model/labels/", "/healthz/"):
        assert requests.get(url + path, timeout=5, allow_redirects=False).status_code == 200


@pytest.mark.parametrize("path", ["/model/predict//", "/model//predict", "/model/", "//x.example/", "/demo/"])
def test_other_path_with_slashes_does_not_exist(url: str, path: str) -> None:
    response = requests.get(url + path, timeout=5, allow_redirects=False, headers={"Host": "evil.example"})
    assert response.status_code == 404
    assert response.json()["code"] == "not_found"


def test_slash_at_the_end_does_not_open_a_route_that_needs_a_key() -> None:
    with serving(api_keys=("0123456789abcdef",)) as (url, _):
        assert requests.get(f"{url}/model/labels/", timeout=5).status_code == 401
        assert requests.head(f"{url}/model/labels", timeout=5).status_code == 401
        assert requests.get(f"{url}/healthz/", timeout=5).status_code == 200
