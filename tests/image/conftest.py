from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.image.container import Image


@pytest.fixture(scope="session")
def image() -> Image:
    return named_by("IMAGE", "no image: `make image test-image` builds and tests one")


@pytest.fixture(scope="session")
def base_image() -> Image:
    return named_by("BASE_IMAGE", "BASE_IMAGE does not say what the image was built on")


def named_by(variable: str, otherwise: str) -> Image:
    found = Image.from_environment(variable)
    return found or pytest.skip(otherwise)


@pytest.fixture
def environment(s3: Any, s3_endpoint: str, assets: Path) -> dict[str, str]:
    """For a function beside a real S3 with a sound in it."""
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
