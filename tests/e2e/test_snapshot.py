"""Tests of the SnapStart hooks, which AWS's runtime client runs before a snapshot and after a restore."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from devtools.runtime_api import CREDENTIALS, IMAGE, MANAGED_RUNTIME, RESTORE, RUNTIME, snap_starting
from tests.e2e.proxy import Answer, Proxy

pytestmark = pytest.mark.e2e


class Signers(Proxy):
    """Forward requests to S3, and record who signed them.

    Attributes
    ----------
    access_keys
        The access keys of the requests' signatures.
    """

    def __init__(self, target: str) -> None:
        super().__init__(target)
        self.access_keys: set[str] = set()

    def forward(self, method: str, path: str, headers: dict[str, str], body: bytes) -> Answer:
        (access_key,) = re.findall(r"Credential=(\w+)/", headers["Authorization"])
        self.access_keys.add(access_key)
        return super().forward(method, path, headers, body)

    def own_answer(self, method: str, path: str, body: bytes) -> None:
        return None


def http(method: str, path: str) -> dict[str, Any]:
    request = {"http": {"method": method, "path": path, "sourceIp": "::1"}, "stage": "$default"}
    return {
        "version": "2.0",
        "rawPath": path,
        "rawQueryString": "",
        "headers": {},
        "requestContext": request,
    }


@pytest.mark.parametrize("runtime", [MANAGED_RUNTIME, IMAGE], ids=["zip", "image"])
def test_restored_function_has_its_model_and_new_credentials(
    s3: Any, assets: Path, tmp_path: Path, runtime: Sequence[str]
) -> None:
    s3.create_bucket(Bucket="uploads")
    s3.put_object(Bucket="uploads", Key="rain.wav", Body=(assets / "rain.wav").read_bytes())
    log = tmp_path / "log"
    settings = {"AUDIO_CLASSIFIER_UPLOADS_BUCKET": "uploads"}
    with Signers(s3.meta.endpoint_url) as storage:
        with snap_starting(log, runtime=runtime, AWS_ENDPOINT_URL=storage.url, **settings) as (api, _):
            api.wait_for_snapshot()
            assert api.asked == [CREDENTIALS, RESTORE]
            before = log.read_text()
            assert "loaded compact" in before
            api.access_key = "AFTER"
            api.restored.set()
            answer = api.invoke({"audio": "s3://uploads/rain.wav"})
            assert "Rain" in [prediction["label"] for prediction in answer["predictions"]]
            form = json.loads(api.invoke(http("POST", "/uploads"))["body"])["upload"]["fields"]
        assert storage.access_keys == {"AFTER"}
        assert form["x-amz-credential"].startswith("AFTER/")
    assert api.errors == {}
    after = log.read_text().removeprefix(before)
    assert "loaded compact" not in after
    metrics = [json.loads(line) for line in after.splitlines() if line.startswith('{"_aws"')]
    assert metrics[0]["ColdStart"] == [1.0]
    assert not any("LoadSeconds" in entry for entry in metrics)


def test_no_snapshot_is_taken_when_credentials_are_unavailable(tmp_path: Path) -> None:
    unavailable = {"AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://127.0.0.1:9/"}
    with snap_starting(tmp_path / "log", **unavailable) as (api, process):
        assert process.wait(60) != 0
    assert RESTORE not in api.asked
    assert api.errors["/init/error"]["type"] == "Runtime.BeforeSnapshotError"
    assert api.errors["/init/error"]["errorType"] == "TransferError"


def test_restore_error_is_reported_when_a_hook_fails(tmp_path: Path) -> None:
    broken = "from snapshot_restore_py import register_after_restore\nregister_after_restore(int, 'x')\n"
    (tmp_path / "sitecustomize.py").write_text(broken)
    path = os.pathsep.join([str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])])
    with snap_starting(tmp_path / "log", PYTHONPATH=path) as (api, process):
        api.restored.set()
        assert process.wait(60) != 0
    assert api.errors["/restore/error"]["type"] == "Runtime.AfterRestoreError"
    assert f"{RUNTIME}/invocation/next" not in api.asked
