from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
import requests
from cloudevents.core.bindings.http import HTTPMessage, from_http_event

from tests.server.client import labels_of
from tests.server.deployment import (
    BUCKETS,
    post_event,
    s3_notification,
    send_event,
    structured_event,
)
from tests.support.serving import serving
from tests.support.sounds import busy, encode


@pytest.mark.parametrize("mode", ["binary", "structured"])
@pytest.mark.parametrize("key", ["in/a b+c.wav", "ü.wav"])
@pytest.mark.parametrize("form", [dict, json.dumps], ids=["object", "text"])
def test_event_with_a_notification_or_one_record_classifies_the_object(
    url_with_buckets: str, s3: Any, rain: bytes, mode: str, key: str, form: Callable[[Any], Any]
) -> None:
    s3.put_object(Bucket="shared", Key=key, Body=rain)
    notification = s3_notification("shared", key)
    assert send_event(url_with_buckets, form(notification), mode).status_code == 200
    stored = s3.get_object(Bucket="results", Key=f"results/{key}.json")
    assert "Rain" in labels_of(json.loads(stored["Body"].read()))
    s3.put_object(Bucket="results", Key=f"results/{key}.json", Body=b"{}")
    assert send_event(url_with_buckets, form(notification["Records"][0]), mode).status_code == 200
    replaced = s3.get_object(Bucket="results", Key=f"results/{key}.json")
    assert "Rain" in labels_of(json.loads(replaced["Body"].read()))


@pytest.mark.parametrize("source", ["minio:s3", "ceph:s3"])
def test_event_of_another_s3_implementation_classifies_the_object(
    url_with_buckets: str, s3: Any, rain: bytes, source: str
) -> None:
    s3.put_object(Bucket="shared", Key="m.wav", Body=rain)
    notification = s3_notification("shared", "m.wav")
    notification["Records"][0] |= {"eventSource": source, "eventName": "s3:ObjectCreated:Put"}
    data = {**notification, "EventName": "s3:ObjectCreated:Put", "Key": "shared/m.wav"}
    assert send_event(url_with_buckets, data).status_code == 200
    assert s3.list_objects_v2(Bucket="results")["KeyCount"] == 1


@pytest.mark.parametrize("key", ["in/a b+c.wav", "ü/雨 %.wav"])
def test_reply_is_the_event_of_the_result(url_with_buckets: str, s3: Any, rain: bytes, key: str) -> None:
    etag = s3.put_object(Bucket="shared", Key=key, Body=rain)["ETag"]
    replies = [send_event(url_with_buckets, s3_notification("shared", key)) for _ in range(2)]
    first, second = (from_http_event(HTTPMessage(dict(reply.headers), reply.content)) for reply in replies)
    assert replies[0].headers["Content-Type"] == "application/cloudevents+json"
    assert first.get_type() == "audio-classifier.AudioClassified"
    assert first.get_source() == "audio-classifier"
    assert first.get_subject() == f"s3://shared/{key}"
    assert first.get_datacontenttype() == "application/json"
    data: Any = first.get_data()
    assert data["source"]["etag"] == etag
    assert data["result"] == {"bucket": "results", "key": f"results/{key}.json"}
    assert data["peaks"]["Rain"] > 0.5
    assert first.get_id() == second.get_id() == data["id"]
    assert second.get_data() == {**data, "repeated": True}


def test_permanent_failure_is_replied(url_with_buckets: str, s3: Any) -> None:
    s3.put_object(Bucket="shared", Key="a.wav", Body=b"not audio")
    data = send_event(url_with_buckets, s3_notification("shared", "a.wav")).json()["data"]
    assert (data["status"], data["code"]) == ("error", "unsupported_format")


def test_event_with_several_objects_is_processed_without_a_reply(
    url_with_buckets: str, s3: Any, rain: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    records = []
    for key in ("a.wav", "b.wav"):
        s3.put_object(Bucket="shared", Key=key, Body=rain)
        records += s3_notification("shared", key)["Records"]
    response = send_event(url_with_buckets, {"Records": records})
    assert (response.status_code, response.content) == (204, b"")
    assert stored_keys(s3) == ["results/a.wav.json", "results/b.wav.json"]
    assert "the event reports 2 objects, and is not replied to" in caplog.text


@pytest.mark.parametrize("mode", ["binary", "structured"])
def test_reply_that_is_delivered_as_an_event_is_ignored(
    url_with_buckets: str, s3: Any, rain: bytes, mode: str
) -> None:
    s3.put_object(Bucket="shared", Key="a.wav", Body=rain)
    reply = send_event(url_with_buckets, s3_notification("shared", "a.wav")).json()
    s3.delete_object(Bucket="results", Key="results/a.wav.json")
    if mode == "structured":
        response = post_event(url_with_buckets, reply)
    else:
        data = reply.pop("data")
        headers = {f"ce-{name}": value for name, value in reply.items() if name != "datacontenttype"}
        response = requests.post(f"{url_with_buckets}/events", json=data, headers=headers, timeout=10)
    assert (response.status_code, response.content) == (204, b"")
    assert stored_keys(s3) == []


def test_event_about_a_folder_has_no_reply(url_with_buckets: str, s3: Any) -> None:
    s3.put_object(Bucket="shared", Key="in/", Body=b"")
    response = send_event(url_with_buckets, s3_notification("shared", "in/"))
    assert (response.status_code, response.content) == (204, b"")


def stored_keys(s3: Any) -> list[str]:
    return [item["Key"] for item in s3.list_objects_v2(Bucket="results").get("Contents", [])]


def test_webhook_of_minio_classifies_the_object(url_with_buckets: str, s3: Any, rain: bytes) -> None:
    s3.put_object(Bucket="shared", Key="in/a b.wav", Body=rain)
    notification = s3_notification("shared", "in/a b.wav")
    notification["Records"][0] |= {"eventSource": "minio:s3", "eventName": "s3:ObjectCreated:Put"}
    body = {"EventName": "s3:ObjectCreated:Put", "Key": "shared/in/a b.wav", **notification}
    response = post_event(url_with_buckets, body, "application/json")
    assert (response.status_code, response.content) == (204, b"")
    assert stored_keys(s3) == ["results/in/a b.wav.json"]


BATCH = "application/cloudevents-batch+json"


def test_batch_of_events_classifies_all_objects(url_with_buckets: str, s3: Any, rain: bytes) -> None:
    notifications = []
    for key in ("a.wav", "b.wav"):
        s3.put_object(Bucket="shared", Key=key, Body=rain)
        notifications.append(s3_notification("shared", key))
    events = [*map(structured_event, notifications), structured_event({"unknown": 1}), 7]
    assert post_event(url_with_buckets, events, BATCH).status_code == 204
    assert stored_keys(s3) == ["results/a.wav.json", "results/b.wav.json"]
    assert post_event(url_with_buckets, [], f"{BATCH}; charset=utf-8").status_code == 204


@pytest.mark.parametrize("content", [[7], [{"specversion": "1.0"}], [structured_event({})], {}, "x", None])
def test_batch_without_a_known_event_is_refused(url_with_buckets: str, content: Any) -> None:
    response = post_event(url_with_buckets, content, BATCH)
    assert (response.status_code, response.json()["code"]) == (422, "unknown_event")


def test_unknown_record_and_other_bucket_do_not_keep_good_ones_from_being_processed(
    url_with_buckets: str, s3: Any, rain: bytes
) -> None:
    for bucket in ("shared", "private"):
        s3.put_object(Bucket=bucket, Key="a.wav", Body=rain)
    records = [{"eventSource": "aws:kinesis"}]
    for bucket in ("private", "shared"):
        records += s3_notification(bucket, "a.wav")["Records"]
    assert send_event(url_with_buckets, {"Records": records}).status_code == 200
    assert stored_keys(s3) == ["results/a.wav.json"]


def test_event_that_takes_too_long_must_be_delivered_again(s3: Any) -> None:
    content = encode(busy(600, 16_000), 16_000, "FLAC")
    for bucket in ("shared", "results"):
        s3.create_bucket(Bucket=bucket)
    s3.put_object(Bucket="shared", Key="long.flac", Body=content)
    with serving(**BUCKETS, timeline_over_s=1, timeline_deadline_s=1) as (url, shared):
        shared.load()
        response = send_event(url, s3_notification("shared", "long.flac"))
    assert response.status_code == 504
    assert response.json()["code"] == "deadline_exceeded"
    assert "results/long.flac.json" not in stored_keys(s3)


def test_event_of_a_bucket_that_is_not_allowed_is_refused(
    url_with_buckets: str, s3: Any, rain: bytes
) -> None:
    s3.put_object(Bucket="private", Key="a.wav", Body=rain)
    response = send_event(url_with_buckets, s3_notification("private", "a.wav"))
    assert response.status_code == 422
    assert "'private' may not be read" in response.json()["message"]
    assert s3.list_objects_v2(Bucket="results")["KeyCount"] == 0


@pytest.mark.parametrize("data", [{"hello": "world"}, [], "text", "[]", 7, None])
def test_event_with_other_data_is_refused(url_with_buckets: str, data: Any) -> None:
    response = send_event(url_with_buckets, data)
    assert response.status_code == 422
    message = response.json()["message"]
    assert any(
        words in message
        for words in ("unsupported kind", "not a CloudEvent", "not JSON", "must be a JSON object")
    )


@pytest.mark.parametrize("body", [b"", b"{", b"[]"])
def test_body_that_is_not_an_event_is_refused(url_with_buckets: str, body: bytes) -> None:
    assert requests.post(f"{url_with_buckets}/events", data=body, timeout=5).status_code == 422


def test_event_that_fails_temporarily_is_answered_with_503(
    url_with_buckets: str, s3: Any, rain: bytes
) -> None:
    s3.put_object(Bucket="shared", Key="a.wav", Body=rain)
    s3.delete_bucket(Bucket="results")
    response = send_event(url_with_buckets, s3_notification("shared", "a.wav"))
    assert response.status_code == 503
    assert response.headers["Retry-After"]
