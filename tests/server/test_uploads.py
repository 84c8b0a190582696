"""Sounds that go through S3: upload and result, objects named by clients, CloudEvents."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote_plus

import pytest
import requests

from tests.support.serving import serving

BUCKETS = {"uploads_bucket": "uploads", "results_bucket": "results", "read_buckets": ("shared", "uploads")}


@pytest.fixture
def url(s3: Any) -> Iterator[str]:
    for name in ("uploads", "results", "shared", "private"):
        s3.create_bucket(Bucket=name)
        for item in s3.list_objects_v2(Bucket=name).get("Contents", []):
            s3.delete_object(Bucket=name, Key=item["Key"])
    with serving(**BUCKETS) as (address, service):
        service.load()
        yield address


@pytest.fixture
def rain(assets: Path) -> bytes:
    return (assets / "rain.wav").read_bytes()


def s3_data(bucket: str, key: str) -> dict[str, Any]:
    s3 = {"bucket": {"name": bucket}, "object": {"key": quote_plus(key)}}
    return {"Records": [{"eventSource": "aws:s3", "eventName": "ObjectCreated:Put", "s3": s3}]}


def send(url: str, data: Any, mode: str = "binary") -> requests.Response:
    attributes = {"specversion": "1.0", "id": "1", "source": "s3", "type": "com.amazonaws.s3.objectcreated"}
    if mode == "binary":
        headers = {f"ce-{name}": value for name, value in attributes.items()}
        if isinstance(data, str):
            headers["Content-Type"] = "text/plain"
            return requests.post(f"{url}/events", data=data.encode(), headers=headers, timeout=10)
        return requests.post(f"{url}/events", json=data, headers=headers, timeout=10)
    body = json.dumps({**attributes, "datacontenttype": "application/json", "data": data})
    headers = {"Content-Type": "application/cloudevents+json"}
    return requests.post(f"{url}/events", data=body, headers=headers, timeout=10)


def labels(answer: dict[str, Any]) -> list[str]:
    return [prediction["label"] for prediction in answer["predictions"]]


def test_upload_event_result(url: str, s3: Any, rain: bytes) -> None:
    created = requests.post(f"{url}/uploads", timeout=5)
    assert created.status_code == 201
    upload = created.json()
    result = f"{url}/{upload['result']}"
    assert requests.get(result, timeout=5).status_code == 404

    form = upload["upload"]
    assert requests.post(form["url"], data=form["fields"], files={"file": rain}, timeout=5).status_code == 204
    pending = requests.get(result, timeout=5)
    assert (pending.status_code, pending.json()) == (202, {"status": "pending"})
    assert pending.headers["Retry-After"]

    assert send(url, s3_data("uploads", form["fields"]["key"])).status_code == 204
    ready = requests.get(result, timeout=5)
    assert ready.status_code == 200
    assert "Rain" in labels(ready.json())
    assert ready.json()["source"]["size"] == len(rain)


@pytest.mark.parametrize("upload_id", ["nothing", "0" * 31, "g" * 32, "..%2F..%2Fsecret", "0" * 32])
def test_what_was_never_uploaded_has_no_result(url: str, upload_id: str) -> None:
    answer = requests.get(f"{url}/results/{upload_id}", timeout=5)
    assert answer.status_code == 404
    assert answer.json()["status"] == "error"


@pytest.mark.parametrize("mode", ["binary", "structured"])
@pytest.mark.parametrize("key", ["in/a b+c.wav", "ü.wav"])
@pytest.mark.parametrize("form", [dict, json.dumps], ids=["object", "text"])
def test_an_event_classifies_the_object(
    url: str, s3: Any, rain: bytes, mode: str, key: str, form: Callable[[Any], Any]
) -> None:
    s3.put_object(Bucket="shared", Key=key, Body=rain)
    answer = send(url, form(s3_data("shared", key)), mode)
    assert (answer.status_code, answer.content) == (204, b"")
    stored = s3.get_object(Bucket="results", Key=f"results/{key}.json")
    assert "Rain" in labels(json.loads(stored["Body"].read()))
    s3.put_object(Bucket="results", Key=f"results/{key}.json", Body=b"{}")
    assert send(url, form(s3_data("shared", key)["Records"][0]), mode).status_code == 204
    again = s3.get_object(Bucket="results", Key=f"results/{key}.json")
    assert "Rain" in labels(json.loads(again["Body"].read()))


@pytest.mark.parametrize("source", ["minio:s3", "ceph:s3"])
def test_an_event_of_others_is_understood(url: str, s3: Any, rain: bytes, source: str) -> None:
    s3.put_object(Bucket="shared", Key="m.wav", Body=rain)
    data = s3_data("shared", "m.wav")
    data["Records"][0] |= {"eventSource": source, "eventName": "s3:ObjectCreated:Put"}
    assert send(url, {**data, "EventName": "s3:ObjectCreated:Put", "Key": "shared/m.wav"}).status_code == 204
    assert s3.list_objects_v2(Bucket="results")["KeyCount"] == 1


def test_an_event_of_a_foreign_bucket_is_refused(url: str, s3: Any, rain: bytes) -> None:
    s3.put_object(Bucket="private", Key="a.wav", Body=rain)
    answer = send(url, s3_data("private", "a.wav"))
    assert answer.status_code == 422
    assert "'private' may not be read" in answer.json()["message"]
    assert s3.list_objects_v2(Bucket="results")["KeyCount"] == 0


@pytest.mark.parametrize("data", [{"hello": "world"}, [], "text", "[]", 7, None])
def test_an_event_of_something_else_is_refused(url: str, data: Any) -> None:
    answer = send(url, data)
    assert answer.status_code == 422
    message = answer.json()["message"]
    assert any(
        words in message
        for words in ("unsupported kind", "not a CloudEvent", "not JSON", "must be a JSON object")
    )


def test_what_is_no_event_is_refused(url: str) -> None:
    for body in (b"", b"{", b"[]"):
        assert requests.post(f"{url}/events", data=body, timeout=5).status_code == 422


def test_what_fails_for_now_is_to_be_delivered_again(url: str, s3: Any, rain: bytes) -> None:
    s3.put_object(Bucket="shared", Key="a.wav", Body=rain)
    s3.delete_bucket(Bucket="results")
    answer = send(url, s3_data("shared", "a.wav"))
    assert answer.status_code == 503
    assert answer.headers["Retry-After"]


def test_a_client_may_name_an_object_that_may_be_read(url: str, s3: Any, rain: bytes) -> None:
    s3.put_object(Bucket="shared", Key="in/a b.wav", Body=rain)
    answer = requests.post(
        f"{url}/model/predict", json={"audio": "s3://shared/in/a b.wav", "top_k": 2}, timeout=10
    )
    assert answer.status_code == 200
    assert len(labels(answer.json())) == 2


@pytest.mark.parametrize(
    ("body", "status", "message"),
    [
        ({"audio": "s3://private/a.wav"}, 422, "'private' may not be read"),
        ({"audio": "s3://shared/gone.wav"}, 422, "does not exist"),
        ({"audio": "http://169.254.169.254/latest"}, 422, "is not s3://bucket/key"),
        ({"audio": "/etc/passwd"}, 422, "is not s3://bucket/key"),
        ({}, 422, "is not s3://bucket/key"),
        ([], 400, "not an object"),
        ({"audio": "s3://shared/a", "top_k": 0}, 422, "top_k"),
    ],
)
def test_nothing_else_is_ever_fetched(url: str, body: Any, status: int, message: str) -> None:
    answer = requests.post(f"{url}/model/predict", json=body, timeout=5)
    assert answer.status_code == status
    assert message in answer.json()["message"]


def test_too_long_a_body_is_told_the_way_round(s3: Any, rain: bytes) -> None:
    with serving(**BUCKETS, max_upload_bytes=1000) as (address, _):
        answer = requests.post(f"{address}/model/predict", files={"audio": rain}, timeout=5)
    assert answer.status_code == 413
    assert "POST /uploads" in answer.json()["hint"]


def test_without_buckets_there_are_no_such_routes() -> None:
    with serving() as (address, _):
        for path in ("/uploads", "/events"):
            assert requests.post(address + path, timeout=5).status_code == 404
        refused = requests.post(f"{address}/model/predict", json={"audio": "s3://shared/a.wav"}, timeout=5)
        assert refused.status_code == 422


def test_events_are_taken_only_for_buckets_that_are_listed() -> None:
    """A public API hands out places to upload to; who may send events is another matter."""
    with serving(uploads_bucket="uploads") as (address, _):
        assert requests.post(f"{address}/events", timeout=5).status_code == 404
