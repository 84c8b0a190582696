from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
import requests

from tests.server.client import labels_of
from tests.server.deployment import s3_notification, send_event


@pytest.mark.parametrize("mode", ["binary", "structured"])
@pytest.mark.parametrize("key", ["in/a b+c.wav", "ü.wav"])
@pytest.mark.parametrize("form", [dict, json.dumps], ids=["object", "text"])
def test_event_with_a_notification_or_one_record_classifies_the_object(
    url_with_buckets: str, s3: Any, rain: bytes, mode: str, key: str, form: Callable[[Any], Any]
) -> None:
    s3.put_object(Bucket="shared", Key=key, Body=rain)
    notification = s3_notification("shared", key)
    response = send_event(url_with_buckets, form(notification), mode)
    assert (response.status_code, response.content) == (204, b"")
    stored = s3.get_object(Bucket="results", Key=f"results/{key}.json")
    assert "Rain" in labels_of(json.loads(stored["Body"].read()))
    s3.put_object(Bucket="results", Key=f"results/{key}.json", Body=b"{}")
    assert send_event(url_with_buckets, form(notification["Records"][0]), mode).status_code == 204
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
    assert send_event(url_with_buckets, data).status_code == 204
    assert s3.list_objects_v2(Bucket="results")["KeyCount"] == 1


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
