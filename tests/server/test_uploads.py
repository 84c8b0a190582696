from __future__ import annotations

import json
from typing import Any

import pytest
import requests

from tests.server.client import labels_of
from tests.server.deployment import s3_notification, send_event


def test_result_is_pending_until_the_event_of_the_upload(url_with_buckets: str, rain: bytes) -> None:
    created = requests.post(f"{url_with_buckets}/uploads", timeout=5)
    assert created.status_code == 201
    upload = created.json()
    result_url = f"{url_with_buckets}/{upload['result']}"
    assert requests.get(result_url, timeout=5).status_code == 404

    form = upload["upload"]
    assert requests.post(form["url"], data=form["fields"], files={"file": rain}, timeout=5).status_code == 204
    pending = requests.get(result_url, timeout=5)
    assert (pending.status_code, pending.json()) == (202, {"status": "pending"})
    assert pending.headers["Retry-After"]

    notification = s3_notification("uploads", form["fields"]["key"])
    assert send_event(url_with_buckets, notification).status_code == 200
    ready = requests.get(result_url, timeout=5)
    assert ready.status_code == 200
    assert "Rain" in labels_of(ready.json())
    assert ready.json()["source"]["size"] == len(rain)


def test_parts_of_a_long_timeline_have_urls(s3: Any, url_with_buckets: str) -> None:
    upload_id = "a" * 32
    own, foreign = f"results/uploads/{upload_id}.timeline/x/00000.ndjson", "results/secret.json"
    parts = [{"key": own}, {"key": foreign}, {"key": 1}, None]
    document = {"status": "ok", "source": {}, "model": {}, "timeline": {"status": "ok", "parts": parts}}
    s3.put_object(Bucket="results", Key=f"results/uploads/{upload_id}.json", Body=json.dumps(document))
    s3.put_object(Bucket="results", Key=own, Body=b'{"window": {}}\n')
    answer = requests.get(f"{url_with_buckets}/results/{upload_id}", timeout=5).json()
    signed, *others = answer["timeline"]["parts"]
    assert requests.get(signed["url"], timeout=5).content == b'{"window": {}}\n'
    assert others == parts[1:]


@pytest.mark.parametrize("upload_id", ["nothing", "0" * 31, "g" * 32, "..%2F..%2Fsecret", "0" * 32])
def test_unknown_upload_has_no_result(url_with_buckets: str, upload_id: str) -> None:
    response = requests.get(f"{url_with_buckets}/results/{upload_id}", timeout=5)
    assert response.status_code == 404
    assert response.json()["status"] == "error"


RESULT = {"status": "ok", "source": {}, "model": {}}


@pytest.mark.parametrize(
    ("document", "status"),
    [
        (json.dumps({**RESULT, "label": "\ud800"}), 200),
        (json.dumps({**RESULT, "error": "x"}), 200),
        (json.dumps({**RESULT, "probability": float("nan")}), 404),
        (json.dumps(RESULT).replace("ok", '", "nested": ' + "[" * 900 + "]" * 900 + ', "": "'), 404),
        (json.dumps({**RESULT, "source": ["x"]}), 404),
        (json.dumps({**RESULT, "model": "x"}), 404),
        (json.dumps({**RESULT, "status": "error", "message": {}}), 404),
        ("[]", 404),
        ("{ half", 404),
    ],
)
def test_foreign_document_is_returned_or_does_not_count_as_a_result(
    s3: Any, url_with_buckets: str, document: str, status: int
) -> None:
    s3.put_object(Bucket="results", Key=f"results/uploads/{'0' * 32}.json", Body=document.encode())
    response = requests.get(f"{url_with_buckets}/results/{'0' * 32}", timeout=5)
    assert response.status_code == status
    if status == 200:
        assert response.json() == json.loads(document)
