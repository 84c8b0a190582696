"""Parse notifications of S3, directly or wrapped in SNS or EventBridge."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import unquote_plus

from audio_classifier.errors import InvalidParameterError, UnknownEventError
from audio_classifier.s3.location import S3Location

S3_SOURCES: Final = ("aws:s3", "ceph:s3", "minio:s3")
MAX_SHOWN_KEYS: Final = 8


def created_objects(event: Mapping[str, Any]) -> list[S3Location]:
    """Return the objects that a notification reports as created.

    A test event, and events other than a creation, yield none.

    Raises
    ------
    UnknownEventError
        If the event is not a notification.
    """
    try:
        return _created_objects(event)
    except (AttributeError, InvalidParameterError, KeyError, TypeError) as error:
        raise UnknownEventError(f"the event is not a complete S3 notification: {error!r}") from error


def parse_json_object(text: str | bytes) -> dict[str, Any]:
    """Parse a message that holds a JSON object.

    Raises
    ------
    UnknownEventError
        If it is something else.
    """
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UnknownEventError(f"the message is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise UnknownEventError(f"the message must be a JSON object, got {type(value).__name__}")
    return value


def _unknown_event(event: Mapping[str, Any]) -> UnknownEventError:
    """Return the error for an event of an unsupported kind."""
    keys = ", ".join(sorted(map(str, event))[:MAX_SHOWN_KEYS]) or "none"
    return UnknownEventError(f"the event is of an unsupported kind (its keys: {keys})")


def _created_objects(event: Mapping[str, Any]) -> list[S3Location]:
    if event.get("Event") == "s3:TestEvent":
        return []
    if event.get("detail-type") == "Object Created":  # EventBridge, where keys are not URL-encoded
        bucket, s3_object = event["detail"]["bucket"], event["detail"]["object"]
        return [S3Location(bucket["name"], s3_object["key"], s3_object.get("version-id"))]
    if event.get("Type") == "Notification" and "Message" in event:  # SNS, as SQS delivers it
        return created_objects(parse_json_object(event["Message"]))
    records = event.get("Records")
    if not isinstance(records, list):
        raise _unknown_event(event)
    return [location for record in records for location in _in_record(record)]


def _in_record(record: Mapping[str, Any]) -> list[S3Location]:
    if record.get("EventSource") == "aws:sns":
        return created_objects(parse_json_object(record["Sns"]["Message"]))
    if record.get("eventSource") not in S3_SOURCES:
        raise _unknown_event(record)
    if "ObjectCreated:" not in record["eventName"]:  # MinIO sends s3:ObjectCreated:
        return []
    bucket, s3_object = record["s3"]["bucket"], record["s3"]["object"]
    return [S3Location(bucket["name"], unquote_plus(s3_object["key"]), s3_object.get("versionId"))]
