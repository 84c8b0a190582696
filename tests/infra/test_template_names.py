"""Tests that names in the SAM templates cannot become too long, whatever the name of the stack."""

from __future__ import annotations

import json
from typing import Any, Final

import pytest

from tests.infra.templates import both, max_length, of_type

# The longest names that the services accept: https://docs.aws.amazon.com/general/latest/gr/aws-service-information.html
NAME_LIMITS: Final = (
    ("AWS::Serverless::StateMachine", "Name", 80),
    ("AWS::S3::Bucket", "BucketName", 63),
    ("AWS::Logs::LogGroup", "LogGroupName", 512),
    ("AWS::CloudWatch::Dashboard", "DashboardName", 255),
    ("AWS::Serverless::LayerVersion", "LayerName", 140),
    ("AWS::ApiGateway::RestApi", "Name", 128),
)


@both
@pytest.mark.parametrize(("kind", "name", "limit"), NAME_LIMITS)
def test_names_have_at_most_the_permitted_length(
    template: dict[str, Any], kind: str, name: str, limit: int
) -> None:
    resources = of_type(template, kind)
    assert resources or kind == "AWS::Serverless::LayerVersion"
    for properties in (one for one in resources.values() if name in one):
        assert max_length(template, properties[name]) <= limit


@both
def test_every_explicit_name_has_a_limit(template: dict[str, Any]) -> None:
    limited = {(kind, name) for kind, name, _ in NAME_LIMITS}
    explicit = {
        (resource["Type"], name)
        for resource in template["Resources"].values()
        for name, value in resource["Properties"].items()
        if name.endswith("Name") and depends_on_the_stack(value)
    }
    assert explicit <= limited | {("AWS::Lambda::Permission", "FunctionName")}


def depends_on_the_stack(value: Any) -> bool:
    """Return whether a value contains the name or the UUID of the stack."""
    return "AWS::Stack" in json.dumps(value)
