"""Parse notifications of S3, directly or wrapped in SNS or EventBridge."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final
from urllib.parse import unquote_plus

from audio_classifier.errors import InvalidParameterError, UnknownEventError
from audio_classifier.s3.location import S3Location

S3_SOURCES: Final = ("aws:s3", "ceph:s3", "minio:s3")
MAX_SHOWN_KEYS: Final = 8
SEQUENCER: Final = re.compile("[0-9A-Fa-f]{1,64}")

_log = logging.getLogger(__name__)


def created_objects(event: Mapping[str, Any]) -> list[S3Location]:
    """Return the objects that a notification reports as created.

    A test event, and events other than a creation, yield none.  Unknown records next to known ones are only
    logged.

    Raises
    ------
    UnknownEventError
        If the event is not a notification, or has unknown records only.
    """
    try:
        return _created_objects(event)
    except (AttributeError, InvalidParameterError, KeyError, TypeError) as error:
        raise UnknownEventError(f"the event is not a complete S3 notification: {error!r}") from error


def objects_of(items: Sequence[Any], parse: Callable[[Any], list[S3Location]]) -> list[S3Location]:
    """Return the objects of all items that are known; log that there are others.

    Parameters
    ----------
    parse
        Returns the objects of an item; raises `UnknownEventError` if its kind is unknown.

    Raises
    ------
    UnknownEventError
        If no item is known.
    """
    objects: list[S3Location] = []
    errors: list[UnknownEventError] = []
    for item in items:
        try:
            objects += parse(item)
        except UnknownEventError as error:
            errors.append(error)
    if errors and len(errors) == len(items):
        raise errors[0]
    if errors:
        _log.warning("%d of %d records were not processed: %s", len(errors), len(items), errors[0])
    return objects


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
    if "detail-type" in event:
        return _in_event_bridge_event(event)
    if event.get("Type") == "Notification" and "Message" in event:  # SNS, as SQS delivers it
        return created_objects(parse_json_object(event["Message"]))
    records = event.get("Records")
    if not isinstance(records, list):
        raise _unknown_event(event)
    return objects_of(records, _in_record)


def _in_event_bridge_event(event: Mapping[str, Any]) -> list[S3Location]:
    kind = event["detail-type"]
    if kind != "Object Created":
        _log.info("ignored an event of the type %.80r, which reports no created objects", kind)
        return []
    bucket, s3_object = event["detail"]["bucket"], event["detail"]["object"]
    key = s3_object["key"]  # not URL-encoded
    return [S3Location(bucket["name"], key, s3_object.get("version-id"), _sequencer(s3_object))]


def _in_record(record: Any) -> list[S3Location]:
    try:
        return _in_known_record(record)
    except (AttributeError, InvalidParameterError, KeyError, TypeError) as error:
        raise UnknownEventError(f"the record is not complete: {error!r}") from error


def _in_known_record(record: Mapping[str, Any]) -> list[S3Location]:
    if record.get("EventSource") == "aws:sns":
        return created_objects(parse_json_object(record["Sns"]["Message"]))
    if record.get("eventSource") not in S3_SOURCES:
        raise _unknown_event(record)
    if "ObjectCreated:" not in record["eventName"]:  # MinIO sends s3:ObjectCreated:
        return []
    bucket, s3_object = record["s3"]["bucket"], record["s3"]["object"]
    key = unquote_plus(s3_object["key"])
    return [S3Location(bucket["name"], key, s3_object.get("versionId"), _sequencer(s3_object))]


def _sequencer(s3_object: Mapping[str, Any]) -> str | None:
    text = s3_object.get("sequencer")
    return text if isinstance(text, str) and SEQUENCER.fullmatch(text) else None
