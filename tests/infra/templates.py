"""Load the SAM templates as plain data, with tags in their long form, and query them."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from infra.zip_template import SOURCE, TARGET

FUNCTIONS: Final = ("ApiFunction", "UploadFunction")
# A variable of Fn::Sub.
VARIABLE: Final = r"\$\{([\w:]+)\}"
# The longest values of pseudo parameters; names of regions have at most 14 characters today.
PSEUDO_LENGTHS: Final = {"AWS::StackName": 128, "AWS::Region": 20}

# A YAML loader that supports the tags of CloudFormation, such as !Ref.
_LOADER: Final = type("_Loader", (yaml.SafeLoader,), {})


def _construct(loader: Any, tag: str, node: Any) -> dict[str, Any]:
    is_list = isinstance(node, yaml.SequenceNode)
    value = loader.construct_sequence(node, deep=True) if is_list else loader.construct_scalar(node)
    if tag == "GetAtt":
        value = value.split(".", 1)
    return {tag if tag in ("Ref", "Condition") else f"Fn::{tag}": value}


yaml.add_multi_constructor("!", _construct, Loader=_LOADER)


def load(path: Path) -> dict[str, Any]:
    """Load a template."""
    template: dict[str, Any] = yaml.load(path.read_text(encoding="utf-8"), _LOADER)
    return template


IMAGE: Final = load(SOURCE)
ZIP: Final = load(TARGET)
both = pytest.mark.parametrize("template", [IMAGE, ZIP], ids=["image", "zip"])


def nodes(value: Any) -> Iterator[Any]:
    """Yield a value and, recursively, all values in it."""
    yield value
    children = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    for child in children:
        yield from nodes(child)


def named(value: Any, key: str) -> list[Any]:
    """List all values of a key at any depth."""
    return [node[key] for node in nodes(value) if isinstance(node, dict) and key in node]


def as_list(value: Any) -> list[Any]:
    """Return a list as it is, and any other value as a list of one."""
    return value if isinstance(value, list) else [value]


def of_type(template: dict[str, Any], kind: str) -> dict[str, Any]:
    """Return the properties of all resources of a type, by logical id."""
    resources = template["Resources"].items()
    return {name: resource["Properties"] for name, resource in resources if resource["Type"] == kind}


def function(template: dict[str, Any], name: str) -> dict[str, Any]:
    """Return a function's properties, including the global ones."""
    common = template["Globals"]["Function"]
    own = template["Resources"][name]["Properties"]
    variables = {**common["Environment"]["Variables"], **own.get("Environment", {}).get("Variables", {})}
    return {**common, **own, "Environment": {"Variables": variables}}


def statements(template: dict[str, Any], role: str) -> list[dict[str, Any]]:
    """List all statements of a role's policies, whatever their conditions."""
    policies = named(template["Resources"][role]["Properties"]["Policies"], "PolicyDocument")
    return [statement for policy in policies for statement in policy["Statement"]]


def conditions_in(value: Any) -> set[str]:
    """Return the names of the conditions that a value depends on."""
    names = [*(choice[0] for choice in named(value, "Fn::If")), *named(value, "Condition")]
    return {name for name in names if isinstance(name, str)}


def parameters_in(template: dict[str, Any], value: Any) -> set[str]:
    """Return the parameters that a value refers to, directly or in its conditions."""
    found = {*named(value, "Ref")}
    for text in nodes(value):
        found |= {*re.findall(r"\$\{(\w+)\}", text)} if isinstance(text, str) else set()
    for condition in conditions_in(value):
        found |= parameters_in(template, template["Conditions"][condition])
    return found & {*template["Parameters"]}


def max_length(template: dict[str, Any], value: Any) -> int:
    """Return the maximum length of a text in characters, whose parts can be parameters and conditions."""
    match value:
        case str():
            variables = re.findall(VARIABLE, value)
            lengths = [max_length(template, {"Ref": name}) for name in variables]
            return len(re.sub(VARIABLE, "", value)) + sum(lengths)
        case {"Fn::If": [_, one, other]}:
            return max(max_length(template, one), max_length(template, other))
        case {"Fn::Select": [1, {"Fn::Split": ["/", {"Ref": name}]}]}:  # the ID in an ARN
            (length,) = re.findall(r"/\[.*\]\{(\d+)\}", template["Parameters"][name]["AllowedPattern"])
            return int(length)
        case {"Fn::Sub": str(text)}:
            return max_length(template, text)
        case {"Fn::Sub": [text, values]}:
            variables = re.findall(VARIABLE, text)
            lengths = [max_length(template, values.get(name, {"Ref": name})) for name in variables]
            return len(re.sub(VARIABLE, "", text)) + sum(lengths)
        case {"Fn::Select": [2, {"Fn::Split": ["/", {"Ref": "AWS::StackId"}]}]}:
            return len(str(uuid.UUID(int=0)))
        case {"Ref": str(name)} if name in PSEUDO_LENGTHS:
            return PSEUDO_LENGTHS[name]
        case {"Ref": name}:
            parameter = template["Parameters"][name]
            if "MaxLength" in parameter:
                return int(parameter["MaxLength"])
            return max(len(str(one)) for one in parameter.get("AllowedValues") or [parameter["MaxValue"]])
    raise ValueError(f"the length of {value} is not known")
