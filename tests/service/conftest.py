from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import requests

from audio_classifier.service.shared_classifier import SharedClassifier
from audio_classifier.service.uploads import Uploads
from tests.service.deployment import shared_with


@pytest.fixture(scope="session")
def shared_classifier() -> SharedClassifier:
    """A loaded classifier."""
    shared = shared_with()
    shared.load()
    return shared


@pytest.fixture
def buckets(s3: Any) -> Any:
    """A client of an S3 with empty buckets for uploads and results."""
    # moto cannot list the versions of a bucket whose versioning was suspended, so everything is deleted.
    requests.post(f"{s3.meta.endpoint_url}/moto-api/reset", timeout=10).raise_for_status()
    for name in ("uploads", "results"):
        s3.create_bucket(Bucket=name)
    return s3


@pytest.fixture
def uploads(buckets: Any, shared_classifier: SharedClassifier) -> Uploads:
    return Uploads(shared_classifier)


@pytest.fixture
def rain(assets: Path) -> bytes:
    return (assets / "rain.wav").read_bytes()
