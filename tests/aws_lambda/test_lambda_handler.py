"""The handler in a process of its own, because its module loads the model and registers hooks."""

from __future__ import annotations

import base64
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeAlias
from urllib.parse import urlencode

import pytest

from audio_classifier.aws_lambda.deadlines import MARGIN_S
from audio_classifier.aws_lambda.events import SUPPORTED_EVENTS
from tests.aws_lambda.http_events import http_event
from tests.support.sounds import busy, encode

Invoke: TypeAlias = Callable[..., dict[str, Any]]

ENVIRONMENT = {
    "AWS_LAMBDA_FUNCTION_NAME": "x",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AUDIO_CLASSIFIER_READ_BUCKETS": "shared",
}
# Reads events from standard input, and prints an outcome for each, after the log and the metrics.
LOOP = """
import json, sys
from types import SimpleNamespace
from audio_classifier.lambda_handler import handler

names = ("function_name", "memory_limit_in_mb", "invoked_function_arn", "aws_request_id")
for line in sys.stdin:
    event, remaining_s = json.loads(line)
    context = SimpleNamespace(
        **dict.fromkeys(names, "x"), get_remaining_time_in_millis=lambda: round(1000 * remaining_s)
    )
    try:
        outcome = {"response": handler(event, context)}
    except Exception as error:
        outcome = {"error": type(error).__name__, "message": str(error)}
    print("outcome", json.dumps(outcome), flush=True)
"""


@pytest.fixture(scope="module")
def invoke() -> Iterator[Invoke]:
    """Invoke the handler; return its ``response`` or ``error``, and the ``log`` with the metrics."""
    process = subprocess.Popen(
        [sys.executable, "-c", LOOP],
        env={**os.environ, **ENVIRONMENT},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin
    assert process.stdout
    requests, lines = process.stdin, process.stdout

    def send(event: Any, remaining_s: float = 60) -> dict[str, Any]:
        requests.write(json.dumps([event, remaining_s]) + "\n")
        requests.flush()
        log = ""
        for line in lines:
            kind, _, outcome = line.partition(" ")
            if kind == "outcome":
                return {"log": log, **json.loads(outcome)}
            log += line
        raise AssertionError(f"the process ended: {log}")

    with process:
        yield send
        requests.close()


@pytest.fixture(scope="module")
def rain_base64(assets: Path) -> str:
    return base64.b64encode((assets / "rain.wav").read_bytes()).decode()


def test_direct_request_is_classified(invoke: Invoke, rain_base64: str) -> None:
    for content in (rain_base64, rain_base64.replace("A", "A\n", 100)):
        response = invoke({"audio_base64": content, "top_k": 2, "filter": "Rain,Dog"})["response"]
        assert response["status"] == "ok"
        assert [prediction["label"] for prediction in response["predictions"]] == ["Rain", "Dog"]


@pytest.mark.parametrize("exclude", ["Rain, Water", ["Rain", "Water"]])
def test_direct_request_excludes_classes_and_groups(
    invoke: Invoke, rain_base64: str, exclude: str | list[str]
) -> None:
    event = {"audio_base64": rain_base64, "filter": "Natural sounds", "exclude": exclude, "groups": True}
    response = invoke({**event, "top_k": 527})["response"]
    labels = {prediction["label"] for prediction in response["predictions"]}
    assert {"Thunder", "Wind"} <= labels
    assert labels.isdisjoint({"Rain", "Raindrop", "Stream", "Speech"})


def test_direct_request_may_ask_for_a_timeline(invoke: Invoke, rain_base64: str) -> None:
    response = invoke({"audio_base64": rain_base64, "timeline": True})["response"]
    assert response.keys() == {"status", "predictions", "windows", "events"}
    assert response["windows"][0]["start"] == 0


@pytest.mark.parametrize(
    ("parameters", "code", "message"),
    [
        ({"start_time": -1}, "invalid_parameter", "start_time: "),
        ({"start_time": 11}, "start_beyond_end", ""),
        ({"top_k": 0}, "invalid_parameter", "top_k: "),
        ({"start_time": "1:2:3:4"}, "invalid_parameter", "start_time: must be seconds"),
        ({"startTime": 1}, "invalid_parameter", "start_time: the request has 'startTime'"),
        (
            {"audio_base64": "data:audio/wav;base64,UklG"},
            "invalid_parameter",
            "audio_base64: is not base64: ",
        ),
        ({"filter": ["Rain", "Thundr"]}, "unknown_label", "filter: no class is called 'Thundr'"),
        ({"filter": "Thundr"}, "unknown_label", "filter: no class is called 'Thundr'"),
        ({"filter": "xyzzy"}, "unknown_label", "filter: no class is called 'xyzzy'"),
        ({"exclude": "xyzzy"}, "unknown_label", "exclude: no class is called 'xyzzy'"),
        ({"timeline": True, "window": 0.96, "hop": 1.92}, "invalid_parameter", "hop: "),
        ({"timeline": True, "release": 0.5}, "invalid_parameter", "release: "),
        ({"audio_base64": "%"}, "invalid_parameter", "audio_base64: is not base64"),
        ({"audio_base64": 7}, "invalid_parameter", "audio_base64: is not base64"),
        ({"audio_base64": "bm90IGF1ZGlv"}, "unsupported_format", "not a readable audio file"),
        ({"audio": "s3://private/a.wav"}, "invalid_parameter", "audio: objects of the bucket 'private' may"),
        ({"audio": "/etc/passwd"}, "invalid_parameter", "audio: '/etc/passwd' is not s3://bucket/key"),
    ],
)
def test_error_of_a_direct_request_has_the_one_body_and_the_names_of_http(
    invoke: Invoke, rain_base64: str, parameters: dict[str, Any], code: str, message: str
) -> None:
    response = invoke({"audio_base64": rain_base64, **parameters})["response"]
    assert response.keys() == {"status", "code", "message", "hint"}
    assert (response["status"], response["code"]) == ("error", code)
    assert response["message"].startswith(message)
    text = f"{response['message']} {response['hint']}"
    for name_elsewhere in ("start_s", "hop_s", "label:", "--", "audio-classifier ", "GET /"):
        assert name_elsewhere not in text


@pytest.mark.parametrize("event", [{}, {"hello": "world"}, {"Records": [{"eventSource": "aws:kinesis"}]}, []])
def test_unknown_event_raises_an_error_that_lists_the_supported_ones(invoke: Invoke, event: Any) -> None:
    outcome = invoke(event)
    assert outcome["error"] == "UnknownEventError"
    assert outcome["message"].endswith(f"; supported events: {SUPPORTED_EVENTS}")
    assert '"Failures":[1.0]' in outcome["log"]


@pytest.mark.parametrize(
    ("event", "response"),
    [
        ({"warmup": True}, {"status": "ok"}),
        ({"warmer": True, "concurrency": 3}, {"status": "ok"}),
        ({"source": "serverless-plugin-warmup"}, {"status": "ok"}),
        ({"source": "aws.events", "detail-type": "Scheduled Event", "detail": {}}, {"status": "ok"}),
        ({"source": "aws.scheduler", "detail-type": "Scheduled Event", "detail": {}}, {"status": "ok"}),
        (
            {"source": "aws.s3", "detail-type": "Object Deleted", "detail": {}},
            {"status": "ok", "results": []},
        ),
        ({"Service": "Amazon S3", "Event": "s3:TestEvent"}, {"status": "ok", "results": []}),
        ({"Items": []}, {"status": "ok", "results": []}),
    ],
)
def test_event_without_work_succeeds(invoke: Invoke, event: Any, response: dict[str, Any]) -> None:
    outcome = invoke(event)
    assert outcome["response"] == response
    assert "Failures" not in outcome["log"]


def test_http_event_is_served(invoke: Invoke) -> None:
    event = {
        "version": "2.0",
        "rawPath": "/healthz",
        "rawQueryString": "",
        "headers": {},
        "requestContext": {
            "http": {"method": "GET", "path": "/healthz", "sourceIp": "::1"},
            "stage": "$default",
        },
    }
    response = invoke(event)["response"]
    assert (response["statusCode"], json.loads(response["body"])) == (200, {"status": "ok"})


@pytest.mark.parametrize("timeline", [False, True])
def test_direct_request_without_enough_time_is_answered_by_an_error(
    invoke: Invoke, rain_base64: str, timeline: bool
) -> None:
    outcome = invoke({"audio_base64": rain_base64, "timeline": timeline}, remaining_s=MARGIN_S)
    assert outcome["response"]["code"] == "deadline_exceeded"


@pytest.mark.parametrize("query", ["", "timeline=true"])
def test_http_request_without_enough_time_has_status_504(
    invoke: Invoke, rain_base64: str, query: str
) -> None:
    event = {
        "version": "2.0",
        "rawPath": "/model/predict",
        "rawQueryString": query,
        "headers": {"content-type": "audio/wav"},
        "requestContext": {
            "http": {"method": "POST", "path": "/model/predict", "sourceIp": "::1"},
            "stage": "$default",
        },
        "body": rain_base64,
        "isBase64Encoded": True,
    }
    assert invoke(event)["response"]["statusCode"] == 200
    response = invoke(event, remaining_s=MARGIN_S)["response"]
    assert (response["statusCode"], json.loads(response["body"])["code"]) == (504, "deadline_exceeded")


REPEATED = ["Rain", "Dog,Siren"]
QUERIES: dict[str, dict[str, Any]] = {
    "rest_api": {"multiValueQueryStringParameters": {"filter": REPEATED}},
    "load_balancer": {"multiValueQueryStringParameters": {"filter": ["Rain", "Dog%2CSiren"]}},
    "http_api": {"rawQueryString": "filter=Rain&filter=Dog%2CSiren"},
}


@pytest.mark.parametrize("kind", QUERIES)
@pytest.mark.parametrize("path", ["/model/predict", "/model/predict/"])
def test_repeated_filters_of_an_http_event_add_up(
    invoke: Invoke, rain_base64: str, kind: str, path: str
) -> None:
    event = http_event(kind, "POST", path, body=rain_base64, isBase64Encoded=True, **QUERIES[kind])
    response = invoke(event)["response"]
    assert response["statusCode"] == 200, response
    labels = {prediction["label"] for prediction in json.loads(response["body"])["predictions"]}
    assert labels == {"Rain", "Dog", "Siren"}


@pytest.mark.parametrize("kind", QUERIES)
def test_head_event_is_answered_without_a_body(invoke: Invoke, kind: str) -> None:
    response = invoke(http_event(kind, "HEAD", "/model/labels", body=None, isBase64Encoded=False))["response"]
    assert (response["statusCode"], response["body"]) == (200, "")


@pytest.mark.parametrize("is_base64", [True, False])
def test_http_event_with_a_wrong_is_base64_encoded_is_explained(
    invoke: Invoke, rain_base64: str, is_base64: bool
) -> None:
    body = "RIFF" if is_base64 else rain_base64
    body += "\0" if is_base64 else ""
    event = http_event("http_api", "POST", "/model/predict", body=body, isBase64Encoded=is_base64)
    response = invoke(event)["response"]
    assert response["statusCode"] == 400
    assert "isBase64Encoded" in json.loads(response["body"])["hint"]


@pytest.mark.parametrize(
    ("kind", "sent", "request_id"),
    [
        ("http_api", None, "JKJaXmPLvHcESHA="),
        ("rest_api", "of-the-client", "of-the-client"),
        ("load_balancer", "not valid", "x"),
    ],
)
def test_answer_and_log_of_an_http_event_state_its_request_id(
    invoke: Invoke, kind: str, sent: str | None, request_id: str
) -> None:
    deleted = {"source": "aws.s3", "detail-type": "Object Deleted", "detail": {}}  # is ignored, and logged
    event = http_event(kind, "POST", "/events", body=json.dumps(deleted), isBase64Encoded=False)
    headers = {"content-type": "application/json", **({"x-request-id": sent} if sent else {})}
    event["headers"] |= headers
    if "multiValueHeaders" in event:
        event["multiValueHeaders"] |= {name: [value] for name, value in headers.items()}
    if "requestId" in event["requestContext"]:
        event["requestContext"]["requestId"] = "JKJaXmPLvHcESHA="
    outcome = invoke(event)
    answered = outcome["response"].get("headers") or outcome["response"]["multiValueHeaders"]
    assert answered["x-request-id"] in (request_id, [request_id])
    entries = [json.loads(line) for line in outcome["log"].splitlines()]
    (ignored,) = (entry for entry in entries if "ignored an event" in entry.get("message", ""))
    assert (ignored["request_id"], ignored["function_request_id"]) == (request_id, "x")
    assert not any(
        "request_id" in entry for entry in map(json.loads, invoke({"warmup": True})["log"].splitlines())
    )


def test_http_event_is_answered_by_embeddings(invoke: Invoke, rain_base64: str) -> None:
    event = http_event("http_api", "POST", "/model/embed", body=rain_base64, isBase64Encoded=True)
    response = invoke(event)["response"]
    assert response["statusCode"] == 200, response
    patches = json.loads(response["body"])["embeddings"]
    assert [len(patch["values"]) for patch in patches] == [128] * len(patches) != []


@pytest.fixture(scope="module")
def long_base64() -> str:
    """A recording whose timeline with all classes exceeds Lambda's limit of 6 MB, of which it has a third."""
    return base64.b64encode(encode(busy(140, 8_000), 8_000)).decode()


ALL_CLASSES = {"timeline": "true", "top_k": "527", "window": "0.96", "hop": "0.96"}


@pytest.mark.parametrize("accept", ["*/*", "application/x-ndjson"])
@pytest.mark.parametrize("kind", QUERIES)
def test_timeline_that_lambda_cannot_return_is_answered_by_413(
    invoke: Invoke, long_base64: str, kind: str, accept: str
) -> None:
    query = {"rawQueryString": urlencode(ALL_CLASSES), "queryStringParameters": ALL_CLASSES}
    query["multiValueQueryStringParameters"] = {name: [value] for name, value in ALL_CLASSES.items()}
    event = http_event(kind, "POST", "/model/predict", body=long_base64, isBase64Encoded=True, **query)
    event["headers"]["accept"] = accept
    if "multiValueHeaders" in event:
        event["multiValueHeaders"]["accept"] = [accept]
    response = invoke(event)["response"]
    assert response["statusCode"] == 413, response["body"][:500]
    assert json.loads(response["body"])["code"] == "response_too_large"
    event = http_event(kind, "POST", "/model/predict", body=long_base64, isBase64Encoded=True)
    assert invoke(event)["response"]["statusCode"] == 200


def test_direct_request_for_a_timeline_that_lambda_cannot_return_is_answered_by_an_error(
    invoke: Invoke, long_base64: str
) -> None:
    response = invoke({"audio_base64": long_base64, **ALL_CLASSES})["response"]
    assert response.keys() == {"status", "code", "message", "hint"}
    assert response["code"] == "response_too_large"
    assert invoke({"audio_base64": long_base64, "timeline": True})["response"]["status"] == "ok"


def test_objects_without_enough_time_return_to_their_queue(invoke: Invoke) -> None:
    notification = {"Records": [object_created("a.wav")]}
    assert invoke(notification, remaining_s=MARGIN_S)["error"] == "DeadlineExceededError"
    messages = [
        {"eventSource": "aws:sqs", "messageId": name, "body": json.dumps(notification)} for name in "ab"
    ]
    outcome = invoke({"Records": messages}, remaining_s=MARGIN_S)
    failures = outcome["response"]["batchItemFailures"]
    assert [failure["itemIdentifier"] for failure in failures] == ["a", "b"]
    entries = [json.loads(line) for line in outcome["log"].splitlines()]
    named = [entry["function_request_id"] for entry in entries if entry.get("object") == "s3://uploads/a.wav"]
    assert named == ["x", "x"]


def object_created(key: str) -> dict[str, Any]:
    s3 = {"bucket": {"name": "uploads"}, "object": {"key": key}}
    return {"eventSource": "aws:s3", "eventName": "ObjectCreated:Put", "s3": s3}


@pytest.mark.parametrize(
    ("warm_up", "ready", "not_needed"),
    [("http", "mangum", "botocore.client"), ("uploads", "botocore.client", "mangum")],
)
def test_configured_warm_up_is_done_when_the_function_has_started(
    warm_up: str, ready: str, not_needed: str
) -> None:
    environ = {**ENVIRONMENT, "AUDIO_CLASSIFIER_WARM_UP": warm_up}
    script = f"""
import gc, os, sys
gc.disable()  # as the image does
os.environ.update({environ!r})
from audio_classifier import lambda_handler
print(gc.isenabled(), lambda_handler.shared.ready, {ready!r} in sys.modules, {not_needed!r} in sys.modules)
"""
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert run.stdout.split()[-4:] == ["True", "True", "True", "False"]


@pytest.mark.parametrize("bus", ["", "audio"])
def test_client_of_the_event_bus_is_created_only_if_one_is_configured(bus: str) -> None:
    environ = {**ENVIRONMENT, "AUDIO_CLASSIFIER_WARM_UP": "uploads", "AUDIO_CLASSIFIER_EVENT_BUS": bus}
    script = f"""
import os
os.environ.update({environ!r})
from audio_classifier.s3 import client
created = []
create = client._client
client._client = lambda name, *args, **options: created.append(name) or create(name, *args, **options)
from audio_classifier import lambda_handler
print(*created)
"""
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert run.stdout.splitlines()[-1].split() == (["s3", "events"] if bus else ["s3"])


def test_function_that_cannot_start_reports_the_warm_up_and_the_model(tmp_path: Path) -> None:
    environ = {
        "AWS_LAMBDA_FUNCTION_NAME": "x",
        "AUDIO_CLASSIFIER_BUNDLE": str(tmp_path / "nowhere"),
        "AUDIO_CLASSIFIER_WARM_UP": "uploads",
    }
    script = f"""
import os
os.environ.update({environ!r})
from audio_classifier.service.object_access import ObjectAccess
ObjectAccess.client = lambda self: 1 / 0
from audio_classifier import lambda_handler
"""
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert run.returncode == 1
    assert "ZeroDivisionError" in run.stdout  # the log
    assert re.search(r"\n\S*BundleNotFoundError: .*nowhere.*\n$", run.stderr)


def test_hostile_text_in_an_event_adds_no_line_to_log_and_error(invoke: Invoke) -> None:
    body = json.dumps({"Type": "x", "a\nERROR forged\x9b\u202e": 1}, ensure_ascii=False)
    message = {"eventSource": "aws:sqs", "messageId": "m\nERROR forged\x9b\u202e", "body": body}
    outcome = invoke({"Records": [message]})
    assert outcome["response"]["batchItemFailures"]
    logged = [json.loads(line) for line in outcome["log"].splitlines()]
    assert outcome["log"].replace("\n", "").isprintable()
    assert [entry["level"] for entry in logged if "level" in entry] == ["ERROR"]

    refused = invoke({"a\nERROR forged\x9b\u202e": 1})
    assert refused["error"] == "UnknownEventError"
    assert refused["message"].isprintable()
