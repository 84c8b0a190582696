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
    '{"audio": "s3://..."}; {"audio_base64": "..."}; {"warmup": true}'
)
BATCH_OPERATIONS_SCHEMAS: Final = ("1.0", "2.0")


def is_http(event: Mapping[str, Any]) -> bool:
    """Whether the event is an HTTP request that Mangum adapts."""
    context = event.get("requestContext")
    if not isinstance(context, dict):
        return False
    return "httpMethod" in event or (event.get("version") == "2.0" and "http" in context)


def is_batch_operation(event: Mapping[str, Any]) -> bool:
    """Whether the event is a task of S3 Batch Operations."""
    return event.get("invocationSchemaVersion") in BATCH_OPERATIONS_SCHEMAS and bool(event.get("tasks"))


def is_direct_request(event: Mapping[str, Any]) -> bool:
    """Whether the event is a request of a caller that invokes the function directly."""
    return "audio" in event or "audio_base64" in event


def is_queue(event: Mapping[str, Any]) -> bool:
    """Whether the event is a batch of SQS messages."""
    records = event.get("Records")
    first = records[0] if isinstance(records, list) and records else None
    return isinstance(first, dict) and first.get("eventSource") == "aws:sqs"


def is_map_batch(event: Mapping[str, Any]) -> bool:
    """Whether the event is a batch of a Distributed Map."""
    return "Items" in event


def map_batch_objects(event: Mapping[str, Any]) -> list[S3Location]:
    """Return the objects in a batch of a Distributed Map, as ``infra/backfill.asl.json`` builds it.

    S3 lists keys as they are, but URL-encodes them in an inventory, which the batch's ``encoding`` states.

    Raises
    ------
    UnknownEventError
        If the batch has another shape.
    """
    items, batch_input = event["Items"], event.get("BatchInput", {})
    encoding = batch_input.get("encoding") if isinstance(batch_input, dict) else batch_input
    if not isinstance(items, list) or encoding not in (None, "url"):
        raise UnknownEventError(
            "the event is not a batch of objects: expected a list of Items and no encoding or 'url', "
            f"got {type(items).__name__} and {encoding!r:.20}"
        )
    try:
        return [
            S3Location(item["bucket"], unquote_plus(item["key"]) if encoding else item["key"])
            for item in items
        ]
    except (AttributeError, InvalidParameterError, KeyError, TypeError) as error:
        raise UnknownEventError(f"the event is not a batch of objects: {error!r}") from error
