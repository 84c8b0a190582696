"""Recognise Lambda events by their shape."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import unquote_plus

from audio_classifier.errors import InvalidParameterError, UnknownEventError
from audio_classifier.s3.location import S3Location

SUPPORTED_EVENTS: Final = (
    "HTTP requests of API Gateway (HTTP API, REST API), function URLs and load balancers; "
    "S3 notifications, also in SQS, SNS or EventBridge; S3 Batch Operations; "
    "batches of a Step Functions Distributed Map; "
    '{"audio": "s3://..."}; {"audio_base64": "..."}; {"warmup": true}; scheduled events'
)
WARM_UP_KEYS: Final = ("warmup", "warmer")  # {"warmer": true} is lambda-warmer's
WARM_UP_SOURCES: Final = ("serverless-plugin-warmup",)
SCHEDULED_EVENT: Final = "Scheduled Event"
BATCH_OPERATIONS_SCHEMAS: Final = ("1.0", "2.0")


def is_http(event: Mapping[str, Any]) -> bool:
    """Return whether the event is an HTTP request that Mangum adapts."""
    context = event.get("requestContext")
    if not isinstance(context, dict):
        return False
    return "httpMethod" in event or (event.get("version") == "2.0" and "http" in context)


def is_batch_operation(event: Mapping[str, Any]) -> bool:
    """Return whether the event is a task of S3 Batch Operations."""
    return event.get("invocationSchemaVersion") in BATCH_OPERATIONS_SCHEMAS and bool(event.get("tasks"))


def is_direct_request(event: Mapping[str, Any]) -> bool:
    """Return whether the event is a request of a caller that invokes the function directly."""
    return "audio" in event or "audio_base64" in event


def is_warm_up(event: Mapping[str, Any]) -> bool:
    """Return whether the event has no other purpose than to keep an environment warm."""
    return (
        any(event.get(key) for key in WARM_UP_KEYS)
        or event.get("source") in WARM_UP_SOURCES
        or event.get("detail-type") == SCHEDULED_EVENT
    )


def is_queue(event: Mapping[str, Any]) -> bool:
    """Return whether the event is a batch of SQS messages."""
    records = event.get("Records")
    first = records[0] if isinstance(records, list) and records else None
    return isinstance(first, dict) and first.get("eventSource") == "aws:sqs"


def is_map_batch(event: Mapping[str, Any]) -> bool:
    """Return whether the event is a batch of a Distributed Map."""
    return "Items" in event


def map_batch_objects(event: Mapping[str, Any]) -> list[S3Location]:
    """Return the objects in a batch of a Distributed Map, as ``infra/backfill.asl.json`` builds it.

    Keys of a listing are plain.  Keys of an inventory are URL-encoded, and then the batch's ``encoding`` is
    ``url``.

    Raises
    ------
    UnknownEventError
        If the batch has another shape.
    """
    items, batch_input = event["Items"], event.get("BatchInput", {})
    if not isinstance(items, list) or not isinstance(batch_input, dict):
        raise UnknownEventError(
            "the event is not a batch of objects: Items must be a list, BatchInput an object"
        )
    encoding = batch_input.get("encoding")
    if encoding not in (None, "url"):
        raise UnknownEventError(
            f"the event is not a batch of objects: encoding must be url, got {encoding!r:.20}"
        )
    return [_item_object(item, url_encoded=encoding == "url") for item in items]


def _item_object(item: Any, *, url_encoded: bool) -> S3Location:
    try:
        return S3Location(item["bucket"], unquote_plus(item["key"]) if url_encoded else item["key"])
    except (AttributeError, InvalidParameterError, KeyError, TypeError) as error:
        raise UnknownEventError(
            f"the event is not a batch of objects: an item must have a bucket and a key, got {item!r:.200}"
        ) from error
