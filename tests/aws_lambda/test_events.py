from __future__ import annotations

from typing import Any

import pytest

from audio_classifier.aws_lambda.events import map_batch_objects
from audio_classifier.errors import UnknownEventError
from audio_classifier.s3.location import S3Location


def batch(*items: Any, **batch_input: Any) -> dict[str, Any]:
    """Build a batch as a Distributed Map sends it."""
    return {"Items": list(items), **({"BatchInput": batch_input} if batch_input else {})}


ITEM = {"bucket": "uploads", "key": "in/a+b%20c.wav"}


@pytest.mark.parametrize(
    ("event", "locations"),
    [
        (batch(), []),
        (batch(ITEM), [S3Location("uploads", "in/a+b%20c.wav")]),
        (batch(ITEM, {**ITEM, "key": "d"}), [S3Location("uploads", ITEM["key"]), S3Location("uploads", "d")]),
        (batch(ITEM, encoding="url"), [S3Location("uploads", "in/a b c.wav")]),
        (batch({**ITEM, "key": "%C3%BC%2B%25.wav"}, encoding="url"), [S3Location("uploads", "ü+%.wav")]),
        (batch({**ITEM, "size": 1}, other="thing"), [S3Location("uploads", "in/a+b%20c.wav")]),
    ],
)
def test_map_batch_objects_returns_the_locations(event: dict[str, Any], locations: list[S3Location]) -> None:
    assert map_batch_objects(event) == locations


@pytest.mark.parametrize(
    "event",
    [
        {"Items": None},
        {"Items": "text"},
        {"Items": ITEM},
        {"Items": {}},
        batch("text"),
        batch(None),
        batch([ITEM]),
        batch({"Bucket": "uploads", "Key": "a"}),
        batch({**ITEM, "key": ""}),
        batch({**ITEM, "key": 7}),
        batch({**ITEM, "key": 7}, encoding="url"),
        batch({**ITEM, "bucket": None}),
        batch(ITEM, encoding="base64"),
        batch(ITEM, encoding=[]),
        {"Items": [ITEM], "BatchInput": "url"},
    ],
)
def test_map_batch_objects_refuses_other_shapes(event: dict[str, Any]) -> None:
    with pytest.raises(UnknownEventError, match="not a batch of objects"):
        map_batch_objects(event)
