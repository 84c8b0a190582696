from __future__ import annotations

import json
from typing import Any

import pytest

from audio_classifier.errors import UnknownEventError
from audio_classifier.s3.location import S3Location
from audio_classifier.s3.notifications import created_objects, parse_json_object


def s3_event(key: str = "in/a.wav", name: str = "ObjectCreated:Put", **fields: Any) -> dict[str, Any]:
    """Return a notification with one record, as S3 sends it: the key is URL-encoded."""
    s3 = {"bucket": {"name": "uploads"}, "object": {"key": key, "size": 1, "eTag": "e", **fields}}
    return {"Records": [{"eventSource": "aws:s3", "eventName": name, "s3": s3}]}


def sns_event(message: object) -> dict[str, Any]:
    return {"Records": [{"EventSource": "aws:sns", "Sns": {"Message": json.dumps(message)}}]}


DETAIL = {"bucket": {"name": "uploads"}, "object": {"key": "in/a+b c.wav", "version-id": "v1"}}
EVENT_BRIDGE_EVENT = {"detail-type": "Object Created", "source": "aws.s3", "detail": DETAIL}


@pytest.mark.parametrize(
    ("event", "locations"),
    [
        (s3_event(), [S3Location("uploads", "in/a.wav")]),
        (s3_event(versionId="v7"), [S3Location("uploads", "in/a.wav", "v7")]),
        (s3_event("in%2Fa+b%2Bc%25%C3%BC.wav"), [S3Location("uploads", "in/a b+c%ü.wav")]),
        (s3_event(name="ObjectCreated:CompleteMultipartUpload"), [S3Location("uploads", "in/a.wav")]),
        (s3_event(name="s3:ObjectCreated:Put"), [S3Location("uploads", "in/a.wav")]),
        (s3_event(name="ObjectRemoved:Delete"), []),
        ({"Records": s3_event("a")["Records"] * 2}, [S3Location("uploads", "a")] * 2),
        (sns_event(s3_event("c")), [S3Location("uploads", "c")]),
        ({"Type": "Notification", "Message": json.dumps(s3_event("d"))}, [S3Location("uploads", "d")]),
        (EVENT_BRIDGE_EVENT, [S3Location("uploads", "in/a+b c.wav", "v1")]),
        (sns_event(EVENT_BRIDGE_EVENT), [S3Location("uploads", "in/a+b c.wav", "v1")]),
        ({"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "uploads"}, []),
        ({"Records": []}, []),
        ({"detail-type": "Object Deleted", "source": "aws.s3", "detail": {}}, []),
        ({"detail-type": "Scheduled Event", "source": "aws.events"}, []),
        ({"detail-type": None}, []),
    ],
)  # fmt: skip
def test_created_objects_are_returned_from_every_envelope(
    event: dict[str, Any], locations: list[S3Location]
) -> None:
    assert created_objects(event) == locations


@pytest.mark.parametrize(
    "event",
    [
        {},
        {"hello": "world"},
        {"Records": "not a list"},
        {"Records": [1]},
        {"Records": [{}]},
        {"Records": [{"eventSource": "aws:s3"}]},
        {"Records": [{"eventSource": "aws:kinesis"}]},
        s3_event(key=""),
        s3_event(versionId=7),
        {"detail-type": "Object Created"},
        {"Type": "Notification", "Message": "not JSON"},
        sns_event([1]),
        [],
        "text",
    ],
)
def test_event_that_is_not_a_notification_is_refused(event: Any) -> None:
    with pytest.raises(UnknownEventError):
        created_objects(event)


def test_sequencer_is_returned_from_every_envelope() -> None:
    sequencer = "0055AED6DCD90281E5"
    bridge = {**EVENT_BRIDGE_EVENT, "detail": {**DETAIL, "object": {"key": "k", "sequencer": sequencer}}}
    for event in (s3_event(sequencer=sequencer), sns_event(s3_event(sequencer=sequencer)), bridge):
        assert [location.sequencer for location in created_objects(event)] == [sequencer]


@pytest.mark.parametrize("sequencer", [7, "", "xyz", "0" * 65, "0A\n", None])
def test_sequencer_that_is_not_a_number_is_ignored(sequencer: Any) -> None:
    assert created_objects(s3_event(sequencer=sequencer))[0].sequencer is None


@pytest.mark.parametrize("unknown", [{"eventSource": "aws:kinesis"}, {"eventSource": "aws:s3"}, 7, {}])
def test_unknown_record_does_not_keep_others_from_being_returned(
    unknown: Any, caplog: pytest.LogCaptureFixture
) -> None:
    event = {"Records": [unknown, *s3_event("a")["Records"], unknown]}
    assert created_objects(event) == [S3Location("uploads", "a")]
    assert "2 of 3 records were not processed" in caplog.text
    with pytest.raises(UnknownEventError):
        created_objects({"Records": [unknown] * 2})


def test_ignored_event_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    assert created_objects({"detail-type": "Object Deleted", "detail": {}}) == []
    assert "'Object Deleted'" in caplog.text


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "1"])
def test_message_that_is_not_a_json_object_is_refused(text: str) -> None:
    with pytest.raises(UnknownEventError):
        parse_json_object(text)
