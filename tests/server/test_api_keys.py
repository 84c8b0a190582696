from __future__ import annotations

import hmac
import re
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import anyio
import pytest
import requests
from fastapi import FastAPI
from starlette.routing import BaseRoute, Mount, Route

from audio_classifier.server.api_keys import RequireApiKey
from audio_classifier.server.app import create_app
from audio_classifier.service.settings import Settings
from audio_classifier.service.shared_classifier import SharedClassifier
from tests.server.client import check_error, post
from tests.server.deployment import BUCKETS
from tests.support.serving import running, serving

OLD_KEY, NEW_KEY = "old-0123456789abcdef", "new-0123456789abcdef-longer"
WITHOUT_KEY = {
    *("/", "/demo", "/demo/{name}", "/static", "/openapi.json", "/swagger.json", "/healthz", "/readyz")
}


@pytest.fixture(scope="module")
def url_with_keys() -> Iterator[str]:
    with serving(api_keys=(OLD_KEY, NEW_KEY)) as (url, shared):
        shared.load()
        yield url


@pytest.mark.parametrize("key", [OLD_KEY, NEW_KEY])
@pytest.mark.parametrize(
    ("name", "prefix"),
    [("X-Api-Key", ""), ("x-api-key", ""), ("Authorization", "Bearer "), ("authorization", "bearer  ")],
)
def test_request_with_any_of_the_keys_is_served(url_with_keys: str, name: str, prefix: str, key: str) -> None:
    response = requests.get(f"{url_with_keys}/model/labels", headers={name: prefix + key}, timeout=30)
    assert response.status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"X-Api-Key": ""},
        {"X-Api-Key": OLD_KEY[:-1]},
        {"X-Api-Key": f"{OLD_KEY}x"},
        {"X-Api-Key": OLD_KEY.upper()},
        {"X-Api-Key": f"{OLD_KEY},{NEW_KEY}"},
        {"X-Api-Key": "\xff" * 20},
        {"X-Api-Key": f"Bearer {OLD_KEY}"},
        {"Authorization": OLD_KEY},
        {"Authorization": "Bearer"},
        {"Authorization": f"Basic {OLD_KEY}"},
        {"Authorization": f"Bearer{OLD_KEY}"},
        {"Cookie": f"X-Api-Key={OLD_KEY}"},
    ],
)
def test_request_without_a_valid_key_is_refused(url_with_keys: str, headers: dict[str, str]) -> None:
    encoded = {name: value.encode("latin-1") for name, value in headers.items()}
    response = requests.get(f"{url_with_keys}/model/labels", headers=encoded, timeout=5)
    assert "X-Api-Key" in check_error(response, 401, "no valid API key")
    assert response.json()["code"] == "unauthorized"
    assert response.headers["WWW-Authenticate"].startswith("Bearer ")
    assert response.headers["Cache-Control"] == "no-store"
    assert "0123456789" not in response.text


def test_key_in_the_query_is_not_accepted(url_with_keys: str) -> None:
    response = requests.get(f"{url_with_keys}/model/labels?api_key={OLD_KEY}&X-Api-Key={OLD_KEY}", timeout=5)
    assert response.status_code == 401


def test_recording_is_classified_only_with_a_key(url_with_keys: str, rain: bytes) -> None:
    assert post(url_with_keys, rain).status_code == 401
    headers = {"X-Api-Key": NEW_KEY, "Content-Type": "audio/wav"}
    response = requests.post(f"{url_with_keys}/model/predict", rain, headers=headers, timeout=30)
    assert response.json()["status"] == "ok"


def test_body_of_a_refused_request_is_not_read() -> None:
    async def app(*_: Any) -> None:
        raise AssertionError

    async def receive() -> Any:
        raise AssertionError

    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": "/model/predict", "headers": []}
    with ThreadPoolExecutor(1) as pool:  # Mangum leaves an event loop in the main thread
        pool.submit(anyio.run, RequireApiKey(app, [OLD_KEY]), scope, receive, send).result()
    assert sent[0]["status"] == 401


@pytest.fixture
def app_with_all_routes() -> FastAPI:
    settings = replace(Settings.from_environment({}), api_keys=(OLD_KEY,), **BUCKETS)
    return create_app(SharedClassifier(settings))


def paths_of(routes: Iterable[BaseRoute]) -> set[str]:
    paths: set[str] = set()
    for route in routes:
        if isinstance(route, Route | Mount):
            paths.add(route.path)
        else:  # FastAPI keeps an included router as one route
            paths |= paths_of(route.original_router.routes)  # type: ignore[attr-defined]
    return paths


def test_every_route_needs_a_key_unless_it_is_listed(app_with_all_routes: FastAPI) -> None:
    paths = paths_of(app_with_all_routes.routes)
    assert paths > WITHOUT_KEY
    assert {
        "/model/predict",
        "/model/labels",
        "/uploads",
        "/results/{upload_id}",
        "/events",
        "/metrics",
    } <= paths
    with running(app_with_all_routes) as url:
        for path in paths | {"/none", "/healthz/x", "/demox", "//demo/x", "/static/../metrics"}:
            concrete = re.sub(r"{\w+}", "demo.js", path) + ("/favicon.png" if path == "/static" else "")
            for method in ("GET", "POST"):
                session = requests.Session()
                request = requests.Request(method, url).prepare()
                request.url = url + concrete  # not normalised
                status = session.send(request, timeout=5).status_code
                if path in WITHOUT_KEY:
                    assert status in (200, 405, 503), (method, path)
                else:
                    assert status in ((404, 405) if path.startswith("/static/") else (401,)), (method, path)


def test_new_route_needs_a_key(app_with_all_routes: FastAPI) -> None:
    app_with_all_routes.add_api_route("/new", lambda: "secret")
    with running(app_with_all_routes) as url:
        assert requests.get(f"{url}/new", timeout=5).status_code == 401
        assert requests.get(f"{url}/new", headers={"X-Api-Key": OLD_KEY}, timeout=5).json() == "secret"


@pytest.mark.parametrize("root_path", ["/prod", "/healthz", "/demo"])
def test_routes_below_a_base_path_need_the_same_keys(root_path: str) -> None:
    settings = replace(Settings.from_environment({}), api_keys=(OLD_KEY,))
    app = create_app(SharedClassifier(settings))

    async def gateway(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            scope = {**scope, "root_path": root_path}
        await app(scope, receive, send)

    with running(gateway) as url:
        base = url + root_path
        assert requests.get(f"{base}/healthz", timeout=5).status_code == 200
        assert requests.get(f"{base}/demo", timeout=5).status_code == 200
        assert requests.get(f"{base}/metrics", timeout=5).status_code == 401
        assert requests.get(f"{base}/model/labels", timeout=5).status_code == 401
        assert requests.get(f"{base}x/healthz", timeout=5).status_code == 401
        assert requests.get(f"{base}/metrics", headers={"X-Api-Key": OLD_KEY}, timeout=5).status_code == 200


def test_all_keys_are_compared_in_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """The number and the lengths of comparisons do not depend on the key that is sent."""
    compared: list[tuple[int, int]] = []
    compare = hmac.compare_digest

    def noted(one: bytes, other: bytes) -> bool:
        compared.append((len(one), len(other)))
        return compare(one, other)

    monkeypatch.setattr(hmac, "compare_digest", noted)
    with serving(api_keys=(OLD_KEY, NEW_KEY)) as (url, shared):
        shared.load()
        for key, status in ((OLD_KEY, 200), (NEW_KEY, 200), ("x", 401)):
            compared.clear()
            response = requests.get(f"{url}/model/labels", headers={"X-Api-Key": key}, timeout=30)
            assert (response.status_code, compared) == (status, [(32, 32), (32, 32)])


def test_openapi_documents_describe_the_key(url_with_keys: str, url: str) -> None:
    document = requests.get(f"{url_with_keys}/openapi.json", timeout=5).json()
    assert document["components"]["securitySchemes"] == {
        "ApiKey": {"type": "apiKey", "in": "header", "name": "X-Api-Key"},
        "Bearer": {"type": "http", "scheme": "bearer"},
    }
    predict = document["paths"]["/model/predict"]["post"]
    assert predict["security"] == [{"ApiKey": []}, {"Bearer": []}]
    assert "401" in predict["responses"]
    assert "security" not in document["paths"]["/healthz"]["get"]
    swagger = requests.get(f"{url_with_keys}/swagger.json", timeout=5).json()
    assert swagger["securityDefinitions"]["ApiKey"]["name"] == "X-Api-Key"

    assert "securitySchemes" not in requests.get(f"{url}/openapi.json", timeout=5).json()["components"]
    assert "security" not in requests.get(f"{url}/swagger.json", timeout=5).json()


def test_page_of_another_origin_may_send_a_key_and_read_the_refusal() -> None:
    page = "https://page.example"
    with serving(api_keys=(OLD_KEY,), cors_origins=(page,)) as (url, _):
        preflight = {
            "Origin": page,
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "x-api-key",
        }
        allowed = requests.options(f"{url}/model/predict", headers=preflight, timeout=5)
        assert (allowed.status_code, allowed.headers["Access-Control-Allow-Headers"]) == (200, "x-api-key")
        refused = requests.get(f"{url}/model/labels", headers={"Origin": page}, timeout=5)
        assert (refused.status_code, refused.headers["Access-Control-Allow-Origin"]) == (401, page)


def test_refused_requests_are_counted(url_with_keys: str) -> None:
    requests.get(f"{url_with_keys}/model/labels", timeout=5)
    counted = requests.get(f"{url_with_keys}/metrics", headers={"X-Api-Key": OLD_KEY}, timeout=5).text
    assert re.search(r'requests_total{method="GET",route="other",status="401"}', counted)
