"""The test of new versions and the tested function, both with AWS's runtime client and emulator."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.e2e.runtime import emulator, running
from tests.infra.templates import IMAGE
from tests.support.deployments import ARN, DEPLOYMENT, Deployments

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(
        emulator() is None, reason="aws-sam-cli, which includes the emulator, is not installed"
    ),
]
COMMAND: Sequence[str] = IMAGE["Resources"]["PreTrafficFunction"]["Properties"]["ImageConfig"]["Command"]


@pytest.mark.parametrize(
    ("bundle", "status"),
    [("compact", "Succeeded"), ("/missing/", "Failed")],
    ids=["works", "without a model"],
)
def test_version_is_accepted_only_if_it_classifies(tmp_path: Path, bundle: str, status: str) -> None:
    with running(tmp_path / "tested", AUDIO_CLASSIFIER_BUNDLE=bundle) as tested:

        def invoke(event: object) -> object:
            answer = tested.invoke(event)
            if isinstance(answer, dict) and "errorType" in answer:
                raise RuntimeError(answer["errorMessage"])
            return answer

        with Deployments({"api:7": invoke, "uploads:3": invoke}) as services:
            versions = {"API_VERSION": f"{ARN}:api:7", "UPLOAD_VERSION": f"{ARN}:uploads:3"}
            with running(
                tmp_path / "hook",
                runtime=(sys.executable, "-m", "audio_classifier.boot", *COMMAND),
                **versions,
                **services.environment(),
            ) as hook:
                answer = hook.invoke(DEPLOYMENT)
    assert answer["status"] == status, answer
    assert [report["status"] for report in services.reports] == [status]
    assert ("Error" in (tmp_path / "hook").read_text()) == (status == "Failed")
