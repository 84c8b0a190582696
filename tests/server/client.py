"""Requests to the HTTP API."""

from __future__ import annotations

from typing import Any

import requests

PREDICT = "/model/predict"
ERROR_FIELDS = {"status", "code", "message", "hint"}


def post(url: str, data: Any, media_type: str | None = "audio/wav", **parameters: Any) -> requests.Response:
    """Send audio as the body of a prediction request."""
    headers = {"Content-Type": media_type} if media_type else {}
    return requests.post(url + PREDICT, data=data, headers=headers, params=parameters, timeout=30)


def check_error(response: requests.Response, status: int, message: str) -> str:
    """Check that a response has the one error body, and a message with ``message``; return the hint."""
    assert response.status_code == status, response.text
    body = response.json()
    assert body.keys() == ERROR_FIELDS
    assert body["status"] == "error"
    assert message in body["message"]
    return str(body["hint"])


def labels_of(response: dict[str, Any]) -> list[str]:
    """Return the labels of the predictions of a response or a stored result."""
    return [prediction["label"] for prediction in response["predictions"]]
