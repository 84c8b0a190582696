"""Tests that the checks of `make lint-infra` find errors."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.infra.manifests import INFRA, ROOT, Document, documents

pytestmark = pytest.mark.infra

KUBERNETES = INFRA / "kubernetes" / "max-audio-classifier.yaml"
KNATIVE = INFRA / "knative" / "service.yaml"
TRIGGER = INFRA / "overlays" / "knative-events" / "trigger.yaml"


def tool(name: str) -> Path:
    found = shutil.which(name)
    assert found is not None, f"{name} is not installed: run these tests with `make lint-infra`"
    return Path(found)


def run(*command: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def lint(manifest: Path) -> subprocess.CompletedProcess[str]:
    python = tool("kubernetes-validate").with_name("python")
    return run(python, "-W", "ignore::UserWarning", "-m", "tests.infra.manifest_lint", manifest)


def container(manifest: Document) -> Any:
    return manifest["spec"]["template"]["spec"]["containers"][0]


def unknown_probe(manifest: Document) -> None:
    container(manifest)["readynessProbe"] = container(manifest).pop("readinessProbe")


def text_for_a_number(manifest: Document) -> None:
    container(manifest)["ports"][0]["containerPort"] = "5000"


def snake_case(manifest: Document) -> None:
    container(manifest)["volume_mounts"] = container(manifest).pop("volumeMounts")


def misspelt_broker(manifest: Document) -> None:
    manifest["spec"]["brocker"] = "audio"


def text_for_retries(manifest: Document) -> None:
    manifest["spec"]["delivery"]["retry"] = "9"


@pytest.mark.parametrize(
    ("file", "kind", "break_it", "message"),
    [
        (KUBERNETES, "Deployment", unknown_probe, "readynessProbe"),
        (KUBERNETES, "Deployment", text_for_a_number, "'5000'"),
        (KNATIVE, "Service", unknown_probe, "readynessProbe"),
        (KNATIVE, "Service", text_for_a_number, "containerPort"),
        (KNATIVE, "Service", snake_case, "volume_mounts"),
        (TRIGGER, "Trigger", misspelt_broker, "brocker"),
        (TRIGGER, "Trigger", text_for_retries, "retry"),
    ],
)
def test_manifest_lint_reports_a_broken_manifest(
    file: Path, kind: str, break_it: Callable[[Document], None], message: str, tmp_path: Path
) -> None:
    (document,) = [document for document in documents(file) if document["kind"] == kind]
    manifest = tmp_path / "manifest.yaml"
    manifest.write_text(yaml.safe_dump(document))
    assert lint(manifest).returncode == 0
    break_it(document)
    manifest.write_text(yaml.safe_dump(document))
    broken = lint(manifest)
    assert broken.returncode == 1
    assert message in broken.stderr


def test_checkov_reports_a_privileged_container(tmp_path: Path) -> None:
    (deployment,) = [document for document in documents(KUBERNETES) if document["kind"] == "Deployment"]
    container(deployment)["securityContext"]["privileged"] = True
    manifest = tmp_path / "infra" / "manifest.yaml"
    manifest.parent.mkdir()
    manifest.write_text(yaml.safe_dump(deployment))
    config = INFRA / "checkov-kubernetes.yaml"
    checked = subprocess.run(
        [tool("checkov"), "--config-file", config], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert checked.returncode == 1
    assert "CKV_K8S_16" in checked.stdout


def test_hadolint_reports_an_unpinned_base_image(tmp_path: Path) -> None:
    dockerfile = tmp_path / "Dockerfile"
    dockerfile.write_text("FROM debian:latest\n")
    checked = run(tool("hadolint"), dockerfile)
    assert checked.returncode == 1
    assert "DL3007" in checked.stdout
