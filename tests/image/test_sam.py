"""`sam build`, `sam local invoke` and `sam local start-api` on the template that is deployed."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.e2e.test_lambda import EVENTS, labels
from tests.ports import answers, free_port, wait_until

pytestmark = [
    pytest.mark.sam,
    pytest.mark.skipif(shutil.which("sam") is None, reason="aws-sam-cli is not installed"),
    pytest.mark.timeout(600),
]
ROOT = Path(__file__).parents[2]
LOCALLY = ("--docker-network", "host", "--skip-pull-image")


@pytest.fixture(scope="module")
def built(s3_endpoint: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The template as `sam build` leaves it, and one thing more: where S3 is."""
    build = tmp_path_factory.mktemp("sam")
    sam("build", "--template", str(ROOT / "template.yaml"), "--build-dir", str(build))
    template = build / "template.yaml"
    marker = "        AUDIO_CLASSIFIER_RESULTS_BUCKET:"
    text = template.read_text()
    assert text.count(marker) == 1
    template.write_text(text.replace(marker, f"        AWS_ENDPOINT_URL: {s3_endpoint}\n{marker}"))
    return template


def sam(*arguments: str) -> str:
    run = subprocess.run(["sam", *arguments], capture_output=True, text=True, env=environment(), check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    return run.stdout


def environment() -> dict[str, str]:
    return {
        **os.environ,
        "SAM_CLI_TELEMETRY": "0",
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_DEFAULT_REGION": "us-east-1",
    }


def invoke(template: Path, function: str, event: Any, tmp_path: Path) -> Any:
    path = tmp_path / "event.json"
    path.write_text(json.dumps(event))
    answer = sam("local", "invoke", function, "--template", str(template), "--event", str(path), *LOCALLY)
    return json.loads(answer.splitlines()[-1])
