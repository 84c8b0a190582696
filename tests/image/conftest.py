"""Fixtures for the tests of the image, which environment variables name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.image.container import Image


@pytest.fixture(scope="session")
def image() -> Image:
    return named_by("IMAGE", "IMAGE is not set: `make image test-image` builds and tests an image")


@pytest.fixture(scope="session")
def base_image() -> Image:
    return named_by("BASE_IMAGE", "BASE_IMAGE is not set: it must name the base of the image")


def named_by(variable: str, skip_reason: str) -> Image:
    return Image.from_environment(variable) or pytest.skip(skip_reason)


@pytest.fixture
def environment(s3: Any, s3_endpoint: str, assets: Path) -> dict[str, str]:
    """Return the environment of a function that uses moto's S3, which contains one upload."""
    for name in ("uploads", "results"):
        s3.create_bucket(Bucket=name)
    s3.delete_object(Bucket="results", Key="results/in/rain.wav.json")
    s3.put_object(Bucket="uploads", Key="in/rain.wav", Body=(assets / "rain.wav").read_bytes())
    return {
        "AWS_LAMBDA_FUNCTION_NAME": "classify",
        "AWS_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": s3_endpoint,
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AUDIO_CLASSIFIER_RESULTS_BUCKET": "results",
        "AUDIO_CLASSIFIER_READ_BUCKETS": "uploads",
    }
