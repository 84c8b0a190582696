from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
import requests

from audio_classifier.server.pages import SAMPLES, WEB

ROOT = Path(__file__).parents[2]
SERVED = sorted({*SAMPLES, *(path.name for path in WEB.iterdir() if path.suffix != ".html")})


def get(url: str, **headers: str) -> requests.Response:
    return requests.get(url, headers=headers, timeout=5)


@pytest.mark.parametrize("path", ["/", "/demo"])
def test_page_may_load_and_call_this_server_only(url: str, path: str) -> None:
    response = get(url + path)
    assert response.status_code == 200
    assert response.headers["Content-Type"] == "text/html; charset=utf-8"
    policy = dict(part.split(" ", 1) for part in response.headers["Content-Security-Policy"].split("; "))
    assert policy["default-src"] == policy["frame-ancestors"] == policy["base-uri"] == "'none'"
    assert {source for sources in policy.values() for source in sources.split()} <= {
        *("'none'", "'self'"),
        "blob:" if path == "/demo" else "data:",
    }
    assert not re.search(r"https?:|\sstyle=|\son\w+=|<script>|<style>", response.text)


def test_swagger_page_refers_to_no_other_server(url: str) -> None:
    response = get(url)
    assert response.status_code == 200
    assert "http://" not in response.text
    assert "https://" not in response.text
    for name in ("swagger-ui-bundle.js", "swagger-ui.css", "favicon.png"):
        assert f"static/{name}" in response.text
        assert len(get(f"{url}/static/{name}").content) > 1000
    assert "demo/swagger.js" in response.text
    assert "SwaggerUIBundle(" in get(f"{url}/demo/swagger.js").text


@pytest.mark.parametrize("name", SERVED)
def test_file_has_its_media_type_and_is_revalidated_by_etag(url: str, name: str) -> None:
    types = {
        ".css": "text/css; charset=utf-8",
        ".js": "text/javascript; charset=utf-8",
        ".svg": "image/svg+xml",
        ".wav": "audio/wav",
    }
    response = get(f"{url}/demo/{name}")
    assert response.status_code == 200
    assert response.headers["Content-Type"] == types[Path(name).suffix]
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert response.headers["Referrer-Policy"] == "no-referrer"
    assert response.headers["Cache-Control"] == "no-cache"

    unchanged = get(f"{url}/demo/{name}", **{"If-None-Match": response.headers["ETag"]})
    assert (unchanged.status_code, unchanged.content) == (304, b"")
    assert get(f"{url}/demo/{name}", **{"If-None-Match": '"other"'}).content == response.content


@pytest.mark.parametrize(
    "name",
    [
        "none.js",
        "demo.html",
        "rain.wav",
        "class_labels_indices.csv",
        "..%2Fapp.py",
        "%2Fetc%2Fpasswd",
        "%00.js",
    ],
)
def test_other_files_are_not_served(url: str, name: str) -> None:
    response = get(f"{url}/demo/{name}")
    assert response.status_code == 404
    assert response.json()["status"] == "error"


def test_picture_of_the_demo_is_smaller_than_250_kb() -> None:
    assert (ROOT / "docs" / "pictures" / "demo.png").stat().st_size < 250_000


def test_samples_of_the_demo_are_shipped_with_the_package(assets: Path) -> None:
    page = (WEB / "demo.html").read_text(encoding="utf-8")
    assert sorted(re.findall(r'data-sample="([^"]+)"', page)) == sorted(SAMPLES)
    assert sum((assets / name).stat().st_size for name in SAMPLES) < 1.5e6

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    included = project["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"]
    dockerfile = (ROOT / "Dockerfile.lambda").read_text()
    for name in SAMPLES:
        assert included[f"assets/{name}"] == f"audio_classifier/data/{name}"
        assert f"assets/{name}" in dockerfile
        assert f"!assets/{name}\n" in (ROOT / ".dockerignore").read_text()
