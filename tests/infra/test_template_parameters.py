"""Tests of parameters of the SAM templates that depend on each other or expire objects."""

from __future__ import annotations

from typing import Any

import pytest

from audio_classifier.service.settings import DEFAULT_RESULTS_PREFIX
from tests.infra.templates import both, of_type


def refused(template: dict[str, Any], **given: str) -> list[str]:
    """Return the messages of the assertions that refuse parameters, as CloudFormation evaluates them."""
    defaults = {name: str(one["Default"]) for name, one in template["Parameters"].items()}
    values = {**defaults, **given}

    def evaluate(value: Any) -> Any:
        match value:
            case {"Ref": name}:
                return values[name]
            case {"Fn::Equals": [one, other]}:
                return str(evaluate(one)) == str(evaluate(other))
            case {"Fn::Not": [one]}:
                return not evaluate(one)
            case {"Fn::And": terms}:
                return all(map(evaluate, terms))
        return value

    return [
        assertion["AssertDescription"]
        for rule in template["Rules"].values()
        if evaluate(rule["RuleCondition"])
        for assertion in rule["Assertions"]
        if not evaluate(assertion["Assert"])
    ]


@both
@pytest.mark.parametrize(
    "given",
    [
        {},
        {"ModelBucket": "models"},
        {"ModelBucket": "models", "ModelPrefix": "max/"},
        {"SnapStart": "true"},
        {"SnapStart": "false", "ProvisionedConcurrency": "2"},
        {"Access": "JWT", "JwtIssuer": "https://issuer", "JwtAudience": "me"},
        {"ApiType": "REST", "Access": "NONE", "CorsOrigins": "*"},
    ],
)
def test_consistent_parameters_are_accepted(template: dict[str, Any], given: dict[str, str]) -> None:
    assert refused(template, **given) == []


@both
@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"ModelPrefix": "max/"}, "ModelPrefix requires ModelBucket"),
        (
            {"SnapStart": "true", "ProvisionedConcurrency": "1"},
            "SnapStart=true requires ProvisionedConcurrency=0",
        ),
        ({"Access": "JWT", "JwtIssuer": "https://issuer"}, "Access=JWT requires JwtAudience"),
        ({"ApiType": "REST", "CorsOrigins": "*"}, "CorsOrigins with Access=IAM requires ApiType=HTTP"),
    ],
)
def test_contradictory_parameters_are_refused(
    template: dict[str, Any], given: dict[str, str], message: str
) -> None:
    (text,) = refused(template, **given)
    assert text.startswith(message)


@both
def test_results_and_reports_of_backfills_expire_only_if_wanted(template: dict[str, Any]) -> None:
    rules = of_type(template, "AWS::S3::Bucket")["ResultsBucket"]["LifecycleConfiguration"]["Rules"]
    expiring = {rule["Fn::If"][1]["Prefix"]: rule["Fn::If"] for rule in rules if "Fn::If" in rule}
    assert [*expiring] == [DEFAULT_RESULTS_PREFIX, "backfill/"]
    for parameter, (condition, rule, otherwise) in zip(
        ("ResultsExpireDays", "ReportsExpireDays"), expiring.values(), strict=True
    ):
        assert rule["ExpirationInDays"] == {"Ref": parameter}
        assert template["Parameters"][parameter]["Default"] == 0
        assert template["Conditions"][condition] == {"Fn::Not": [{"Fn::Equals": [{"Ref": parameter}, 0]}]}
        assert otherwise == {"Ref": "AWS::NoValue"}
    (tidy,) = [rule for rule in rules if "Fn::If" not in rule]
    # An expired object of a versioned bucket leaves a delete marker.
    assert tidy["ExpiredObjectDeleteMarker"] is True
    assert "Prefix" not in tidy


@both
def test_web_pages_can_read_the_errors_of_a_rest_api(template: dict[str, Any]) -> None:
    body = template["Resources"]["RestApi"]["Properties"]["Body"]
    condition, responses, _ = body["x-amazon-apigateway-gateway-responses"]["Fn::If"]
    assert condition == "HasCors"
    assert responses.keys() == {"DEFAULT_4XX", "DEFAULT_5XX"}
    header = {"gatewayresponse.header.Access-Control-Allow-Origin": "'*'"}
    assert [one["responseParameters"] for one in responses.values()] == [header, header]
    stage = template["Resources"]["RestStage"]["Properties"]["DeploymentId"]
    conditions = {
        resource["Condition"]: {"Ref": name}
        for name, resource in template["Resources"].items()
        if resource["Type"] == "AWS::ApiGateway::Deployment"
    }
    nested = {"Fn::If": ["RestHasCors", conditions["RestHasCors"], conditions["RestIsOpen"]]}
    assert stage == {"Fn::If": ["RestIsSigned", conditions["RestIsSigned"], nested]}
