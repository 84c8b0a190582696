from __future__ import annotations

import pytest
import requests

from tests.server.deployment import BUCKETS
from tests.support.serving import serving

GROUPS = {
    "demo": {"/demo", "/demo/demo.js", "/demo/speech.wav"},
    "docs": {"/", "/openapi.json", "/swagger.json", "/static/swagger-ui.css", "/demo/swagger.js"},
    "metrics": {"/metrics"},
    "events": {"/events"},
}


@pytest.mark.parametrize("disabled", [(), ("demo",), ("docs",), ("metrics",), ("events",), tuple(GROUPS)])
def test_only_disabled_routes_do_not_exist(disabled: tuple[str, ...]) -> None:
    with serving(disabled_routes=disabled, **BUCKETS) as (url, _):
        missing = {
            path
            for path in {"/healthz", "/model/predict", "/model/labels"}.union(*GROUPS.values())
            if requests.get(url + path, timeout=30).status_code == 404
        }
    shared_file = set() if "docs" in disabled and "demo" in disabled else {"/demo/swagger.js"}
    assert missing - shared_file == set().union(*(GROUPS[group] for group in disabled)) - shared_file


def test_remaining_page_works_and_does_not_link_to_a_disabled_one() -> None:
    with serving(disabled_routes=("demo",)) as (url, _):
        page = requests.get(url, timeout=5).text
        assert "Try the demo" not in page
        assert requests.get(f"{url}/demo/swagger.css", timeout=5).status_code == 200
    with serving(disabled_routes=("docs",)) as (url, _):
        assert "API documentation" not in requests.get(f"{url}/demo", timeout=5).text
    with serving() as (url, _):
        assert "Try the demo" in requests.get(url, timeout=5).text
        assert "API documentation" in requests.get(f"{url}/demo", timeout=5).text
