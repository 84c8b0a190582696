"""Events that name objects -> which objects.  However they are wrapped up."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final
from urllib.parse import unquote_plus

from audio_classifier.errors import InvalidParameterError, UnknownEventError
from audio_classifier.s3.objects import ObjectRef

S3_SOURCES: Final = ("aws:s3", "ceph:s3", "minio:s3")
UNDERSTOOD: Final = (
    "HTTP of API Gateway (HTTP API, REST API), of a function URL or a load balancer; "
    "S3 notifications, also inside of SQS, SNS or EventBridge; S3 Batch Operations; "
    "batches of a Step Functions Distributed Map; "
    '{"audio": "s3://..."}; {"audio_base64": "..."}; {"warmup": true}'
)


def created_objects(event: Mapping[str, Any]) -> list[ObjectRef]:
    """The objects that a notification says were created: S3's own, or one inside of SNS or EventBridge.

    A test event, and events of other kinds than a creation, name none.

    Raises
    ------
    UnknownEventError
        If it is no notification; it says what is understood.
    """
    try:
        return _created_objects(event)
    except (AttributeError, InvalidParameterError, KeyError, TypeError) as error:
        raise unknown_event(f"the event is no notification: {error!r}") from error


def _created_objects(event: Mapping[str, Any]) -> list[ObjectRef]:
    if event.get("Event") == "s3:TestEvent":
        return []
    if event.get("detail-type") == "Object Created":  # EventBridge, which does not encode keys
        detail = event["detail"]
        return [
            ObjectRef(detail["bucket"]["name"], detail["object"]["key"], detail["object"].get("version-id"))
        ]
    if event.get("Type") == "Notification" and "Message" in event:  # SNS, as SQS delivers it
        return created_objects(json_object(event["Message"]))
    records = event.get("Records")
    if not isinstance(records, list):
        raise _unknown(event)
    return [ref for record in records for ref in _of_record(record)]


def batch_objects(event: Mapping[str, Any]) -> list[ObjectRef]:
    """The objects in a batch of a Distributed Map, as `infra/backfill.asl.json` makes them.

    Raises
    ------
    UnknownEventError
        If it is of another shape.
    """
    try:
        return list(_of_batch(event["Items"], event.get("BatchInput", {}).get("encoding")))
    except (AttributeError, InvalidParameterError, KeyError, TypeError) as error:
        raise unknown_event(f"the event is no batch of objects: {error!r}") from error


def _of_batch(items: list[dict[str, str]], encoding: str | None) -> Iterator[ObjectRef]:
    if not isinstance(items, list) or encoding not in (None, "url"):
        raise TypeError(f"{type(items).__name__} of items, encoded by {encoding!r:.20}")
    for item in items:
        # S3 lists keys as they are, but URL-encodes them in an inventory.
        yield ObjectRef(item["bucket"], unquote_plus(item["key"]) if encoding else item["key"])


def json_object(text: str | bytes) -> dict[str, Any]:
    """Parse a message.

    Raises
    ------
    UnknownEventError
        If it is no JSON object.
    """
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise unknown_event("the message is no JSON") from error
    if not isinstance(value, dict):
        raise _unknown({})
    return value


def _of_record(record: Mapping[str, Any]) -> list[ObjectRef]:
    if record.get("EventSource") == "aws:sns":
        return created_objects(json_object(record["Sns"]["Message"]))
    if record.get("eventSource") not in S3_SOURCES:
        raise _unknown(record)
    if "ObjectCreated:" not in record["eventName"]:  # MinIO says s3:ObjectCreated:
        return []
    s3_object = record["s3"]["object"]
    return [
        ObjectRef(record["s3"]["bucket"]["name"], unquote_plus(s3_object["key"]), s3_object.get("versionId"))
    ]


def unknown_event(what: str) -> UnknownEventError:
    """The error for an event of another kind.  Its message says what is understood: Lambda shows no hint."""
    return UnknownEventError(f"{what}; understood are: {UNDERSTOOD}")


def _unknown(event: Mapping[str, Any]) -> UnknownEventError:
    keys = ", ".join(sorted(map(str, event))[:8]) or "nothing"
    return unknown_event(f"an event with {keys} in it is not understood")
