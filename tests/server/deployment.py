"""A deployment with buckets, and the events that it receives."""

from __future__ import annotations

import json
from typing import Any, Final
from urllib.parse import quote_plus

import requests

BUCKETS: Final[dict[str, Any]] = {
    "uploads_bucket": "uploads",
    "results_bucket": "results",
    "read_buckets": ("shared", "uploads"),
}
ATTRIBUTES: Final = {
    "specversion": "1.0",
    "id": "1",
    "source": "s3",
    "type": "com.amazonaws.s3.objectcreated",
}


def s3_notification(bucket: str, key: str) -> dict[str, Any]:
    """Return a notification of a created object, as S3 sends it: the key is URL-encoded."""
    s3 = {"bucket": {"name": bucket}, "object": {"key": quote_plus(key)}}
    return {"Records": [{"eventSource": "aws:s3", "eventName": "ObjectCreated:Put", "s3": s3}]}


def send_event(url: str, data: Any, mode: str = "binary") -> requests.Response:
    """Send a CloudEvent: its attributes are headers in binary mode, and in the body in structured mode."""
    if mode == "binary":
        headers = {f"ce-{name}": value for name, value in ATTRIBUTES.items()}
        if isinstance(data, str):
            headers["Content-Type"] = "text/plain"
            return requests.post(f"{url}/events", data=data.encode(), headers=headers, timeout=10)
        return requests.post(f"{url}/events", json=data, headers=headers, timeout=10)
    return post_event(url, structured_event(data))


def structured_event(data: Any) -> dict[str, Any]:
    """Return a CloudEvent in structured mode."""
    return {**ATTRIBUTES, "datacontenttype": "application/json", "data": data}


def post_event(url: str, content: Any, media_type: str = "application/cloudevents+json") -> requests.Response:
    """Send JSON to the route of events."""
    headers = {"Content-Type": media_type}
    return requests.post(f"{url}/events", data=json.dumps(content), headers=headers, timeout=10)
