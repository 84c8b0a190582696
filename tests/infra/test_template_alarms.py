"""Tests that the alarms and the dashboard of the SAM templates use metrics that are emitted."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest

from benchmarks.model_material import write_random_bundle
from tests.infra.templates import FUNCTIONS, IMAGE, ZIP, both, function, of_type

# A program that passes events from standard input, one per line, to the handler, as Lambda's runtime does.
RUNTIME: Final = """
import json, sys
from types import SimpleNamespace
from {module} import {attribute}

context = SimpleNamespace(
    function_name="classify", memory_limit_in_mb=512, invoked_function_arn="arn", aws_request_id="1"
)
for event in sys.stdin:
    try:
        {attribute}(json.loads(event), context)
    except Exception as error:
        print(repr(error), file=sys.stderr)
"""


@dataclass(frozen=True)
class Metrics:
    """The metrics that the handler emits in CloudWatch's embedded metric format."""

    namespace: str
    service: str
    names: frozenset[str]


@pytest.fixture(scope="module")
def emitted(assets: Path, tmp_path_factory: pytest.TempPathFactory) -> Metrics:
    """Let the handler classify a recording with each kind of network, and fail on an unknown event."""
    clip_bundle = write_random_bundle(tmp_path_factory.mktemp("bundles") / "mn01", "mn01")
    module, _, attribute = function(ZIP, "UploadFunction")["Handler"].rpartition(".")
    recording = base64.b64encode((assets / "rain.wav").read_bytes()).decode()
    events = "".join(
        f"{json.dumps(event)}\n" for event in ({"audio_base64": recording}, {"unknown": "event"})
    )
    lines: list[str] = []
    for bundle in ("compact", clip_bundle.directory):
        run = subprocess.run(
            [sys.executable, "-c", RUNTIME.format(module=module, attribute=attribute)],
            env={**os.environ, "AUDIO_CLASSIFIER_BUNDLE": str(bundle)},
            input=events,
            stdout=subprocess.PIPE,
            check=True,
            text=True,
        )
        lines += run.stdout.splitlines()
    entries = [json.loads(line) for line in lines if line.startswith("{")]
    entries = [entry for entry in entries if "_aws" in entry]
    declared = [one for entry in entries for one in entry["_aws"]["CloudWatchMetrics"]]
    (service,) = {entry["service"] for entry in entries}
    (namespace,) = {one["Namespace"] for one in declared}
    return Metrics(
        namespace, service, frozenset(metric["Name"] for one in declared for metric in one["Metrics"])
    )


@both
def test_alarms_cover_queues_api_and_functions(template: dict[str, Any], emitted: Metrics) -> None:
    def dimension(name: str, value: Any) -> dict[str, Any]:
        return {"Name": name, "Value": value}

    def queue(name: str) -> list[dict[str, Any]]:
        return [dimension("QueueName", {"Fn::GetAtt": [name, "QueueName"]})]

    own = [dimension("service", emitted.service), dimension("function_name", {"Ref": "UploadFunction"})]
    # HTTP APIs and REST APIs have different metrics and dimensions.
    api_name = template["Resources"]["RestApi"]["Properties"]["Name"]
    apis = [[dimension("ApiId", {"Ref": "HttpApi"})], [dimension("ApiName", api_name)]]
    wanted = [
        ("AWS/SQS", "ApproximateNumberOfMessagesVisible", queue("DeadLetterQueue")),
        ("AWS/SQS", "ApproximateAgeOfOldestMessage", queue("UploadsQueue")),
        (emitted.namespace, "Failures", own),
        ("AWS/ApiGateway", {"Fn::If": ["IsHttp", "5xx", "5XXError"]}, {"Fn::If": ["IsHttp", *apis]}),
        *(
            ("AWS/Lambda", metric, [dimension("FunctionName", {"Ref": name})])
            for name in FUNCTIONS
            for metric in ("Errors", "Throttles", "Duration")
        ),
    ]
    alarms = of_type(template, "AWS::CloudWatch::Alarm").values()
    monitored = [(one["Namespace"], one["MetricName"], one["Dimensions"]) for one in alarms]
    assert sorted(map(json.dumps, monitored)) == sorted(map(json.dumps, wanted))
    assert "Failures" in emitted.names


@both
def test_alarms_trigger_before_timeouts_and_retention_periods(template: dict[str, Any]) -> None:
    for alarm in of_type(template, "AWS::CloudWatch::Alarm").values():
        assert alarm["AlarmActions"] == {
            "Fn::If": ["HasAlarmTopic", [{"Ref": "AlarmTopicArn"}], {"Ref": "AWS::NoValue"}]
        }
        if alarm["MetricName"] == "Duration":
            assert alarm["ExtendedStatistic"] == "p95"
            timeout_s = function(template, alarm["Dimensions"][0]["Value"]["Ref"])["Timeout"]
            assert alarm["Threshold"] < timeout_s * 1000
        elif alarm["MetricName"] == "ApproximateAgeOfOldestMessage":
            assert alarm["Statistic"] == "Maximum"
            queue = of_type(template, "AWS::SQS::Queue")["UploadsQueue"]
            assert alarm["Threshold"] < queue["MessageRetentionPeriod"]
        else:
            assert (alarm["Statistic"], alarm["Threshold"]) in {("Sum", 1), ("Maximum", 1)}
        if alarm["MetricName"] == "Failures":
            assert alarm["Period"] * alarm["EvaluationPeriods"] == 900


def test_dashboard_shows_all_emitted_metrics_and_no_others(emitted: Metrics) -> None:
    body = json.loads(IMAGE["Resources"]["Dashboard"]["Properties"]["DashboardBody"]["Fn::Sub"])
    metrics = [metric for widget in body["widgets"] for metric in widget["properties"]["metrics"]]
    functions = [f"${{{name}}}" for name in FUNCTIONS]
    own = [metric for metric in metrics if not metric[0].startswith("AWS/")]
    assert {metric[1] for metric in own} == emitted.names
    for metric in own:
        assert metric[0] == emitted.namespace
        assert metric[2:5] == ["service", emitted.service, "function_name"]
        assert metric[5] in functions
    for metric in metrics:
        if metric[0] == "AWS/Lambda":
            assert metric[2] == "FunctionName"
            assert metric[3] in functions
