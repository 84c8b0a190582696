"""Tests that the alarms and the dashboard of the SAM templates use metrics that are emitted."""

from __future__ import annotations

import base64
import json
import os
import re
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


@dataclass(frozen=True)
class Statistic:
    """A metric of an alarm, and how it is aggregated."""

    namespace: str
    name: str
    dimensions: str
    statistic: str
    period_s: int


def statistics(alarm: dict[str, Any]) -> dict[str, Statistic]:
    """Return the metrics of an alarm by their names in its expression; a single one is called ``value``."""
    if "Metrics" not in alarm:
        statistic = alarm.get("Statistic") or alarm["ExtendedStatistic"]
        return {"value": as_statistic(alarm, statistic, alarm["Period"])}
    used = [one for one in alarm["Metrics"] if "MetricStat" in one]
    assert all(one["ReturnData"] is False for one in used)
    return {
        one["Id"]: as_statistic(
            one["MetricStat"]["Metric"], one["MetricStat"]["Stat"], one["MetricStat"]["Period"]
        )
        for one in used
    }


def as_statistic(metric: dict[str, Any], statistic: str, period_s: int) -> Statistic:
    name = metric["MetricName"]
    name = name if isinstance(name, str) else "|".join(name["Fn::If"][1:])
    return Statistic(metric["Namespace"], name, json.dumps(metric["Dimensions"]), statistic, period_s)


def dimensions(**values: Any) -> str:
    return json.dumps([{"Name": name, "Value": value} for name, value in values.items()])


def evaluate(alarm: dict[str, Any], **values: float) -> bool:
    """Return whether an alarm triggers; CloudWatch's functions have the syntax of Python's."""
    (expression,) = [one["Expression"] for one in alarm["Metrics"] if "Expression" in one]
    functions = {"IF": lambda condition, one, other: one if condition else other}
    return bool(eval(expression, functions, dict(values)) >= alarm["Threshold"])


def live(name: str, **more: Any) -> str:
    return dimensions(FunctionName={"Ref": name}, Resource={"Fn::Sub": f"${{{name}}}:live"}, **more)


@both
def test_alarms_cover_queues_api_functions_and_backfills(template: dict[str, Any], emitted: Metrics) -> None:
    def queue(name: str) -> str:
        return dimensions(QueueName={"Fn::GetAtt": [name, "QueueName"]})

    own = dimensions(service=emitted.service, function_name={"Ref": "UploadFunction"})
    # HTTP APIs and REST APIs have different metrics and dimensions.
    api_name = template["Resources"]["RestApi"]["Properties"]["Name"]
    apis = [json.loads(dimensions(ApiId={"Ref": "HttpApi"})), json.loads(dimensions(ApiName=api_name))]
    api = json.dumps({"Fn::If": ["IsHttp", *apis]})
    wanted = {
        ("AWS/SQS", "ApproximateNumberOfMessagesVisible", queue("DeadLetterQueue")),
        ("AWS/SQS", "ApproximateAgeOfOldestMessage", queue("UploadsQueue")),
        (emitted.namespace, "Failures", own),
        *(("AWS/ApiGateway", metric, api) for metric in ("5xx|5XXError", "Count", "Latency")),
        *(
            ("AWS/Lambda", metric, live(name))
            for name in FUNCTIONS
            for metric in ("Errors", "Throttles", "Invocations")
        ),
        ("AWS/Lambda", "Duration", live("UploadFunction")),
        *(
            ("AWS/Lambda", metric, live(name, ExecutedVersion={"Fn::GetAtt": [name, "Version.Version"]}))
            for name in FUNCTIONS
            for metric in ("Errors", "Invocations")
        ),
        ("AWS/States", "ExecutionsFailed", dimensions(StateMachineArn={"Ref": "Backfill"})),
    }
    alarms = of_type(template, "AWS::CloudWatch::Alarm").values()
    used = [one for alarm in alarms for one in statistics(alarm).values()]
    assert {(one.namespace, one.name, one.dimensions) for one in used} == wanted
    assert "Failures" in emitted.names


@both
def test_alarms_trigger_before_timeouts_and_retention_periods(template: dict[str, Any]) -> None:
    alarms = of_type(template, "AWS::CloudWatch::Alarm")
    assert alarms["UploadDurationAlarm"]["Threshold"] == {
        "Fn::FindInMap": ["UploadTimeouts", {"Ref": "UploadTimeout"}, "Alarm"]
    }
    for timeout_s, values in template["Mappings"]["UploadTimeouts"].items():
        assert values["Alarm"] < 1000 * int(timeout_s)
    assert alarms["ApiLatencyAlarm"]["Threshold"] < 1000 * function(template, "ApiFunction")["Timeout"]
    queue = of_type(template, "AWS::SQS::Queue")["UploadsQueue"]
    assert alarms["UploadsWaitAlarm"]["Threshold"] < queue["MessageRetentionPeriod"]
    assert alarms["UploadFailuresAlarm"]["Period"] * alarms["UploadFailuresAlarm"]["EvaluationPeriods"] == 900


@both
def test_alarms_notify_except_those_that_are_part_of_others(template: dict[str, Any]) -> None:
    alarms = of_type(template, "AWS::CloudWatch::Alarm")
    (budget,) = of_type(template, "AWS::CloudWatch::CompositeAlarm").values()
    parts = {*re.findall(r"\$\{(\w+)\}", budget["AlarmRule"]["Fn::Sub"])}
    for name in FUNCTIONS:
        parts |= {alarm["Ref"] for alarm in function(template, name)["DeploymentPreference"]["Alarms"]}
    topic = {"Fn::If": ["HasAlarmTopic", [{"Ref": "AlarmTopicArn"}], {"Ref": "AWS::NoValue"}]}
    notifying = {name for name, alarm in alarms.items() if alarm.get("AlarmActions") == topic}
    assert notifying == alarms.keys() - parts
    assert budget["AlarmActions"] == budget["OKActions"] == topic


@both
@pytest.mark.parametrize(
    ("name", "quiet", "loud"),
    [
        ("ApiErrorsAlarm", {"failures": 2, "invocations": 2}, {"failures": 3, "invocations": 60}),
        ("ApiErrorsAlarm", {"failures": 4, "invocations": 100}, {"failures": 5, "invocations": 100}),
        ("ApiThrottlesAlarm", {"failures": 4, "invocations": 96}, {"failures": 5, "invocations": 95}),
        ("ApiThrottlesAlarm", {"failures": 2, "invocations": 0}, {"failures": 3, "invocations": 0}),
        ("UploadErrorsAlarm", {"failures": 4, "invocations": 100}, {"failures": 5, "invocations": 100}),
        ("UploadThrottlesAlarm", {"failures": 4, "invocations": 96}, {"failures": 5, "invocations": 95}),
        ("ApiRolloutAlarm", {"failures": 2, "invocations": 2}, {"failures": 3, "invocations": 3}),
        ("UploadRolloutAlarm", {"failures": 2, "invocations": 2}, {"failures": 3, "invocations": 3}),
        ("ApiLatencyAlarm", {"latency": 20000, "requests": 19}, {"latency": 10000, "requests": 20}),
    ],
)
def test_alarm_triggers_by_rate_and_ignores_single_failures(
    template: dict[str, Any], name: str, quiet: dict[str, float], loud: dict[str, float]
) -> None:
    alarm = of_type(template, "AWS::CloudWatch::Alarm")[name]
    assert statistics(alarm).keys() == quiet.keys()
    assert len({one.period_s for one in statistics(alarm).values()}) == 1
    assert not evaluate(alarm, **quiet)
    assert evaluate(alarm, **loud)


# Windows, burn rates and shares of the budget of "The Site Reliability Workbook", chapter "Alerting on SLOs".
@both
@pytest.mark.parametrize(
    ("name", "window_s", "burn_rate", "share"),
    [
        ("ApiBurnHourAlarm", 3600, 14.4, 0.02),
        ("ApiBurn5MinutesAlarm", 300, 14.4, None),
        ("ApiBurn6HoursAlarm", 21600, 6, 0.05),
        ("ApiBurn30MinutesAlarm", 1800, 6, None),
    ],
)
def test_error_budget_is_one_request_in_a_thousand_for_30_days(
    template: dict[str, Any], name: str, window_s: int, burn_rate: float, share: float | None
) -> None:
    alarm = of_type(template, "AWS::CloudWatch::Alarm")[name]
    assert {one.period_s for one in statistics(alarm).values()} == {window_s}
    assert alarm["Threshold"] == burn_rate
    assert evaluate(alarm, failures=burn_rate + 0.1, requests=1000)
    assert not evaluate(alarm, failures=burn_rate - 0.1, requests=1000)
    if share is not None:
        assert burn_rate * window_s / (30 * 86400) == pytest.approx(share)
        assert f"{share:.0%}".replace("%", " %") in alarm["AlarmDescription"]
        assert not evaluate(alarm, failures=2, requests=2)


@both
def test_error_budget_alarm_needs_a_long_and_a_short_window(template: dict[str, Any]) -> None:
    (budget,) = of_type(template, "AWS::CloudWatch::CompositeAlarm").values()
    rule = budget["AlarmRule"]["Fn::Sub"]
    code = re.sub(r'ALARM\("\$\{ApiBurn(\w+)Alarm\}"\)', r"('\1' in active)", rule)
    code = code.replace("AND", "and").replace("OR", "or").replace("\n", " ")

    def triggers(*active: str) -> bool:
        return bool(eval(code, {"active": active}))

    assert triggers("Hour", "5Minutes")
    assert triggers("6Hours", "30Minutes")
    assert not triggers("Hour", "6Hours")
    assert not triggers("5Minutes", "30Minutes")


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
