"""HTTP events of gateways and load balancers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

EVENTS = Path(__file__).parents[1] / "events"
FUNCTION_URL = "abc.lambda-url.us-east-1.on.aws"


def http_event(kind: str, method: str, path: str, **fields: Any) -> dict[str, Any]:
    """Return a sample event with another method, path and body."""
    shape = "http_api" if kind == "function_url" else kind
    event = json.loads((EVENTS / f"{shape}.json").read_text())
    context = event["requestContext"]
    if kind == "function_url":
        context["domainName"] = FUNCTION_URL
    if shape == "http_api":
        context["http"] |= {"method": method, "path": path}
        event |= {"rawPath": path, "rawQueryString": "", "routeKey": "$default", "pathParameters": None}
        context["stage"] = "$default"
    else:
        event |= {"httpMethod": method, "path": path}
        if kind == "rest_api":
            event |= {"resource": "/{proxy+}", "pathParameters": {"proxy": path.removeprefix("/")}}
            context |= {"path": f"/prod{path}", "stage": "prod"}
        for name in ("queryStringParameters", "multiValueQueryStringParameters"):
            event.pop(name, None)
    headers = {"host": "example.org", "content-type": "audio/wav"}
    lists = {"multiValueHeaders": {name: [value] for name, value in headers.items()}}
    return {**event, "headers": headers, **(lists if shape != "http_api" else {}), **fields}
