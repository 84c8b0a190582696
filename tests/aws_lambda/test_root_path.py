"""HTTP below a stage or a base path of API Gateway."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from audio_classifier.aws_lambda.http import HttpAdapter
from audio_classifier.aws_lambda.root_path import split_path
from audio_classifier.server.app import create_app
from audio_classifier.service.settings import Settings
from audio_classifier.service.shared_classifier import SharedClassifier

Event: TypeAlias = dict[str, Any]
MATCH_ALL = "/{proxy+}"


def rest_event(whole: str, path: str, resource: str = MATCH_ALL, **parameters: str) -> Event:
    """Return an event of a REST API, which has the whole path and the path below the stage."""
    if resource == MATCH_ALL and not parameters:
        parameters = {"proxy": path.removeprefix("/")}
    return {
        "resource": resource,
        "path": path,
        "httpMethod": "GET",
        "headers": {"Host": "id.execute-api.us-east-1.amazonaws.com"},
        "pathParameters": parameters or None,
        "requestContext": {"path": whole, "stage": "prod", "identity": {"sourceIp": "::1"}},
        "body": None,
    }


def http_event(whole: str, route: str = "$default", stage: str = "$default", **parameters: str) -> Event:
    """Return an event of an HTTP API, with payload format 2.0."""
    return {
        "version": "2.0",
        "routeKey": route,
        "rawPath": whole,
        "rawQueryString": "",
        "headers": {"host": "id.execute-api.us-east-1.amazonaws.com"},
        "pathParameters": parameters,
        "requestContext": {"http": {"method": "GET", "path": whole, "sourceIp": "::1"}, "stage": stage},
    }


@pytest.mark.parametrize(
    ("event", "root_path", "route"),
    [
        # A REST API at its own address, and at a custom domain with and without a base path.
        (rest_event("/prod/model/predict", "/model/predict"), "/prod", "/model/predict"),
        (rest_event("/prod/", "/", resource="/"), "/prod", "/"),
        (rest_event("/prod", "/", resource="/"), "/prod", "/"),
        (rest_event("/prod/model/predict", "/model/predict", "/model/predict"), "/prod", "/model/predict"),
        (rest_event("/prod/results/7", "/results/7", "/results/{id}", id="7"), "/prod", "/results/7"),
        (rest_event("/prod/a%20b", "/a b", proxy="a b"), "/prod", "/a b"),
        (rest_event("/model/predict", "/model/predict"), "", "/model/predict"),
        (
            rest_event("/v1/x/model/labels", "/v1/x/model/labels", proxy="model/labels"),
            "/v1/x",
            "/model/labels",
        ),
        (rest_event("/v1", "/v1", resource="/"), "/v1", "/"),
        # A path that begins with the name of the stage.
        (rest_event("/prod/prod/x", "/prod/x"), "/prod", "/prod/x"),
        # An HTTP API.
        (http_event("/model/predict"), "", "/model/predict"),
        (http_event("/"), "", "/"),
        (http_event("/prod/model/predict", stage="prod"), "/prod", "/model/predict"),
        (http_event("/prod/", stage="prod"), "/prod", "/"),
        (http_event("/prod", stage="prod"), "/prod", "/"),
        (http_event("/production/x", stage="prod"), "", "/production/x"),
        (http_event("/v1/model/labels", "ANY /{proxy+}", proxy="model/labels"), "/v1", "/model/labels"),
        (http_event("/v1/", "ANY /", stage="prod"), "/v1", "/"),
        (http_event("/$default/x"), "", "/$default/x"),
        # A load balancer has neither stages nor routes.
        ({"path": "/None/x", "requestContext": {"elb": {}}}, "", "/None/x"),
        # Inconsistent paths, which some emulators send, are not changed.
        (rest_event("/{proxy+}", "/model/predict"), "", "/model/predict"),
        (rest_event("", "/model/predict"), "", "/model/predict"),
    ],
)
def test_path_is_split_into_root_path_and_route(event: Event, root_path: str, route: str) -> None:
    assert split_path(event) == (root_path, route)


@pytest.fixture(scope="module")
def handler() -> Any:
    """A handler of HTTP events."""
    return HttpAdapter(create_app(SharedClassifier(Settings.from_environment({}))))


def below_stage(path: str) -> Event:
    return rest_event(f"/prod{path}", path, **({"resource": "/"} if path == "/" else {}))


def below_base_path(path: str) -> Event:
    return rest_event(f"/v1/audio{path}", f"/v1/audio{path}", proxy=path.removeprefix("/"))


def below_http_stage(path: str) -> Event:
    return http_event(f"/prod{path}", stage="prod")


@pytest.mark.parametrize(
    ("event_for", "root_path"),
    [(below_stage, "/prod"), (below_base_path, "/v1/audio"), (below_http_stage, "/prod")],
)
def test_pages_and_their_links_are_below_the_root_path(
    handler: Any, event_for: Callable[[str], Event], root_path: str, assets: Path
) -> None:
    page = handler(event_for("/"), None)
    assert page["statusCode"] == 200
    addresses = re.findall(r"(?:href|src|url)[=:] ?[\"']([^\"']+)", page["body"])
    assert len(addresses) == 7
    for address in addresses:
        assert address.startswith(f"{root_path}/")
        assert handler(event_for(address.removeprefix(root_path)), None)["statusCode"] == 200

    demo = handler(event_for("/demo"), None)["body"]
    for address in re.findall(r"(?:href|src)=\"([^\"]+)", demo):  # relative to /prod/demo
        assert handler(event_for(f"/{address.removeprefix('./')}"), None)["statusCode"] == 200

    document = json.loads(handler(event_for("/openapi.json"), None)["body"])
    assert document["servers"] == [{"url": root_path}]
    assert json.loads(handler(event_for("/swagger.json"), None)["body"])["basePath"] == root_path

    event = event_for("/model/predict")
    event["httpMethod"] = "POST"
    event["requestContext"].get("http", {})["method"] = "POST"
    event["headers"]["content-type"] = "audio/wav"
    event["body"] = base64.b64encode((assets / "rain.wav").read_bytes()).decode()
    event["isBase64Encoded"] = True
    response = json.loads(handler(event, None)["body"])
    assert "Rain" in [prediction["label"] for prediction in response["predictions"]]


def test_documents_have_no_root_path_at_the_root_of_a_domain(handler: Any) -> None:
    assert 'data-url="openapi.json"' in handler(http_event("/"), None)["body"]
    assert "servers" not in json.loads(handler(http_event("/openapi.json"), None)["body"])
    assert json.loads(handler(http_event("/swagger.json"), None)["body"])["basePath"] == "/"
