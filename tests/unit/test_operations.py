"""What docs/operations.md tells people to type, held against what understands it."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.validate import ParamValidator

ROOT = Path(__file__).parents[2]
DOCUMENT = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
MACHINE = (ROOT / "infra" / "backfill.asl.json").read_text(encoding="utf-8")
COMMANDS = [
    shlex.split(command)
    for block in re.findall(r"```bash\n(.*?)```", DOCUMENT, re.DOTALL)
    for command in block.replace("\\\n", " ").splitlines()
    if command.startswith("aws ")
]


def parameters(command: list[str]) -> dict[str, Any]:
    """Options as the API calls them."""
    options = zip(command, [*command[1:], "--"], strict=True)
    named = {name: value for name, value in options if name.startswith("--")}
    return {
        name.removeprefix("--").title().replace("-", ""): json.loads(value) if value[0] == "{" else value
        for name, value in named.items()
        if not value.startswith("--")
    }


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[2])
def test_amazon_understands_each_command(command: list[str]) -> None:
    client = boto3.client(command[1], region_name="us-east-1")
    given = parameters(command)
    operation = command[2].title().replace("-", "")
    shape = client.meta.service_model.operation_model(operation).input_shape
    wanted = {name.lower(): (name, member.type_name) for name, member in shape.members.items()}
    values = {}
    for option, value in given.items():
        name, kind = wanted[option.lower()]
        # A state machine's input is JSON in a text.
        text = json.dumps(value) if kind == "string" and isinstance(value, dict) else value
        values[name] = int(value) if kind == "integer" else text
    assert ParamValidator().validate(values, shape).generate_report() == ""


def test_each_input_of_the_state_machine_is_in_the_table() -> None:
    read = {*re.findall(r'"\$\.(\w+)"', MACHINE), *re.findall(r'"\$\.(inventory)\.', MACHINE)}
    table = {
        name
        for line in re.findall(r"^\| (`\w+`.*?) \|", DOCUMENT, re.MULTILINE)
        for name in re.findall(r"`(\w+)`", line)
    }
    assert table == read - {"defaults", "given", "all", "Payload"}
    starts = [parameters(command)["Input"] for command in COMMANDS if command[2] == "start-execution"]
    assert {name for given in starts for name in given} <= table
    assert [given.keys() & {"bucket", "inventory"} for given in starts] == [{"bucket"}, {"inventory"}]
