from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from audio_classifier.aws_lambda.events import (
    is_batch_operation,
    is_direct_request,
    is_http,
    is_map_batch,
    is_queue,
    map_batch_objects,
)
from audio_classifier.errors import UnknownEventError
from audio_classifier.s3.location import S3Location

EVENTS = {
    path.stem: json.loads(path.read_text()) for path in (Path(__file__).parents[1] / "events").glob("*.json")
}
KINDS = {
    "batch_operation": is_batch_operation,
    "direct_request": is_direct_request,
    "http": is_http,
    "map_batch": is_map_batch,
    "queue": is_queue,
}


def kinds_of(event: dict[str, Any]) -> list[str]:
    return [kind for kind, is_kind in KINDS.items() if is_kind(event)]


@pytest.mark.parametrize(
    ("name", "kinds"),
    [
        ("event_bridge", []),
        ("http_api", ["http"]),
        ("load_balancer", ["http"]),
        ("rest_api", ["http"]),
        ("s3", []),
        ("s3_batch_operation_1", ["batch_operation"]),
        ("s3_batch_operation_2", ["batch_operation"]),
        ("sns", []),
        ("sqs", ["queue"]),
    ],
)
def test_sample_event_is_recognised_as_one_kind(name: str, kinds: list[str]) -> None:
    assert kinds_of(EVENTS[name]) == kinds


@pytest.mark.parametrize(
    ("event", "kinds"),
    [
        ({}, []),
        ({"audio": "s3://bucket/key"}, ["direct_request"]),
        ({"audio_base64": ""}, ["direct_request"]),
        ({"Items": []}, ["map_batch"]),
        ({"requestContext": None, "httpMethod": "GET"}, []),
        ({"requestContext": {}, "version": "2.0"}, []),
        ({"Records": {}}, []),
        ({"Records": []}, []),
        ({"Records": [7]}, []),
        ({"invocationSchemaVersion": "3.0", "tasks": [{}]}, []),
        ({"invocationSchemaVersion": "1.0", "tasks": []}, []),
    ],
)
def test_event_is_recognised_by_its_shape(event: dict[str, Any], kinds: list[str]) -> None:
    assert kinds_of(event) == kinds


def batch(*items: Any, **batch_input: Any) -> dict[str, Any]:
    """Return a batch as a Distributed Map sends it."""
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
def test_objects_of_a_map_batch_are_returned(event: dict[str, Any], locations: list[S3Location]) -> None:
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
def test_map_batch_of_another_shape_is_refused(event: dict[str, Any]) -> None:
    with pytest.raises(UnknownEventError, match="not a batch of objects"):
        map_batch_objects(event)
