"""One server for all requests that change nothing."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
import requests

from tests.serving import serving


@pytest.fixture(scope="session")
def url() -> Iterator[str]:
    """A server with the built-in bundle, ready."""
    with serving() as (address, _):
        while requests.get(f"{address}/readyz", timeout=5).status_code != 200:
            time.sleep(0.01)
        yield address
