"""What the templates for SAM watch, and show, is what there is."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, Final

from audio_classifier import AudioClassifier
from tests.infra.templates import FUNCTIONS, IMAGE, both, function, of_type

PACKAGE: Final = Path(__file__).parents[2] / "function" / "audio_classifier"
SOURCE: Final = "".join(path.read_text(encoding="utf-8") for path in PACKAGE.rglob("*.py"))
# Our own metrics, in CloudWatch's embedded format: the namespace, and the value of the dimension service.
(NAMESPACE,) = re.findall(r'Metrics\(namespace="(\w+)"', SOURCE)
(SERVICE,) = re.findall(r'^NAME: Final = "(.*)"$', SOURCE, re.MULTILINE)
COUNTED: Final = set(re.findall(r'add_metric\(\s*"(\w+)"', SOURCE))


@both
def test_alarms_watch_what_may_go_wrong(template: dict[str, Any]) -> None:
    def dimension(name: str, value: Any) -> dict[str, Any]:
        return {"Name": name, "Value": value}

    def queue(name: str) -> list[dict[str, Any]]:
        return [dimension("QueueName", {"Fn::GetAtt": [name, "QueueName"]})]

    ours = [dimension("service", SERVICE), dimension("function_name", {"Ref": "UploadFunction"})]
    # Both kinds of API have names of their own for it.
    api_name = template["Resources"]["RestApi"]["Properties"]["Name"]
    apis = [[dimension("ApiId", {"Ref": "HttpApi"})], [dimension("ApiName", api_name)]]
    wanted = [
        ("AWS/SQS", "ApproximateNumberOfMessagesVisible", queue("DeadLetterQueue")),
        ("AWS/SQS", "ApproximateAgeOfOldestMessage", queue("UploadsQueue")),
        (NAMESPACE, "Failures", ours),
        ("AWS/ApiGateway", {"Fn::If": ["IsHttp", "5xx", "5XXError"]}, {"Fn::If": ["IsHttp", *apis]}),
        *(
            ("AWS/Lambda", metric, [dimension("FunctionName", {"Ref": name})])
            for name in FUNCTIONS
            for metric in ("Errors", "Throttles", "Duration")
        ),
    ]
    alarms = of_type(template, "AWS::CloudWatch::Alarm").values()
    watched = [(one["Namespace"], one["MetricName"], one["Dimensions"]) for one in alarms]
    assert sorted(map(json.dumps, watched)) == sorted(map(json.dumps, wanted))
    assert "Failures" in COUNTED


@both
def test_alarms_go_off_in_time(template: dict[str, Any]) -> None:
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


def test_the_dashboard_shows_metrics_that_there_are(classifier: AudioClassifier, assets: Path) -> None:
    result = classifier.classify(assets / "rain.wav")
    emitted = COUNTED | {f"{stage.capitalize()}Seconds" for stage in result.seconds}
    body = json.loads(IMAGE["Resources"]["Dashboard"]["Properties"]["DashboardBody"]["Fn::Sub"])
    metrics = [metric for widget in body["widgets"] for metric in widget["properties"]["metrics"]]
    functions = [f"${{{name}}}" for name in FUNCTIONS]
    own = [metric for metric in metrics if not metric[0].startswith("AWS/")]
    assert {metric[1] for metric in own} == emitted
    for metric in own:
        assert metric[0] == NAMESPACE
        assert metric[2:5] == ["service", SERVICE, "function_name"]
        assert metric[5] in functions
    for metric in metrics:
        if metric[0] == "AWS/Lambda":
            assert metric[2] == "FunctionName"
            assert metric[3] in functions
