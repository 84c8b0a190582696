"""Tests of what SAM makes of the templates: deployments of CodeDeploy, and the platform of images."""

from __future__ import annotations

import copy
import json
import os
import re
import shutil
import subprocess
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any, Final

import pytest

from tests.infra.templates import FUNCTIONS, IMAGE, both, nodes

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(
        shutil.which("sam") is None, reason="aws-sam-cli, which includes the transform, is not installed"
    ),
]
IMAGE_URI: Final = "123456789012.dkr.ecr.us-east-1.amazonaws.com/image:latest"


def transform(template: dict[str, Any], **parameters: str) -> dict[str, Any]:
    """Return the transformed ``template``, and the ``architectures`` of the functions."""
    packaged = copy.deepcopy(template)
    # `sam package` replaces paths by addresses.
    for resource in packaged["Resources"].values():
        if resource["Properties"].get("PackageType") == "Image":
            resource["Properties"]["ImageUri"] = IMAGE_URI
    for properties in (
        packaged["Globals"]["Function"],
        *(one["Properties"] for one in packaged["Resources"].values()),
    ):
        for name in ("CodeUri", "ContentUri", "DefinitionUri"):
            if name in properties:
                properties[name] = "s3://bucket/key"
    sam = shutil.which("sam")
    assert sam is not None
    run = subprocess.run(
        [Path(sam).resolve().with_name("python"), Path(__file__).with_name("transformed.py")],
        input=json.dumps({"template": packaged, "parameters": parameters}),
        env={**os.environ, "AWS_DEFAULT_REGION": "us-east-1"},
        stdout=subprocess.PIPE,
        check=True,
        text=True,
    )
    result: dict[str, Any] = json.loads(run.stdout)
    return result


def dependencies(resource: dict[str, Any], resources: dict[str, Any]) -> set[str]:
    """Return the resources that another one refers to."""
    found: set[str] = set()
    for node in nodes(resource):
        match node:
            case {"Ref": str(name)}:
                found.add(name)
            case {"Fn::GetAtt": [name, *_]}:
                found.add(name)
            case {"DependsOn": names}:
                found |= {names} if isinstance(names, str) else {*names}
            case str():
                found |= {*re.findall(r"\$\{(\w+)[}.]", node)}
    return found & resources.keys()


@both
@pytest.mark.parametrize("rollout", ["AllAtOnce", "Canary10Percent5Minutes", "Linear10PercentEvery1Minute"])
def test_each_function_is_deployed_by_codedeploy_after_its_test(
    template: dict[str, Any], rollout: str
) -> None:
    assert rollout in template["Parameters"]["Rollout"]["AllowedValues"]
    resources = transform(template, Rollout=rollout)["template"]["Resources"]
    for name in FUNCTIONS:
        alias = resources[f"{name}Aliaslive"]
        assert alias["UpdatePolicy"]["CodeDeployLambdaAliasUpdate"] == {
            "ApplicationName": {"Ref": "ServerlessDeploymentApplication"},
            "DeploymentGroupName": {"Ref": f"{name}DeploymentGroup"},
            "BeforeAllowTrafficHook": {"Ref": "PreTrafficFunction"},
        }
        group = resources[f"{name}DeploymentGroup"]["Properties"]
        assert group["DeploymentConfigName"]["Fn::Sub"][1] == {"ConfigName": rollout}
        assert group["ServiceRoleArn"] == {"Fn::GetAtt": ["RolloutRole", "Arn"]}
        assert group["AutoRollbackConfiguration"]["Enabled"] is True
        (alarm,) = [one["Name"]["Ref"] for one in group["AlarmConfiguration"]["Alarms"]]
        version = {"Fn::GetAtt": [alias["Properties"]["FunctionVersion"]["Fn::GetAtt"][0], "Version"]}
        # The alarm and the test concern the version that the alias will point to.
        executed = [
            one["Value"]
            for one in nodes(resources[alarm])
            if isinstance(one, dict) and one.get("Name") == "ExecutedVersion"
        ]
        assert executed == [version, version]
        variables = resources["PreTrafficFunction"]["Properties"]["Environment"]["Variables"]
        assert {"Ref": version["Fn::GetAtt"][0]} in (variables["API_VERSION"], variables["UPLOAD_VERSION"])
    # The test itself has neither versions nor deployments.
    assert "PreTrafficFunctionAliaslive" not in resources
    assert [name for name, one in resources.items() if one["Type"] == "AWS::IAM::Role"].count(
        "CodeDeployServiceRole"
    ) == 0


@both
@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"ApiType": "REST", "Access": "NONE", "CorsOrigins": "*"},
        {"SnapStart": "true"},
        {"ModelBucket": "models", "ModelPrefix": "max/", "BackfillBucket": "old"},
    ],
)
def test_resources_do_not_depend_on_each_other_in_a_circle(
    template: dict[str, Any], parameters: dict[str, str]
) -> None:
    resources = transform(template, **parameters)["template"]["Resources"]
    graph = {name: dependencies(resource, resources) for name, resource in resources.items()}
    order = [*TopologicalSorter(graph).static_order()]
    # The role can invoke the test, and the alarm exists, before the alias is moved.
    for name in FUNCTIONS:
        alias = order.index(f"{name}Aliaslive")
        assert alias > max(map(order.index, ("PreTrafficFunction", "RolloutRole", f"{name}DeploymentGroup")))


@pytest.mark.parametrize("architecture", ["x86_64", "arm64"])
def test_sam_build_reads_the_platform_of_images_from_the_parameter(architecture: str) -> None:
    architectures = transform(IMAGE, Architecture=architecture)["architectures"]
    assert architectures == dict.fromkeys((*FUNCTIONS, "PreTrafficFunction"), architecture)
