"""Tests of every kind of event, with AWS's runtime client and emulator and moto's S3."""

from __future__ import annotations

import base64
import copy
import json
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from devtools.runtime_api import FUNCTION_NAME
from tests.e2e.runtime import Function, emulator, running
from tests.support.sounds import busy, encode

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(
        emulator() is None, reason="aws-sam-cli, which includes the emulator, is not installed"
    ),
]
EVENTS = {
    path.stem: json.loads(path.read_text()) for path in (Path(__file__).parents[1] / "events").glob("*.json")
}
RESULT = "classified/in/rain.wav.json"


@pytest.fixture(scope="module")
def function(s3_endpoint: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Function]:
    environment = {
        "AWS_ENDPOINT_URL": s3_endpoint,
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AUDIO_CLASSIFIER_RESULTS_BUCKET": "results",
        "AUDIO_CLASSIFIER_RESULTS_PREFIX": "classified/",
        "AUDIO_CLASSIFIER_READ_BUCKETS": "uploads",
        "no_proxy": "127.0.0.1",
    }
    with running(tmp_path_factory.mktemp("lambda") / "log", **environment) as started:
        yield started


@pytest.fixture
def buckets(s3: Any, assets: Path) -> Any:
    """Create buckets with one upload and no results."""
    for name in ("uploads", "results"):
        s3.create_bucket(Bucket=name)
        for item in s3.list_objects_v2(Bucket=name).get("Contents", []):
            s3.delete_object(Bucket=name, Key=item["Key"])
    s3.put_object(Bucket="uploads", Key="in/rain.wav", Body=(assets / "rain.wav").read_bytes())
    return s3


def labels(answer: dict[str, Any]) -> list[str]:
    return [prediction["label"] for prediction in answer["predictions"]]


def result(client: Any) -> dict[str, Any]:
    answer: dict[str, Any] = json.loads(client.get_object(Bucket="results", Key=RESULT)["Body"].read())
    return answer


def sns(message: Any) -> dict[str, Any]:
    event: dict[str, Any] = copy.deepcopy(EVENTS["sns"])
    event["Records"][0]["Sns"]["Message"] = json.dumps(message)
    return event


@pytest.mark.parametrize(
    "event",
    [
        pytest.param(EVENTS["s3"], id="S3"),
        pytest.param(EVENTS["event_bridge"], id="EventBridge"),
        pytest.param(sns(EVENTS["s3"]), id="SNS"),
    ],
)
def test_object_of_a_notification_is_classified_once(
    function: Function, buckets: Any, event: dict[str, Any]
) -> None:
    assert function.invoke(event) == {"status": "ok", "results": [f"stored s3://results/{RESULT}"]}
    assert "Rain" in labels(result(buckets))
    assert function.invoke(event) == {"status": "ok", "results": [f"unchanged s3://results/{RESULT}"]}


def test_s3_test_event_is_skipped(function: Function) -> None:
    assert function.invoke({"Service": "Amazon S3", "Event": "s3:TestEvent"}) == {
        "status": "ok",
        "results": [],
    }


def test_only_failed_messages_of_a_batch_are_returned(function: Function, buckets: Any) -> None:
    bodies = {
        "good": json.dumps(EVENTS["s3"]),
        "wrapped": json.dumps({"Type": "Notification", "Message": json.dumps(EVENTS["s3"])}),
        "bridged": json.dumps(EVENTS["event_bridge"]),
        "test": json.dumps({"Event": "s3:TestEvent"}),
        "poison": "not even JSON",
        "forbidden": json.dumps(EVENTS["s3"]).replace("uploads", "no-such-bucket-results"),
    }
    template = EVENTS["sqs"]["Records"][0]
    batch = {"Records": [{**template, "messageId": name, "body": body} for name, body in bodies.items()]}
    failed = {item["itemIdentifier"] for item in function.invoke(batch)["batchItemFailures"]}
    assert failed == {"poison"}
    assert "Rain" in labels(result(buckets))
    assert function.invoke({"Records": batch["Records"][:1]}) == {"batchItemFailures": []}
    before = function.log.read_text()
    all_bad = function.invoke({"Records": [batch["Records"][4]]})
    logged = function.log.read_text()[len(before) :]
    assert "poison returns to its queue" in logged
    assert '"Failures"' in logged
    assert all_bad == {"batchItemFailures": [{"itemIdentifier": "poison"}]}


@pytest.mark.parametrize("schema", ["1", "2"])
def test_batch_operation_task_gets_a_result_code(function: Function, buckets: Any, schema: str) -> None:
    event = EVENTS[f"s3_batch_operation_{schema}"]
    answer = function.invoke(event)
    assert answer["invocationSchemaVersion"] == event["invocationSchemaVersion"]
    assert answer["invocationId"] == event["invocationId"]
    assert answer["results"] == [
        {
            "taskId": event["tasks"][0]["taskId"],
            "resultCode": "Succeeded",
            "resultString": f"stored s3://results/{RESULT}",
        }
    ]
    buckets.put_object(Bucket="uploads", Key="in/rain.wav", Body=b"not audio")
    (task,) = function.invoke(event)["results"]
    assert task["resultCode"] == "PermanentFailure"
    assert "not a readable audio file" in task["resultString"]


def multipart(recording: bytes) -> bytes:
    """Encode a recording as a multipart form."""
    head = b'--b\r\nContent-Disposition: form-data; name="audio"; filename="r.wav"\r\n\r\n'
    return head + recording + b"\r\n--b--\r\n"


def http_event(kind: str, body: bytes) -> dict[str, Any]:
    """Return the event of a gateway for a multipart request to /model/predict."""
    event: dict[str, Any] = copy.deepcopy(EVENTS["http_api" if kind == "function_url" else kind])
    event["body"], event["isBase64Encoded"] = base64.b64encode(body).decode(), True
    for name in ("path", "rawPath", "resource"):
        if name in event:
            event[name] = "/model/predict"
    if kind == "function_url":
        event["requestContext"]["domainName"] = "abc.lambda-url.us-east-1.on.aws"
    if "http" in event["requestContext"]:
        event["requestContext"]["http"] |= {"path": "/model/predict", "method": "POST"}
        event["rawQueryString"] = "top_k=3"
    event["queryStringParameters"] = {"top_k": "3"}
    event["multiValueQueryStringParameters"] = {"top_k": ["3"]}
    media_type = "multipart/form-data; boundary=b"
    event["headers"] = {**event["headers"], "content-type": media_type}
    if "multiValueHeaders" in event:
        event["multiValueHeaders"]["content-type"] = [media_type]
    return event


@pytest.mark.parametrize("kind", ["http_api", "function_url", "rest_api", "load_balancer"])
def test_http_events_are_answered_by_the_http_app(function: Function, assets: Path, kind: str) -> None:
    form = multipart((assets / "rain.wav").read_bytes())
    for _ in range(2):
        answer = function.invoke(http_event(kind, form))
        assert answer["statusCode"] == 200, answer
        assert len(labels(json.loads(answer["body"]))) == 3
    event = http_event(kind, form)
    event["body"] = base64.encodebytes(form).decode()  # with line breaks, as the command `base64` writes it
    assert json.loads(function.invoke(event)["body"]) == json.loads(answer["body"])
    refused = function.invoke(http_event(kind, b"nonsense"))
    assert refused["statusCode"] == 400
    assert "gateway" in json.loads(refused["body"])["hint"]


@pytest.mark.parametrize("kind", ["http_api", "function_url", "rest_api", "load_balancer"])
def test_response_that_the_emulator_would_refuse_is_an_error(function: Function, kind: str) -> None:
    parameters = {"timeline": "true", "top_k": "527", "window": "0.96", "hop": "0.96"}
    event = http_event(kind, multipart(encode(busy(140, 8_000), 8_000)))
    if "rawQueryString" in event:
        event["rawQueryString"] = urlencode(parameters)
    event["queryStringParameters"] = parameters
    event["multiValueQueryStringParameters"] = {name: [value] for name, value in parameters.items()}
    answer = function.invoke(event)
    assert answer["statusCode"] == 413, answer
    assert json.loads(answer["body"])["code"] == "response_too_large"


def test_direct_invocation_returns_the_http_response_body(
    function: Function, buckets: Any, assets: Path
) -> None:
    answer = function.invoke({"audio": "s3://uploads/in/rain.wav", "top_k": 2, "filter": "Rain,Thunder"})
    assert answer["status"] == "ok"
    assert labels(answer) == ["Rain", "Thunder"]
    encoded = base64.b64encode((assets / "speech.wav").read_bytes()).decode()
    assert labels(function.invoke({"audio_base64": encoded}))[0] == "Speech"


@pytest.mark.parametrize(
    ("event", "message"),
    [
        ({"audio": "s3://uploads/gone.wav"}, "does not exist"),
        ({"audio": "s3://results/secret.wav"}, "'results' may not be read"),
        ({"audio": "https://somewhere/a.wav"}, "is not s3://bucket/key"),
        ({"audio_base64": "?"}, "is not base64"),
        ({"audio_base64": ""}, "the file is empty"),
        ({"audio_base64": "AAAA", "top_k": 0}, "top_k: "),
    ],
)
def test_invalid_direct_invocation_returns_an_error_message(
    function: Function, buckets: Any, event: dict[str, Any], message: str
) -> None:
    answer = function.invoke(event)
    assert answer["status"] == "error"
    assert message in answer["message"]


def test_warm_up_event_returns_ok(function: Function) -> None:
    assert function.invoke({"warmup": True}) == {"status": "ok"}


@pytest.mark.parametrize("event", [{}, {"hello": "world"}, []])
def test_unknown_event_raises_an_error_that_lists_known_events(function: Function, event: Any) -> None:
    answer = function.invoke(event)
    assert answer["errorType"] == "UnknownEventError"
    assert "S3 Batch Operations" in answer["errorMessage"]


def test_model_is_loaded_from_object_storage(
    function: Function, buckets: Any, compact: Path, assets: Path, tmp_path: Path, s3_endpoint: str
) -> None:
    for path in compact.iterdir():
        buckets.upload_file(str(path), "models", f"compact/{path.name}")
    settings = {
        "AWS_ENDPOINT_URL": s3_endpoint,
        "AUDIO_CLASSIFIER_BUNDLE": "s3://models/compact/",
        "AUDIO_CLASSIFIER_CACHE_DIR": str(tmp_path / "cache"),
    }
    encoded = base64.b64encode((assets / "speech.wav").read_bytes()).decode()
    with running(tmp_path / "log", **settings) as other:
        assert other.invoke({"audio_base64": encoded}) == function.invoke({"audio_base64": encoded})
    assert len(list((tmp_path / "cache" / "bundles").glob("*/manifest.json"))) == 1


def test_logs_and_metrics_are_structured(function: Function, buckets: Any) -> None:
    function.invoke(EVENTS["s3"])
    lines = function.log.read_text().splitlines()
    entries = [json.loads(line) for line in lines if line.startswith("{")]
    emitted = [entry for entry in entries if "_aws" in entry]
    # The function's name distinguishes two deployments in the same account.
    assert {(entry["service"], entry["function_name"]) for entry in emitted} == {
        ("audio-classifier", FUNCTION_NAME)
    }
    declared = [entry["_aws"]["CloudWatchMetrics"][0] for entry in emitted]
    assert {one["Namespace"] for one in declared} == {"AudioClassifier"}
    assert {*map(frozenset, chain.from_iterable(one["Dimensions"] for one in declared))} == {
        frozenset({"service", "function_name"})
    }
    names = {metric["Name"] for one in declared for metric in one["Metrics"]}
    assert {
        "ColdStart",
        "LoadSeconds",
        "AudioSeconds",
        "ReadSeconds",
        "EmbeddingSeconds",
        "Failures",
    } <= names
    stored = [entry for entry in entries if "stored s3://results" in str(entry.get("message"))]
    assert stored
    assert stored[-1]["function_request_id"]
