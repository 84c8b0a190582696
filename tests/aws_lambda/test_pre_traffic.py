"""Tests of the test of new versions, with a stub of Lambda and CodeDeploy over HTTP."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from audio_classifier.aws_lambda import pre_traffic
from tests.infra.templates import IMAGE
from tests.package.test_imports import ENGINE, HEAVY, modules_after
from tests.support.deployments import ARN, DEPLOYMENT, Deployments

DIRECT = {"status": "ok", "predictions": [{"label": "Dial tone", "probability": 0.9}]}
HTTP = {"statusCode": 200, "body": json.dumps(DIRECT)}


@pytest.fixture
def deployments(monkeypatch: pytest.MonkeyPatch) -> Iterator[Deployments]:
    """Two versions that work, and the services that the hook calls."""
    with Deployments({"api:7": lambda _: HTTP, "uploads:3": lambda _: DIRECT}) as services:
        for name, value in services.environment().items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("API_VERSION", f"{ARN}:api:7")
        monkeypatch.setenv("UPLOAD_VERSION", f"{ARN}:uploads:3")
        yield services


def test_versions_that_answer_with_predictions_are_accepted(deployments: Deployments) -> None:
    assert pre_traffic.handler(DEPLOYMENT, None) == {"status": "Succeeded", "errors": []}
    assert deployments.reports == [
        {"deploymentId": "d-1", "lifecycleEventHookExecutionId": "e-1", "status": "Succeeded"}
    ]
    assert deployments.invoked == ["api:7", "uploads:3"]


def crash(_: Any) -> Any:
    raise RuntimeError("out of memory")


@pytest.mark.parametrize(
    ("version", "answer", "message"),
    [
        ("api:7", crash, "API_VERSION .*out of memory"),
        ("api:7", lambda _: {"statusCode": 503, "body": "no model"}, "expected the status 200.*no model"),
        (
            "api:7",
            lambda _: {"statusCode": 200, "body": '{"status": "ok", "predictions": []}'},
            "expected predictions",
        ),
        ("api:7", lambda _: {"statusCode": 200, "body": "<html>"}, "JSONDecodeError"),
        ("uploads:3", crash, "UPLOAD_VERSION .*out of memory"),
        ("uploads:3", lambda _: {"status": "error", "code": "model"}, "expected predictions.*model"),
        ("uploads:3", lambda _: None, "AttributeError"),
    ],
)
def test_version_that_does_not_classify_the_sample_is_rejected(
    deployments: Deployments, version: str, answer: Any, message: str, caplog: pytest.LogCaptureFixture
) -> None:
    deployments.functions[version] = answer
    assert pre_traffic.handler(DEPLOYMENT, None)["status"] == "Failed"
    assert [report["status"] for report in deployments.reports] == ["Failed"]
    (record,) = caplog.records
    assert record.levelname == "ERROR"
    assert re.search(message, record.getMessage())


def test_version_that_cannot_be_invoked_is_rejected(
    deployments: Deployments, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("UPLOAD_VERSION")
    deployments.functions.clear()
    outcome = pre_traffic.handler(DEPLOYMENT, None)
    api, uploads = outcome["errors"]
    assert "ResourceNotFoundException" in api
    assert uploads == "UPLOAD_VERSION None: KeyError: 'UPLOAD_VERSION'"
    assert [report["status"] for report in deployments.reports] == ["Failed"]


def test_throttled_version_is_tried_again(deployments: Deployments, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pre_traffic, "RETRY_INTERVAL_S", 0.01)
    deployments.throttles = 3
    assert pre_traffic.handler(DEPLOYMENT, None)["status"] == "Succeeded"
    assert deployments.throttles == 0


def test_version_that_remains_throttled_is_rejected(
    deployments: Deployments, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pre_traffic, "RETRIES_S", 0.1)
    monkeypatch.setattr(pre_traffic, "RETRY_INTERVAL_S", 0.01)
    deployments.throttles = 1_000_000
    outcome = pre_traffic.handler(DEPLOYMENT, None)
    assert outcome["status"] == "Failed"
    assert all("TooManyRequestsException" in error for error in outcome["errors"])


def test_both_versions_are_tested_within_the_time_limit() -> None:
    timeout_s = IMAGE["Resources"]["PreTrafficFunction"]["Properties"]["Timeout"]
    assert timeout_s > 2 * (pre_traffic.RETRIES_S + pre_traffic.RETRY_INTERVAL_S + pre_traffic.READ_TIMEOUT_S)


def test_sample_is_part_of_the_package() -> None:
    root = Path(__file__).parents[2]
    sample = f"assets/{pre_traffic.SAMPLE}"
    assert f'"{sample}" = "audio_classifier/data/' in (root / "pyproject.toml").read_text(encoding="utf-8")
    assert sample in (root / "Dockerfile.lambda").read_text(encoding="utf-8")


def test_import_is_cheap() -> None:
    assert modules_after("import audio_classifier.aws_lambda.pre_traffic") & (HEAVY | ENGINE) == set()
