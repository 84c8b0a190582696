"""A deployment whose results are stored in a bucket of their own."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any, Final

from audio_classifier.service.settings import Settings
from audio_classifier.service.shared_classifier import SharedClassifier

SETTINGS: Final = replace(Settings.from_environment({}), results_bucket="results", results_prefix="results/")


def shared_with(**changes: Any) -> SharedClassifier:
    """Return a classifier of a deployment with changed settings; it loads the model at its first use."""
    return SharedClassifier(replace(SETTINGS, **changes))


def read_result(client: Any, key: str, bucket: str = "results") -> dict[str, Any]:
    result: dict[str, Any] = json.loads(client.get_object(Bucket=bucket, Key=key)["Body"].read())
    return result
