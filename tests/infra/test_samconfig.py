"""Tests that samconfig.toml deploys into new accounts, and builds for the processor that it deploys to."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any, Final

import pytest

from tests.infra.templates import IMAGE, function

ROOT = Path(__file__).parents[2]
CONFIG: Final = tomllib.loads((ROOT / "samconfig.toml").read_text(encoding="utf-8"))
ENVIRONMENTS: Final = [name for name in CONFIG if name != "version"]
# The quotas of new accounts: memory of a function, and concurrent executions of all functions.
NEW_ACCOUNT_MB: Final = 3008
NEW_ACCOUNT_CONCURRENCY: Final = 10


def overrides(environment: str, command: str) -> dict[str, str]:
    text = CONFIG[environment].get(command, {}).get("parameters", {}).get("parameter_overrides", "")
    return dict(re.findall(r"(\w+)=(\S+)", text))


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_failed_first_deployment_is_deleted_so_that_it_can_be_repeated(environment: str) -> None:
    deploy: dict[str, Any] = CONFIG[environment]["deploy"]["parameters"]
    assert deploy["on_failure"] == "DELETE"
    assert deploy["capabilities"] == "CAPABILITY_IAM"
    assert deploy.get("resolve_image_repos", False) == ("template_file" not in deploy)
    assert CONFIG[environment]["global"]["parameters"]["stack_name"]


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_overridden_parameters_exist(environment: str) -> None:
    for command in ("build", "deploy"):
        assert overrides(environment, command).keys() <= IMAGE["Parameters"].keys()


def test_small_environment_fits_into_the_quotas_of_new_accounts() -> None:
    small = overrides("small", "deploy")
    assert int(small["MemorySize"]) <= NEW_ACCOUNT_MB
    queues = len(function(IMAGE, "UploadFunction")["Events"])
    # More than half of the quota remains for the API.
    assert queues * int(small["UploadMaxConcurrency"]) < NEW_ACCOUNT_CONCURRENCY / 2
    assert int(small["UploadMaxConcurrency"]) >= IMAGE["Parameters"]["UploadMaxConcurrency"]["MinValue"]


def test_environments_are_built_for_the_processor_that_they_are_deployed_to() -> None:
    for environment in ENVIRONMENTS:
        built, deployed = (overrides(environment, one).get("Architecture") for one in ("build", "deploy"))
        assert built == deployed
    assert overrides("arm64", "build") == {"Architecture": "arm64"}
