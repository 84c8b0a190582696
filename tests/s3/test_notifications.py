from __future__ import annotations

import json
from typing import Any

import pytest

from audio_classifier.errors import UnknownEventError
from audio_classifier.s3.notifications import batch_objects, created_objects, json_object
from audio_classifier.s3.objects import ObjectRef


def s3_event(key: str = "in/a.wav", name: str = "ObjectCreated:Put", **more: Any) -> dict[str, Any]:
    """One record, as S3 sends it: the key is URL-encoded."""
    s3 = {"bucket": {"name": "uploads"}, "object": {"key": key, "size": 1, "eTag": "e", **more}}
    return {"Records": [{"eventSource": "aws:s3", "eventName": name, "s3": s3}]}


def sns(message: object) -> dict[str, Any]:
    return {"Records": [{"EventSource": "aws:sns", "Sns": {"Message": json.dumps(message)}}]}


EVENT_BRIDGE = {
    "detail-type": "Object Created",
    "source": "aws.s3",
    "detail": {"bucket": {"name": "uploads"}, "object": {"key": "in/a+b c.wav", "version-id": "v1"}},
}


@pytest.mark.parametrize(
    ("event", "refs"),
    [
        (s3_event(), [ObjectRef("uploads", "in/a.wav")]),
        (s3_event(versionId="v7"), [ObjectRef("uploads", "in/a.wav", "v7")]),
        (s3_event("in%2Fa+b%2Bc%25%C3%BC.wav"), [ObjectRef("uploads", "in/a b+c%ü.wav")]),
        (s3_event(name="ObjectCreated:CompleteMultipartUpload"), [ObjectRef("uploads", "in/a.wav")]),
        (s3_event(name="s3:ObjectCreated:Put"), [ObjectRef("uploads", "in/a.wav")]),
        (s3_event(name="ObjectRemoved:Delete"), []),
        ({"Records": s3_event("a")["Records"] * 2}, [ObjectRef("uploads", "a")] * 2),
        (sns(s3_event("c")), [ObjectRef("uploads", "c")]),
        ({"Type": "Notification", "Message": json.dumps(s3_event("d"))}, [ObjectRef("uploads", "d")]),
        (EVENT_BRIDGE, [ObjectRef("uploads", "in/a+b c.wav", "v1")]),
        (sns(EVENT_BRIDGE), [ObjectRef("uploads", "in/a+b c.wav", "v1")]),
        ({"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "uploads"}, []),
        ({"Records": []}, []),
    ],
)  # fmt: skip
def test_objects_are_found_however_they_are_wrapped(event: dict[str, Any], refs: list[ObjectRef]) -> None:
    assert created_objects(event) == refs


@pytest.mark.parametrize(
    "event",
    [
        {},
        {"hello": "world"},
        {"Records": "no list"},
        {"Records": [1]},
        {"Records": [{}]},
        {"Records": [{"eventSource": "aws:s3"}]},
        {"Records": [{"eventSource": "aws:kinesis"}]},
        s3_event(key=""),
        s3_event(versionId=7),
        {"detail-type": "Object Created"},
        {"Type": "Notification", "Message": "no JSON"},
        sns([1]),
        [],
        "text",
    ],
)
def test_what_is_not_understood_says_what_is(event: Any) -> None:
    with pytest.raises(UnknownEventError) as caught:
        created_objects(event)
    assert "S3 Batch Operations" in str(caught.value)


def batch(*items: Any, **batch_input: Any) -> dict[str, Any]:
    """As a Distributed Map sends it; without a batch's input, it sends none."""
    return {"Items": list(items), **({"BatchInput": batch_input} if batch_input else {})}


ITEM = {"bucket": "uploads", "key": "in/a+b%20c.wav"}


@pytest.mark.parametrize(
    ("event", "refs"),
    [
        (batch(), []),
        (batch(ITEM), [ObjectRef("uploads", "in/a+b%20c.wav")]),
        (batch(ITEM, {**ITEM, "key": "d"}), [ObjectRef("uploads", ITEM["key"]), ObjectRef("uploads", "d")]),
        (batch(ITEM, encoding="url"), [ObjectRef("uploads", "in/a b c.wav")]),
        (batch({**ITEM, "key": "%C3%BC%2B%25.wav"}, encoding="url"), [ObjectRef("uploads", "ü+%.wav")]),
        (batch({**ITEM, "size": 1}, other="thing"), [ObjectRef("uploads", "in/a+b%20c.wav")]),
    ],
)
def test_a_batch_names_objects(event: dict[str, Any], refs: list[ObjectRef]) -> None:
    assert batch_objects(event) == refs


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
def test_an_odd_batch_says_what_is_understood(event: dict[str, Any]) -> None:
    with pytest.raises(UnknownEventError, match="Distributed Map"):
        batch_objects(event)


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "1"])
def test_messages_must_be_objects(text: str) -> None:
    with pytest.raises(UnknownEventError):
        json_object(text)
