"""Tests of access control in the SAM templates: roles, buckets, queues and APIs."""

from __future__ import annotations

import json
import re
from typing import Any, Final

from audio_classifier.service.settings import DEFAULT_UPLOADS_PREFIX, PREFIX
from infra.zip_template import SOURCE, TARGET
from tests.infra.templates import (
    FUNCTIONS,
    IMAGE,
    ZIP,
    as_list,
    both,
    function,
    named,
    nodes,
    of_type,
    statements,
)

TRACING: Final = {"xray:PutTraceSegments", "xray:PutTelemetryRecords"}
# Step Functions samples traces, and creates the delivery of its logs, with the role of the state machine.
TRACING_OF_STEP_FUNCTIONS: Final = TRACING | {"xray:GetSamplingRules", "xray:GetSamplingTargets"}
LOG_DELIVERY: Final = {
    *(f"logs:{verb}LogDelivery" for verb in ("Create", "Get", "Update", "Delete")),
    *("logs:ListLogDeliveries", "logs:PutResourcePolicy"),
    *("logs:DescribeResourcePolicies", "logs:DescribeLogGroups"),
}
# The actions that each role may use for all resources, because they do not support any.
WILDCARDS: Final = {
    "ApiRole": [TRACING],
    "UploadRole": [TRACING],
    "BackfillRole": [TRACING_OF_STEP_FUNCTIONS, LOG_DELIVERY],
    "PreTrafficRole": [TRACING],
    "RolloutRole": [{"cloudwatch:DescribeAlarms"}],
}


@both
def test_role_statements_use_no_wildcards_except_where_necessary(template: dict[str, Any]) -> None:
    roles = of_type(template, "AWS::IAM::Role")
    assert roles.keys() == WILDCARDS.keys()
    for role in roles:
        granted = statements(template, role)
        assert len(granted) > 2
        assert not [one for statement in granted for one in as_list(statement["Action"]) if "*" in one]
        unlimited = [set(as_list(one["Action"])) for one in granted if "*" in as_list(one["Resource"])]
        assert unlimited == WILDCARDS[role]
        assert "ManagedPolicyArns" not in roles[role]


@both
def test_roles_grant_access_to_default_prefixes(template: dict[str, Any]) -> None:
    def resources(role: str, action: str) -> set[str]:
        granted = [one for one in statements(template, role) if action in as_list(one["Action"])]
        names = {"HasExistingResults"}  # of conditions
        return {text for one in granted for text in nodes(one["Resource"]) if isinstance(text, str)} - names

    results = {
        "${ResultsBucket.Arn}/${ResultsPrefix}*",
        "arn:${AWS::Partition}:s3:::${ExistingResultsBucket}/${ResultsPrefix}*",
    }
    uploads, model = (
        f"${{UploadsBucket.Arn}}/{DEFAULT_UPLOADS_PREFIX}*",
        "arn:${AWS::Partition}:s3:::${ModelBucket}/*",
    )
    assert resources("ApiRole", "s3:GetObject") == {uploads, model} | results
    assert resources("ApiRole", "s3:PutObject") == {uploads}
    assert resources("UploadRole", "s3:PutObject") == results
    assert results <= resources("UploadRole", "s3:GetObject")
    assert "${UploadsBucket.Arn}/*" in resources("UploadRole", "s3:GetObjectVersion")
    for role in ("ApiRole", "UploadRole"):
        # While a new prefix is deployed, the live version still reads from the old one.
        assert model in resources(role, "s3:GetObject")
        # Without it, S3 answers 403 for results that are not stored yet.
        assert {"UploadsBucket", "ResultsBucket"} <= resources(role, "s3:ListBucket")


@both
def test_only_the_upload_function_may_publish_to_the_bus_of_the_parameter(template: dict[str, Any]) -> None:
    arn = "arn:${AWS::Partition}:events:${AWS::Region}:${AWS::AccountId}:event-bus/${EventBusName}"
    granted = {
        role: one
        for role in of_type(template, "AWS::IAM::Role")
        for one in statements(template, role)
        if "events:" in str(one["Action"])
    }
    assert granted == {
        "UploadRole": {
            "Effect": "Allow",
            "Action": ["events:DescribeEventBus", "events:PutEvents"],
            "Resource": {"Fn::Sub": arn},
        }
    }
    buses = {
        name: function(template, name)["Environment"]["Variables"].get(PREFIX + "EVENT_BUS")
        for name in FUNCTIONS
    }
    assert buses == {"ApiFunction": None, "UploadFunction": {"Ref": "EventBusName"}}


@both
def test_buckets_are_private_encrypted_and_cleaned_up(template: dict[str, Any]) -> None:
    buckets = of_type(template, "AWS::S3::Bucket")
    assert buckets.keys() == {"UploadsBucket", "ResultsBucket"}
    for name, bucket in buckets.items():
        assert len(bucket["PublicAccessBlockConfiguration"]) == 4
        assert all(bucket["PublicAccessBlockConfiguration"].values())
        assert named(bucket["OwnershipControls"], "ObjectOwnership") == ["BucketOwnerEnforced"]
        (algorithm,) = named(bucket["BucketEncryption"], "SSEAlgorithm")
        assert algorithm == {"Fn::If": ["HasKmsKey", "aws:kms", "AES256"]}
        assert named(bucket["LifecycleConfiguration"], "DaysAfterInitiation")
        assert named(bucket["LifecycleConfiguration"], "NoncurrentDays")
        resource = template["Resources"][name]
        assert resource["DeletionPolicy"].startswith("Retain")
        assert resource["UpdateReplacePolicy"] == "Retain"
        (policy,) = (
            policy
            for policy in of_type(template, "AWS::S3::BucketPolicy").values()
            if policy["Bucket"] == {"Ref": name}
        )
        arns = [{"Fn::GetAtt": [name, "Arn"]}, {"Fn::Sub": f"${{{name}.Arn}}/*"}]
        assert_denied_without_tls(policy, "s3:*", arns)


@both
def test_queues_are_encrypted_and_accept_only_notifications_of_the_uploads_bucket(
    template: dict[str, Any],
) -> None:
    policies = {
        policy["Queues"][0]["Ref"]: policy for policy in of_type(template, "AWS::SQS::QueuePolicy").values()
    }
    for name, queue in of_type(template, "AWS::SQS::Queue").items():
        assert queue["SqsManagedSseEnabled"] is True
        assert_denied_without_tls(policies[name], "sqs:*", [{"Fn::GetAtt": [name, "Arn"]}])
    allowed = [
        one
        for policy in policies.values()
        for one in nodes(policy["PolicyDocument"]["Statement"])
        if isinstance(one, dict) and one.get("Effect") == "Allow"
    ]
    notifications, events = allowed
    assert events["Principal"] == {"Service": "events.amazonaws.com"}
    assert events["Resource"] == {"Fn::GetAtt": ["UploadsQueue", "Arn"]}
    assert events["Condition"] == {
        "ArnEquals": {"aws:SourceArn": {"Fn::GetAtt": ["ExistingUploadsRule", "Arn"]}}
    }
    assert notifications["Principal"] == {"Service": "s3.amazonaws.com"}
    assert notifications["Resource"] == {"Fn::GetAtt": ["UploadsQueue", "Arn"]}
    name, values = of_type(template, "AWS::S3::Bucket")["UploadsBucket"]["BucketName"]["Fn::Sub"]
    assert notifications["Condition"] == {
        "StringEquals": {"aws:SourceAccount": {"Ref": "AWS::AccountId"}},
        "ArnEquals": {"aws:SourceArn": {"Fn::Sub": [f"arn:${{AWS::Partition}}:s3:::{name}", values]}},
    }


def assert_denied_without_tls(policy: dict[str, Any], actions: str, arns: list[Any]) -> None:
    (statement,) = [one for one in policy["PolicyDocument"]["Statement"] if one.get("Effect") == "Deny"]
    assert statement["Condition"] == {"Bool": {"aws:SecureTransport": False}}
    assert (statement["Principal"], statement["Action"]) == ("*", actions)
    assert as_list(statement["Resource"]) == arns


@both
def test_results_do_not_trigger_upload_notifications(template: dict[str, Any]) -> None:
    buckets = of_type(template, "AWS::S3::Bucket")
    assert "NotificationConfiguration" not in buckets["ResultsBucket"]
    assert named(buckets["UploadsBucket"], "Queue") == [{"Fn::GetAtt": ["UploadsQueue", "Arn"]}]
    for name in FUNCTIONS:
        variables = function(template, name)["Environment"]["Variables"]
        assert variables[PREFIX + "RESULTS_BUCKET"] == {
            "Fn::If": ["HasExistingResults", {"Ref": "ExistingResultsBucket"}, {"Ref": "ResultsBucket"}]
        }
        assert variables.get(PREFIX + "UPLOADS_BUCKET", {"Ref": "UploadsBucket"}) == {"Ref": "UploadsBucket"}


@both
def test_every_operation_requires_authorization_of_access_parameter(template: dict[str, Any]) -> None:
    for api in ("HttpApi", "RestApi"):
        operations = named(template["Resources"][api], "x-amazon-apigateway-any-method")
        assert operations
        for operation in operations:
            condition, signed, otherwise = operation["security"]["Fn::If"]
            assert (condition, signed) == ("UsesIam", [{"iam": []}])
            if api == "HttpApi":
                assert otherwise == {"Fn::If": ["UsesJwt", [{"jwt": []}], []]}
    body = template["Resources"]["HttpApi"]["Properties"]["DefinitionBody"]
    condition, preflight, _ = body["paths"]["/{proxy+}"]["Fn::If"]
    assert (condition, preflight.keys()) == ("HasCors", {"options"})
    assert template["Parameters"]["Access"]["Default"] == "IAM"


def test_backfill_has_its_substitutions_timeouts_and_permissions() -> None:
    for path, template in ((SOURCE, IMAGE), (TARGET, ZIP)):
        machine = template["Resources"]["Backfill"]["Properties"]
        text = (path.parent / machine["DefinitionUri"]).read_text(encoding="utf-8")
        assert {*re.findall(r"\$\{(\w+)\}", text)} == machine["DefinitionSubstitutions"].keys()
        definition = json.loads(text)
        timeout_s = max(template["Parameters"]["UploadTimeout"]["AllowedValues"])
        assert all(task_s > timeout_s for task_s in named(definition, "TimeoutSeconds"))
        writers = named(definition, "ResultWriter")
        written = {f"${{ResultsBucket.Arn}}/{one['Parameters']['Prefix']}*" for one in writers}
        granted = [
            one for one in statements(template, "BackfillRole") if "s3:PutObject" in as_list(one["Action"])
        ]
        assert {one["Resource"]["Fn::Sub"] for one in granted} == written
        (machine_arn,) = (
            one["Resource"]["Fn::Sub"]
            for one in statements(template, "BackfillRole")
            if one["Action"] == "states:StartExecution"
        )
        name, values = machine["Name"]["Fn::Sub"]
        assert machine_arn[0].endswith(f":stateMachine:{name}")
        assert machine_arn[1] == values
        (destination,) = machine["Logging"]["Destinations"]
        assert named(destination, "LogGroupArn") == [{"Fn::GetAtt": ["BackfillLogs", "Arn"]}]
