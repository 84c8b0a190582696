from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.server.deployment import BUCKETS
from tests.support.serving import serving


@pytest.fixture
def url_with_buckets(s3: Any) -> Iterator[str]:
    """The URL of a server that accepts uploads, named objects and CloudEvents; its buckets are empty."""
    for name in ("uploads", "results", "shared", "private"):
        s3.create_bucket(Bucket=name)
        for item in s3.list_objects_v2(Bucket=name).get("Contents", []):
            s3.delete_object(Bucket=name, Key=item["Key"])
    with serving(**BUCKETS) as (url, shared):
        shared.load()
        yield url


@pytest.fixture
def rain(assets: Path) -> bytes:
    return (assets / "rain.wav").read_bytes()
