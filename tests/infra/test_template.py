"""The templates for SAM are held against the code and the documents."""

from __future__ import annotations

import ast
import hashlib
import json
import re
from dataclasses import fields
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import pytest

from audio_classifier.service.settings import DEFAULT_RESULTS_PREFIX, PREFIX, Settings
from tests.infra.templates import (
    FUNCTIONS,
    IMAGE,
    ZIP,
    both,
    conditions_in,
    function,
    named,
    of_type,
    parameters_in,
    statements,
)

ROOT = Path(__file__).parents[2]
README = (ROOT / "infra" / "README.md").read_text(encoding="utf-8")
PACKAGE = ROOT / "function" / "audio_classifier"
DAY_S: Final = 86400
# Of API Gateway's quotas: what a REST API and an HTTP API wait for a function.
GATEWAY_MS: Final = {"RestApi": 29000, "HttpApi": 30000}
# What changes without a version: the alias' own, the function's own, the queue's.
UNVERSIONED: Final = {"ProvisionedConcurrency", "UploadReservedConcurrency", "UploadMaxConcurrency"}
VARIABLE: Final = r"\$\{(\w+)\}"


@both
@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_variable_is_a_setting(template: dict[str, Any], name: str) -> None:
    settings = {PREFIX + field.name.upper() for field in fields(Settings)}
    variables = function(template, name)["Environment"]["Variables"].keys()
    assert variables >= {PREFIX + "BUNDLE", PREFIX + "RESULTS_BUCKET"}
    assert variables <= settings | {"MALLOC_MMAP_THRESHOLD_", "MALLOC_TOP_PAD_"}


@both
def test_functions_make_ready_what_they_are_for(template: dict[str, Any]) -> None:
    told = {
        name: function(template, name)["Environment"]["Variables"][PREFIX + "WARM_UP"] for name in FUNCTIONS
    }
    assert told == {"ApiFunction": "http", "UploadFunction": "uploads"}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_zip_says_to_the_c_library_what_the_image_says(name: str) -> None:
    image = re.findall(r"(MALLOC_\w+)=(\d+)", (ROOT / "Dockerfile.lambda").read_text(encoding="utf-8"))
    variables = function(ZIP, name)["Environment"]["Variables"]
    assert image
    assert {key: value for key, value in variables.items() if key.startswith("MALLOC_")} == dict(image)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_handler_exists(name: str) -> None:
    module, _, attribute = function(ZIP, name)["Handler"].rpartition(".")
    spec = find_spec(module)
    assert spec is not None
    assert spec.origin is not None
    tree = ast.parse(Path(spec.origin).read_text(encoding="utf-8"))
    assert attribute in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


@both
def test_functions_have_8192_mb(template: dict[str, Any]) -> None:
    assert template["Parameters"]["MemorySize"]["Default"] == 8192
    assert all(function(template, name)["MemorySize"] == {"Ref": "MemorySize"} for name in FUNCTIONS)


@both
def test_the_api_waits_longer_than_its_function_works(template: dict[str, Any]) -> None:
    for api, limit_ms in GATEWAY_MS.items():
        waits_ms = named(template["Resources"][api], "timeoutInMillis")
        assert waits_ms
        assert all(
            function(template, "ApiFunction")["Timeout"] * 1000 < wait <= limit_ms for wait in waits_ms
        )


@both
def test_messages_stay_hidden_while_they_are_worked_on_and_are_kept_long_enough(
    template: dict[str, Any],
) -> None:
    queues = of_type(template, "AWS::SQS::Queue")
    uploads, dead = queues["UploadsQueue"], queues["DeadLetterQueue"]
    upload = function(template, "UploadFunction")
    event = upload["Events"]["Uploads"]["Properties"]
    window_s = event.get("MaximumBatchingWindowInSeconds", 0)
    assert uploads["VisibilityTimeout"] >= 6 * upload["Timeout"] + window_s
    assert event["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
    assert uploads["RedrivePolicy"]["deadLetterTargetArn"] == {"Fn::GetAtt": ["DeadLetterQueue", "Arn"]}
    assert dead["MessageRetentionPeriod"] > uploads["MessageRetentionPeriod"]
    lifecycle = of_type(template, "AWS::S3::Bucket")["UploadsBucket"]["LifecycleConfiguration"]
    (noncurrent_days,) = named(lifecycle, "NoncurrentDays")
    kept_days = template["Parameters"]["UploadsExpireDays"]["Default"]
    assert min(noncurrent_days, kept_days) * DAY_S >= dead["MessageRetentionPeriod"]


@both
def test_everything_calls_the_published_version(template: dict[str, Any]) -> None:
    assert template["Globals"]["Function"]["AutoPublishAlias"] == "live"
    for api in GATEWAY_MS:
        uris = named(template["Resources"][api], "uri")
        assert uris
        assert all(uri["Fn::Sub"].endswith("/functions/${ApiFunction.Arn}:live/invocations") for uri in uris)
    resources = template["Resources"]
    assert resources["ApiPermission"]["Properties"]["FunctionName"] == {"Ref": "ApiFunction.Alias"}
    granted = [
        one for one in statements(template, "BackfillRole") if one["Action"] == "lambda:InvokeFunction"
    ]
    assert [one["Resource"] for one in granted] == [{"Ref": "UploadFunction.Alias"}]


@both
@pytest.mark.parametrize("name", FUNCTIONS)
def test_another_value_of_a_parameter_makes_another_version(template: dict[str, Any], name: str) -> None:
    properties = function(template, name)
    description = properties.pop("VersionDescription")
    assert parameters_in(template, description) == parameters_in(template, properties) - UNVERSIONED
    text, chosen = description["Fn::Sub"]
    named_there = re.findall(VARIABLE, text)
    for choice, value in chosen.items():
        _, one, other = value["Fn::If"]
        assert one != other
        assert choice in named_there
    lengths = [longest(chosen.get(one) or template["Parameters"][one]) for one in named_there]
    assert len(re.sub(VARIABLE, "", text)) + sum(lengths) <= 256
    assert properties["AutoPublishAliasAllProperties"] is True


def longest(value: dict[str, Any]) -> int:
    """How many characters a parameter, or a choice, may have."""
    if "MaxLength" in value:
        return int(value["MaxLength"])
    choices = value.get("AllowedValues") or value.get("Fn::If", [])[1:] or [value["MaxValue"]]
    return max(len(str(choice)) for choice in choices)


@both
def test_results_of_two_buckets_do_not_meet(template: dict[str, Any]) -> None:
    for name in FUNCTIONS:
        prefix = function(template, name)["Environment"]["Variables"][PREFIX + "RESULTS_PREFIX"]
        condition, of_two, of_one = prefix["Fn::If"]
        assert (condition, of_one) == ("HasBackfillBucket", DEFAULT_RESULTS_PREFIX)
        assert of_two == f"{DEFAULT_RESULTS_PREFIX}{{bucket}}/"


@both
def test_another_rest_api_is_deployed(template: dict[str, Any]) -> None:
    properties = template["Resources"]["RestApi"]["Properties"]
    digest = hashlib.sha256(json.dumps(properties, sort_keys=True).encode()).hexdigest()[:8]
    wanted = {f"RestDeploymentSigned{digest}", f"RestDeploymentOpen{digest}"}
    assert of_type(template, "AWS::ApiGateway::Deployment").keys() == wanted, (
        f"RestApi was changed: let its deployments' names end in {digest}, or the change is never deployed"
    )


def test_an_http_api_lets_pages_read_what_the_function_does() -> None:
    source = (PACKAGE / "server/app.py").read_text(encoding="utf-8")
    (exposed,) = re.findall(r"expose_headers=(\(.*\)),$", source, re.MULTILINE)
    (cors,) = named(IMAGE["Resources"]["HttpApi"], "x-amazon-apigateway-cors")
    assert cors["Fn::If"][1]["exposeHeaders"] == [name.lower() for name in ast.literal_eval(exposed)]


@both
def test_every_parameter_is_used_grouped_and_labelled(template: dict[str, Any]) -> None:
    parameters = template["Parameters"].keys()
    rest = {name: template[name] for name in ("Conditions", "Globals", "Resources", "Outputs")}
    assert parameters_in(template, rest) == parameters
    interface = template["Metadata"]["AWS::CloudFormation::Interface"]
    grouped = [name for group in interface["ParameterGroups"] for name in group["Parameters"]]
    assert sorted(grouped) == sorted(parameters)
    assert interface["ParameterLabels"].keys() == parameters


@both
def test_every_condition_is_used(template: dict[str, Any]) -> None:
    assert conditions_in(template) == template["Conditions"].keys()


def test_the_table_of_parameters_is_complete() -> None:
    rows = re.findall(r"^\| `([A-Z]\w+)` \| (?:`(\S*)`)? ?\| (.*) \|$", README, re.MULTILINE)
    documented = {name: default for name, default, _ in rows}
    assert documented == {name: str(one["Default"]) for name, one in IMAGE["Parameters"].items()}
    image_only = {name for name, _, meaning in rows if meaning.endswith("(image only)")}
    assert documented.keys() - image_only == ZIP["Parameters"].keys()


def test_the_outputs_that_the_document_names_exist() -> None:
    named_there = set(re.findall(r"\$(\w*[a-z]\w*)", README)) | {"DashboardUrl"}
    assert named_there <= IMAGE["Outputs"].keys()


def test_the_image_is_built_from_what_there_is() -> None:
    for name in FUNCTIONS:
        build = IMAGE["Resources"][name]["Metadata"]
        recipe = (ROOT / build["DockerContext"] / build["Dockerfile"]).read_text(encoding="utf-8")
        assert build["DockerBuildArgs"].keys() <= {*re.findall(r"^ARG (\w+)", recipe, re.MULTILINE)}
        assert build["DockerBuildTarget"] in re.findall(r"^FROM \S+ AS (\w+)$", recipe, re.MULTILINE)
