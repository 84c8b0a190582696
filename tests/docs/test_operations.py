"""Check the commands, tables and limits in docs/operations.md against the code and the templates."""

from __future__ import annotations

import io
import json
import re
import shlex
from contextvars import copy_context
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from aws_lambda_powertools import Logger
from botocore.validate import ParamValidator

from audio_classifier.aws_lambda.response_size import MAX_BYTES
from audio_classifier.server.limiter import ConcurrencyLimiter
from audio_classifier.server.metrics import Metrics
from audio_classifier.server.uploads import EXPIRES_S
from audio_classifier.service.log_context import AddLogFields, add_log_fields
from audio_classifier.service.settings import Settings
from audio_classifier.service.shared_classifier import SharedClassifier
from tests.infra.templates import IMAGE, function, of_type

ROOT = Path(__file__).parents[2]
DOCUMENT = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
EVENTS = (ROOT / "docs" / "events.md").read_text(encoding="utf-8")
MACHINE = (ROOT / "infra" / "backfill.asl.json").read_text(encoding="utf-8")
COMMANDS = [
    shlex.split(command)
    for block in re.findall(r"```bash\n(.*?)```", DOCUMENT + EVENTS, re.DOTALL)
    for command in map(str.strip, block.replace("\\\n", " ").splitlines())
    if command.startswith("aws ") and not command.startswith("aws cloudformation deploy ")  # not an operation
]


def section(title: str) -> str:
    """Return the text below a heading."""
    _, _, rest = DOCUMENT.partition(f"\n## {title}\n")
    return rest.partition("\n## ")[0]


def first_cells(title: str) -> list[str]:
    """Return the first column of a section's tables, without the header rows."""
    return re.findall(r"^\| (?!.*\n\|---)(\S.*?) \|", section(title), re.MULTILINE)


def parameters(command: list[str]) -> dict[str, Any]:
    """Return the options of a command under the names of the API."""
    options = zip(command, [*command[1:], "--"], strict=True)
    named = {name: value for name, value in options if name.startswith("--")}
    return {
        name.removeprefix("--").title().replace("-", ""): json.loads(value) if value[0] in "{[" else value
        for name, value in named.items()
        if not value.startswith("--")
    }


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[2])
def test_aws_command_matches_the_service_model(command: list[str]) -> None:
    client = boto3.client(command[1], region_name="us-east-1")
    options = parameters(command)
    operation = command[2].title().replace("-", "")
    shape = client.meta.service_model.operation_model(operation).input_shape
    members = {name.lower(): (name, member.type_name) for name, member in shape.members.items()}
    values = {}
    for option, value in options.items():
        name, kind = members[option.lower()]
        # The API takes a state machine's input as a string of JSON.
        text = json.dumps(value) if kind == "string" and isinstance(value, dict) else value
        values[name] = int(value) if kind == "integer" else text
    assert ParamValidator().validate(values, shape).generate_report() == ""


def test_table_of_inputs_lists_every_input_of_the_state_machine() -> None:
    read = {*re.findall(r'"\$\.(\w+)"', MACHINE), *re.findall(r'"\$\.(inventory)\.', MACHINE)}
    table = {name for cell in first_cells("Bulk work") for name in re.findall(r"`(\w+)`", cell)}
    assert table == read - {"defaults", "given", "all", "Payload"}
    inputs = [parameters(command)["Input"] for command in COMMANDS if command[2] == "start-execution"]
    assert {name for one in inputs for name in one} <= table
    assert [one.keys() & {"bucket", "inventory"} for one in inputs] == [{"bucket"}, {"inventory"}]


def test_table_of_alarms_lists_every_alarm_and_names_existing_parameters() -> None:
    alarms = [*of_type(IMAGE, "AWS::CloudWatch::Alarm"), *of_type(IMAGE, "AWS::CloudWatch::CompositeAlarm")]
    listed = [name for cell in first_cells("Alarms") for name in cell.split(", ") if name.endswith("Alarm")]
    assert sorted(listed) == sorted(alarms)
    assert {*re.findall(r"`([A-Z]\w+)`", section("Alarms"))} <= IMAGE["Parameters"].keys()


def test_table_of_burn_rates_matches_the_alarms() -> None:
    rows = re.findall(
        r"^\| ([\d.]+) \| (\d+) (\w+) \| .* \| (\d+) (\w+) \|$", section("Alarms"), re.MULTILINE
    )
    alarms = {
        name: (alarm["Threshold"], alarm["Metrics"][1]["MetricStat"]["Period"])
        for name, alarm in of_type(IMAGE, "AWS::CloudWatch::Alarm").items()
        if name.startswith("ApiBurn")
    }
    seconds = {"minutes": 60, "hour": 3600, "hours": 3600}
    listed = [
        (float(rate), int(count) * seconds[unit])
        for rate, *windows in rows
        for count, unit in (windows[:2], windows[2:])
    ]
    assert sorted(listed) == sorted(alarms.values())


def test_variables_for_dead_letters_are_outputs_of_the_stack() -> None:
    assert {*re.findall(r"\$(\w+)", section("Dead letters"))} <= IMAGE["Outputs"].keys()


def test_tables_of_logs_and_metrics_match_the_template() -> None:
    groups = of_type(IMAGE, "AWS::Logs::LogGroup").values()
    log_groups = {group["LogGroupName"]["Fn::Sub"].replace("${AWS::StackName}", "STACK") for group in groups}
    body = json.loads(IMAGE["Resources"]["Dashboard"]["Properties"]["DashboardBody"]["Fn::Sub"])
    metrics = [metric for widget in body["widgets"] for metric in widget["properties"]["metrics"]]
    custom = {metric[1] for metric in metrics if metric[0] == "AudioClassifier"}
    cells = first_cells("Logs and metrics")
    assert {cell for cell in cells if cell.startswith("/")} == log_groups
    assert {name for cell in cells if not cell.startswith("/") for name in cell.split(", ")} == custom


def test_documented_log_fields_are_written() -> None:
    text = section("Logs and metrics")
    of_functions, of_requests = (
        {*re.findall(r"(?:^fields |^\| filter |, )(\w+)", query, re.MULTILINE)}
        for query in re.findall(r"```\n(.*?)```", text, re.DOTALL)
    )
    (requests,) = re.findall(r"requests: (.*) \|", text)
    logged = json.loads(IMAGE["Mappings"]["AccessLog"]["Format"]["Json"]).keys()
    assert of_requests <= {*re.findall(r"`(\w+)`", requests)} == logged
    (functions,) = re.findall(r"JSON object for each log entry: (.*?)\. This query", text, re.DOTALL)
    assert of_functions | {*re.findall(r"`(\w+)`", functions)} <= fields_of_an_error()


def fields_of_an_error() -> set[str]:
    """Return the fields that a function's logger writes for an exception."""
    written = io.StringIO()
    logger = Logger(service="test-operations", stream=written)
    logger.registered_handler.addFilter(AddLogFields())
    context = SimpleNamespace(
        function_name="f", memory_limit_in_mb=512, invoked_function_arn="arn", aws_request_id="id"
    )

    @logger.inject_lambda_context
    def handler(_event: dict[str, Any], _context: Any) -> None:
        add_log_fields(request_id="id", object="s3://bucket/key")
        try:
            raise ValueError
        except ValueError:
            logger.exception("failed")

    copy_context().run(handler, {}, context)
    return {*json.loads(written.getvalue())}


def test_table_of_limits_matches_the_template() -> None:
    queues = of_type(IMAGE, "AWS::SQS::Queue")
    timeout_s = IMAGE["Parameters"]["UploadTimeout"]["Default"]
    visibility_s = IMAGE["Mappings"]["UploadTimeouts"][str(timeout_s)]["Visibility"]
    uploads, dead = queues["UploadsQueue"], queues["DeadLetterQueue"]
    retries = queues["RetryQueue"]["RedrivePolicy"]["maxReceiveCount"]
    assert sorted(first_cells("Limits")) == sorted(
        [
            f"{function(IMAGE, 'ApiFunction')['Timeout']} s",
            f"{timeout_s} s",
            "6 MB",
            f"{MAX_BYTES:,} bytes",
            "`MaxObjectBytes`",
            f"{retries} times, {visibility_s // 60} minutes apart",
            f"{uploads['MessageRetentionPeriod'] // 86400} days",
            f"{dead['MessageRetentionPeriod'] // 86400} days",
            f"{EXPIRES_S // 60} minutes",
        ]
    )


def test_documented_prometheus_metrics_exist() -> None:
    metrics = Metrics(SharedClassifier(Settings.from_environment({})), ConcurrencyLimiter(1, 1))
    suffixes = {"counter": "_total", "info": "_info"}
    names = {f"{family.name}{suffixes.get(family.type, '')}" for family in metrics.registry.collect()}
    observability = section("Observability")
    _, _, rows = observability.partition("| metric | meaning |\n|---|---|\n")
    cells = [row.split(" | ")[0] for row in rows.partition("\n\n")[0].splitlines()]
    assert {f"audio_classifier_{name}" for cell in cells for name in re.findall(r"`(\w+)`", cell)} == names
    queries = "".join(re.findall(r"```promql\n(.*?)```", observability, re.DOTALL))
    queried = {re.sub(r"_(bucket|sum)$", "", name) for name in re.findall(r"audio_classifier_\w+", queries)}
    assert queried
    assert queried <= names
