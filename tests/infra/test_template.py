"""Tests that the SAM templates agree with the code, with each other and with the documentation."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import sys
from dataclasses import fields
from pathlib import Path
from typing import Any, Final

import pytest
import requests

from audio_classifier.aws_lambda.batches import PARALLEL_OBJECTS
from audio_classifier.service.settings import (
    DEFAULT_MAX_RECEIVES,
    DEFAULT_RESULTS_PREFIX,
    PREFIX,
    Settings,
)
from tests.infra.templates import (
    FUNCTIONS,
    IMAGE,
    VARIABLE,
    ZIP,
    both,
    conditions_in,
    function,
    max_length,
    named,
    of_type,
    parameters_in,
    statements,
)
from tests.support.serving import serving

ROOT = Path(__file__).parents[2]
README = (ROOT / "infra" / "README.md").read_text(encoding="utf-8")
DAY_S: Final = 86400
# API Gateway's quotas: how long a REST API and an HTTP API wait for a function.
GATEWAY_MS: Final = {"RestApi": 29000, "HttpApi": 30000}
# Parameters that apply without a new version: to the alias, deployments, the function or its event source.
UNVERSIONED: Final = {
    "UploadBatchSize",
    "ProvisionedConcurrency",
    "Rollout",
    "UploadReservedConcurrency",
    "UploadMaxConcurrency",
}


@both
@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_environment_variable_is_a_setting(template: dict[str, Any], name: str) -> None:
    settings = {PREFIX + field.name.upper() for field in fields(Settings)}
    variables = function(template, name)["Environment"]["Variables"].keys()
    assert variables >= {PREFIX + "BUNDLE", PREFIX + "RESULTS_BUCKET"}
    assert variables <= settings | {"MALLOC_MMAP_THRESHOLD_", "MALLOC_TOP_PAD_"}


@both
def test_each_function_warms_up_its_entry_point(template: dict[str, Any]) -> None:
    warm_ups = {
        name: function(template, name)["Environment"]["Variables"][PREFIX + "WARM_UP"] for name in FUNCTIONS
    }
    assert warm_ups == {"ApiFunction": "http", "UploadFunction": "uploads"}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_zip_functions_have_the_malloc_settings_of_the_image(name: str) -> None:
    image = re.findall(r"(MALLOC_\w+)=(\d+)", (ROOT / "Dockerfile.lambda").read_text(encoding="utf-8"))
    variables = function(ZIP, name)["Environment"]["Variables"]
    assert image
    assert {key: value for key, value in variables.items() if key.startswith("MALLOC_")} == dict(image)


def test_handler_of_all_functions_can_be_imported() -> None:
    names = [*FUNCTIONS, "PreTrafficFunction"]
    handlers = [function(ZIP, name)["Handler"] for name in names]
    assert handlers == [one for name in names for one in function(IMAGE, name)["ImageConfig"]["Command"]]
    assert handlers[0] == handlers[1]
    for handler in handlers[1:]:
        module, _, attribute = handler.rpartition(".")
        # In a process of its own, because the import configures logging and loads the model.
        check = f"from {module} import {attribute}; assert callable({attribute})"
        subprocess.run([sys.executable, "-c", check], check=True)


@both
def test_functions_have_8192_mb_by_default_and_less_with_snapstart(template: dict[str, Any]) -> None:
    memory = {"Ref": "MemorySize"}
    assert template["Parameters"]["MemorySize"]["Default"] == 8192
    assert function(template, "UploadFunction")["MemorySize"] == {
        "Fn::If": ["HasUploadMemory", {"Ref": "UploadMemorySize"}, memory]
    }
    api = function(template, "ApiFunction")
    assert api["MemorySize"] == {"Fn::If": ["UsesSnapStart", {"Ref": "SnapStartMemorySize"}, memory]}
    assert api["SnapStart"] == {"ApplyOn": {"Fn::If": ["UsesSnapStart", "PublishedVersions", "None"]}}
    assert template["Parameters"]["SnapStartMemorySize"]["Default"] == 1769
    # The snapshot of an old version would be charged for.
    assert api["VersionDeletionPolicy"] == "Delete"
    assert "SnapStart" not in function(template, "UploadFunction")


@both
def test_api_waits_longer_than_timeout_of_function(template: dict[str, Any]) -> None:
    for api, limit_ms in GATEWAY_MS.items():
        timeouts_ms = named(template["Resources"][api], "timeoutInMillis")
        assert timeouts_ms
        function_ms = function(template, "ApiFunction")["Timeout"] * 1000
        assert all(function_ms < timeout_ms <= limit_ms for timeout_ms in timeouts_ms)


@both
def test_messages_are_hidden_while_processed_and_kept_long_enough(template: dict[str, Any]) -> None:
    queues = of_type(template, "AWS::SQS::Queue")
    upload = function(template, "UploadFunction")
    assert upload["Timeout"] == {"Ref": "UploadTimeout"}
    timeouts = template["Mappings"]["UploadTimeouts"]
    assert timeouts.keys() == {str(one) for one in template["Parameters"]["UploadTimeout"]["AllowedValues"]}
    for name, source in (("UploadsQueue", "Uploads"), ("RetryQueue", "Retries")):
        event = upload["Events"][source]["Properties"]
        assert event["Queue"] == {"Fn::GetAtt": [name, "Arn"]}
        window_s = event.get("MaximumBatchingWindowInSeconds", 0)
        assert queues[name]["VisibilityTimeout"] == {
            "Fn::FindInMap": ["UploadTimeouts", {"Ref": "UploadTimeout"}, "Visibility"]
        }
        for timeout_s, values in timeouts.items():
            assert values["Visibility"] >= 6 * int(timeout_s) + window_s
        assert event["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
    # The retention period starts when a message enters the first queue.
    uploads_s, retry_s, dead_s = (
        queues[name]["MessageRetentionPeriod"] for name in ("UploadsQueue", "RetryQueue", "DeadLetterQueue")
    )
    assert uploads_s < retry_s < dead_s
    lifecycle = of_type(template, "AWS::S3::Bucket")["UploadsBucket"]["LifecycleConfiguration"]
    (noncurrent_days,) = named(lifecycle, "NoncurrentDays")
    kept_days = template["Parameters"]["UploadsExpireDays"]["Default"]
    assert min(noncurrent_days, kept_days) * DAY_S >= dead_s


@both
def test_upload_that_was_not_processed_is_retried_in_an_invocation_of_its_own(
    template: dict[str, Any],
) -> None:
    queues = of_type(template, "AWS::SQS::Queue")
    events = function(template, "UploadFunction")["Events"]
    assert queues["UploadsQueue"]["RedrivePolicy"] == {
        "deadLetterTargetArn": {"Fn::GetAtt": ["RetryQueue", "Arn"]},
        "maxReceiveCount": 1,
    }
    assert events["Uploads"]["Properties"]["BatchSize"] == {"Ref": "UploadBatchSize"}
    assert template["Parameters"]["UploadBatchSize"]["MaxValue"] <= PARALLEL_OBJECTS
    assert events["Retries"]["Properties"]["BatchSize"] == 1
    retries = queues["RetryQueue"]["RedrivePolicy"]
    assert retries["deadLetterTargetArn"] == {"Fn::GetAtt": ["DeadLetterQueue", "Arn"]}
    assert retries["maxReceiveCount"] > DEFAULT_MAX_RECEIVES
    assert "RedrivePolicy" not in queues["DeadLetterQueue"]


@both
def test_all_callers_use_the_alias_of_the_published_version(template: dict[str, Any]) -> None:
    assert {function(template, name)["AutoPublishAlias"] for name in FUNCTIONS} == {"live"}
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
def test_changed_parameter_publishes_new_version(template: dict[str, Any], name: str) -> None:
    properties = function(template, name)
    description = properties.pop("VersionDescription")
    assert parameters_in(template, description) == parameters_in(template, properties) - UNVERSIONED
    text, chosen = description["Fn::Sub"]
    variables = re.findall(VARIABLE, text)
    for choice, value in chosen.items():
        _, one, other = value["Fn::If"]
        assert one != other
        assert choice in variables
    lengths = [max_length(template, chosen.get(one) or {"Ref": one}) for one in variables]
    assert len(re.sub(VARIABLE, "", text)) + sum(lengths) <= 256
    assert properties["AutoPublishAliasAllProperties"] is True


@both
def test_results_of_two_buckets_have_separate_prefixes(template: dict[str, Any]) -> None:
    for name in FUNCTIONS:
        prefix = function(template, name)["Environment"]["Variables"][PREFIX + "RESULTS_PREFIX"]
        condition, of_two, of_one = prefix["Fn::If"]
        assert (condition, of_one) == ("HasTwoBuckets", {"Ref": "ResultsPrefix"})
        assert of_two == {"Fn::Sub": "${ResultsPrefix}{bucket}/"}
    assert template["Parameters"]["ResultsPrefix"]["Default"] == DEFAULT_RESULTS_PREFIX


@both
def test_changed_rest_api_is_deployed(template: dict[str, Any]) -> None:
    properties = template["Resources"]["RestApi"]["Properties"]
    digest = hashlib.sha256(json.dumps(properties, sort_keys=True).encode()).hexdigest()[:8]
    wanted = {f"RestDeployment{kind}{digest}" for kind in ("Signed", "Open", "Cors")}
    assert of_type(template, "AWS::ApiGateway::Deployment").keys() == wanted, (
        f"RestApi has changed: rename its deployments to end in {digest}, or the change is not deployed"
    )


def test_http_api_exposes_the_same_headers_as_the_app() -> None:
    page = "https://page.example"
    with serving(cors_origins=(page,)) as (url, _):
        response = requests.get(f"{url}/healthz", headers={"Origin": page}, timeout=5)
    exposed = response.headers["Access-Control-Expose-Headers"].lower().split(", ")
    (cors,) = named(IMAGE["Resources"]["HttpApi"], "x-amazon-apigateway-cors")
    assert sorted(cors["Fn::If"][1]["exposeHeaders"]) == sorted(exposed)


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


def test_readme_documents_all_parameters_and_defaults() -> None:
    rows = re.findall(r"^\| `([A-Z]\w+)` \| (?:`(\S*)`)? ?\| (.*) \|$", README, re.MULTILINE)
    documented = {name: default for name, default, _ in rows}
    assert documented == {name: str(one["Default"]) for name, one in IMAGE["Parameters"].items()}
    image_only = {name for name, _, meaning in rows if meaning.endswith("(image only)")}
    assert documented.keys() - image_only == ZIP["Parameters"].keys()


def test_outputs_in_readme_exist() -> None:
    documented = set(re.findall(r"\$(\w*[a-z]\w*)", README)) | {"DashboardUrl"}
    assert documented <= IMAGE["Outputs"].keys()


def test_build_arguments_and_target_exist_in_dockerfile() -> None:
    functions = of_type(IMAGE, "AWS::Serverless::Function").keys()
    metadata = [IMAGE["Resources"][name].get("Metadata", {}) for name in functions]
    builds = [data for data in metadata if "Dockerfile" in data]
    assert len(builds) > len(FUNCTIONS)
    for build in builds:
        dockerfile = (ROOT / build["DockerContext"] / build["Dockerfile"]).read_text(encoding="utf-8")
        arguments = dict(re.findall(r"^ARG (\w+)=(\S+)$", dockerfile, re.MULTILINE))
        defaults = {
            name: IMAGE["Parameters"][value["Ref"]]["Default"]
            for name, value in build["DockerBuildArgs"].items()
        }
        assert defaults == {name: arguments[name] for name in ("BUNDLE", "BASE_IMAGE")}
        assert build["DockerBuildTarget"] in re.findall(r"^FROM \S+ AS (\w+)$", dockerfile, re.MULTILINE)
