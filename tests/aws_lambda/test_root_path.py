"""The HTTP door below a stage or a base path of API Gateway."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from mangum import Mangum

from audio_classifier.aws_lambda.root_path import RootPathMiddleware, split_path
from audio_classifier.server.app import create_app
from audio_classifier.service.settings import Settings
from audio_classifier.service.shared_classifier import SharedClassifier

Event: TypeAlias = dict[str, Any]
ALL = "/{proxy+}"


def rest(whole: str, path: str, resource: str = ALL, **parameters: str) -> Event:
    """Of a REST API, whose events have both paths."""
    if resource == ALL and not parameters:
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


def http(whole: str, route: str = "$default", stage: str = "$default", **parameters: str) -> Event:
    """Of an HTTP API, with payload format 2.0."""
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
        (rest("/prod/model/predict", "/model/predict"), "/prod", "/model/predict"),
        (rest("/prod/", "/", resource="/"), "/prod", "/"),
        (rest("/prod", "/", resource="/"), "/prod", "/"),
        (rest("/prod/model/predict", "/model/predict", "/model/predict"), "/prod", "/model/predict"),
        (rest("/prod/results/7", "/results/7", "/results/{id}", id="7"), "/prod", "/results/7"),
        (rest("/prod/a%20b", "/a b", proxy="a b"), "/prod", "/a b"),
        (rest("/model/predict", "/model/predict"), "", "/model/predict"),
        (rest("/v1/x/model/labels", "/v1/x/model/labels", proxy="model/labels"), "/v1/x", "/model/labels"),
        (rest("/v1", "/v1", resource="/"), "/v1", "/"),
        # The same, where the first part of a path is called as the stage.
        (rest("/prod/prod/x", "/prod/x"), "/prod", "/prod/x"),
        # An HTTP API.
        (http("/model/predict"), "", "/model/predict"),
        (http("/"), "", "/"),
        (http("/prod/model/predict", stage="prod"), "/prod", "/model/predict"),
        (http("/prod/", stage="prod"), "/prod", "/"),
        (http("/prod", stage="prod"), "/prod", "/"),
        (http("/production/x", stage="prod"), "", "/production/x"),
        (http("/v1/model/labels", "ANY /{proxy+}", proxy="model/labels"), "/v1", "/model/labels"),
        (http("/v1/", "ANY /", stage="prod"), "/v1", "/"),
        (http("/$default/x"), "", "/$default/x"),
        # A load balancer knows neither stages nor routes.
        ({"path": "/None/x", "requestContext": {"elb": {}}}, "", "/None/x"),
        # What does not fit together, as some emulators send it, is left as it is.
        (rest("/{proxy+}", "/model/predict"), "", "/model/predict"),
        (rest("", "/model/predict"), "", "/model/predict"),
    ],
)
def test_the_route_says_where_the_application_begins(event: Event, root_path: str, route: str) -> None:
    assert split_path(event) == (root_path, route)


@pytest.fixture(scope="module")
def door() -> Any:
    return Mangum(
        RootPathMiddleware(create_app(SharedClassifier(Settings.from_environment({})))), lifespan="off"
    )


def below_stage(path: str) -> Event:
    return rest(f"/prod{path}", path, **({"resource": "/"} if path == "/" else {}))


def below_base_path(path: str) -> Event:
    return rest(f"/v1/audio{path}", f"/v1/audio{path}", proxy=path.removeprefix("/"))


def below_http_stage(path: str) -> Event:
    return http(f"/prod{path}", stage="prod")


@pytest.mark.parametrize(
    ("event_for", "root_path"),
    [(below_stage, "/prod"), (below_base_path, "/v1/audio"), (below_http_stage, "/prod")],
)
def test_the_page_and_what_it_calls_stay_below(
    door: Any, event_for: Callable[[str], Event], root_path: str, assets: Path
) -> None:
    page = door(event_for("/"), None)
    assert page["statusCode"] == 200
    addresses = re.findall(r"(?:href|src|url)[=:] ?[\"']([^\"']+)", page["body"])
    assert len(addresses) == 7
    for address in addresses:
        assert address.startswith(f"{root_path}/")
        assert door(event_for(address.removeprefix(root_path)), None)["statusCode"] == 200

    demo = door(event_for("/demo"), None)["body"]
    for address in re.findall(r"(?:href|src)=\"([^\"]+)", demo):  # from /prod/demo on
        assert door(event_for(f"/{address.removeprefix('./')}"), None)["statusCode"] == 200

    document = json.loads(door(event_for("/openapi.json"), None)["body"])
    assert document["servers"] == [{"url": root_path}]
    assert json.loads(door(event_for("/swagger.json"), None)["body"])["basePath"] == root_path

    event = event_for("/model/predict")
    event["httpMethod"] = "POST"
    event["requestContext"].get("http", {})["method"] = "POST"
    event["headers"]["content-type"] = "audio/wav"
    event["body"] = base64.b64encode((assets / "rain.wav").read_bytes()).decode()
    event["isBase64Encoded"] = True
    answer = json.loads(door(event, None)["body"])
    assert "Rain" in [prediction["label"] for prediction in answer["predictions"]]


def test_nothing_changes_at_the_root_of_an_address(door: Any) -> None:
    assert 'data-url="openapi.json"' in door(http("/"), None)["body"]
    assert "servers" not in json.loads(door(http("/openapi.json"), None)["body"])
    assert json.loads(door(http("/swagger.json"), None)["body"])["basePath"] == "/"
