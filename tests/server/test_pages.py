"""The two pages and their files, as they are served."""

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
def test_a_page_may_load_and_call_nothing_but_this_server(url: str, path: str) -> None:
    answer = get(url + path)
    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    policy = dict(part.split(" ", 1) for part in answer.headers["Content-Security-Policy"].split("; "))
    assert policy["default-src"] == policy["frame-ancestors"] == policy["base-uri"] == "'none'"
    assert {source for sources in policy.values() for source in sources.split()} <= {
        *("'none'", "'self'"),
        "blob:" if path == "/demo" else "data:",
    }
    assert not re.search(r"https?:|\sstyle=|\son\w+=|<script>|<style>", answer.text)


@pytest.mark.parametrize("name", SERVED)
def test_each_file_is_what_it_says_and_is_fetched_once(url: str, name: str) -> None:
    types = {
        ".css": "text/css; charset=utf-8",
        ".js": "text/javascript; charset=utf-8",
        ".svg": "image/svg+xml",
        ".wav": "audio/wav",
    }
    answer = get(f"{url}/demo/{name}")
    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == types[Path(name).suffix]
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    assert answer.headers["Cache-Control"] == "no-cache"

    again = get(f"{url}/demo/{name}", **{"If-None-Match": answer.headers["ETag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert get(f"{url}/demo/{name}", **{"If-None-Match": '"other"'}).content == answer.content


@pytest.mark.parametrize(
    "name",
    [
        "none.js",
        "demo.html",
        "rain.wav",
        "class_labels_indices.csv",
        "..%2Fcli.py",
        "%2Fetc%2Fpasswd",
        "%00.js",
    ],
)
def test_nothing_else_is_served(url: str, name: str) -> None:
    answer = get(f"{url}/demo/{name}")
    assert answer.status_code == 404
    assert answer.json()["status"] == "error"


def test_the_picture_of_the_demo_stays_small() -> None:
    assert (ROOT / "docs" / "pictures" / "demo.png").stat().st_size < 250_000


def test_every_sample_is_offered_and_comes_with_the_package(assets: Path) -> None:
    page = (WEB / "demo.html").read_text(encoding="utf-8")
    assert sorted(re.findall(r'data-sample="([^"]+)"', page)) == sorted(SAMPLES)
    assert sum((assets / name).stat().st_size for name in SAMPLES) < 1.5e6

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    included = project["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"]
    recipe = (ROOT / "Dockerfile.lambda").read_text()
    for name in SAMPLES:
        assert included[f"assets/{name}"] == f"audio_classifier/data/{name}"
        assert f"assets/{name}" in recipe
        assert f"!assets/{name}\n" in (ROOT / ".dockerignore").read_text()
