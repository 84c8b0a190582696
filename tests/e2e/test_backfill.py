"""Tests of the backfill state machine, executed by moto, with the function under AWS's runtime.

`for_moto` replaces the features that moto's interpreter does not support, and no others:

- moto does not support `ItemBatcher`. The item selector creates batches of one item instead, in the same
  format.
- moto does not support the input type `MANIFEST` of inventories. The inventory's data file is read as CSV.

moto's result writer writes a manifest, but no result files, and moto tolerates all failures regardless of the
definition. Therefore the tests check the stored results, too.
"""

from __future__ import annotations

import copy
import json
import os
import shutil
import subprocess
import threading
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest
import requests
from botocore.exceptions import ClientError
from moto.server import ThreadedMotoServer

from audio_classifier.s3.client import ATTEMPTS
from tests.e2e.proxy import Answer, Proxy
from tests.e2e.runtime import Function, emulator, running
from tests.e2e.unreliable import Unreliable

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(
        emulator() is None, reason="aws-sam-cli, which includes the emulator, is not installed"
    ),
]
DEFINITION = Path(__file__).parents[2] / "infra" / "backfill.asl.json"
SUBSTITUTIONS = {
    "UploadFunctionArn": "arn:aws:lambda:us-east-1:123456789012:function:classify",
    "ResultsBucket": "answers",
    "Partition": "aws",
}
ROLE = "arn:aws:iam::123456789012:role/backfill"
INVENTORY_FIELDS = ["Bucket", "Key", "Size"]


class Invocations(Proxy):
    """Receive moto's calls of other services: invoke the function, one event at a time, or forward them.

    Attributes
    ----------
    function
        The function that is invoked.
    throttle
        The number of invocations that are still to be throttled.
    answered
        The events and their answers, in order.
    """

    def __init__(self, target: str, function: Function) -> None:
        super().__init__(target)
        self.function = function
        self.throttle = 0
        self.answered: list[tuple[dict[str, Any], dict[str, Any]]] = []
        self._lock = threading.Lock()

    def own_answer(self, method: str, path: str, body: bytes) -> Answer | None:
        if not path.startswith("/2015-03-31/functions/"):
            return None
        assert "classify" in path
        with self._lock:
            if self.throttle > 0:
                self.throttle -= 1
                headers = {"x-amzn-ErrorType": "TooManyRequestsException", "x-amzn-RequestId": "1"}
                return Answer(429, b"{}", headers)
            event = json.loads(body)
            answer = self.function.invoke(event)
            self.answered.append((event, answer))
        failed = {"X-Amz-Function-Error": "Unhandled"} if "errorType" in answer else {}
        return Answer(200, json.dumps(answer).encode(), failed)


@dataclass
class Backfill:
    """A small deployment."""

    s3: Any
    states: Any
    storage: Unreliable
    invocations: Invocations

    def run(self, **given: Any) -> dict[str, Any]:
        """Execute the state machine, and wait until it ends."""
        machine = self.states.create_state_machine(
            name=f"backfill-{uuid.uuid4().hex}", definition=json.dumps(for_moto(definition())), roleArn=ROLE
        )
        arn = self.states.start_execution(
            stateMachineArn=machine["stateMachineArn"], input=json.dumps(given)
        )["executionArn"]
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            execution: dict[str, Any] = self.states.describe_execution(executionArn=arn)
            if execution["status"] != "RUNNING":
                return execution
            time.sleep(0.1)
        raise TimeoutError(arn)

    def results(self, prefix: str) -> dict[str, dict[str, Any]]:
        """Return the stored results below a prefix, by key."""
        listed = self.s3.list_objects_v2(Bucket="answers", Prefix=f"results/{prefix}").get("Contents", [])
        keys = [item["Key"] for item in listed]
        return {key: json.loads(self.s3.get_object(Bucket="answers", Key=key)["Body"].read()) for key in keys}


def definition() -> dict[str, Any]:
    """Return the definition of the state machine as it is deployed."""
    text = DEFINITION.read_text(encoding="utf-8")
    for name, value in SUBSTITUTIONS.items():
        text = text.replace(f"${{{name}}}", value)
    deployed: dict[str, Any] = json.loads(text)
    return deployed


def for_moto(deployed: dict[str, Any]) -> dict[str, Any]:
    """Replace the features that moto does not support, as the docstring of this module explains."""
    changed = copy.deepcopy(deployed)
    for state in changed["States"].values():
        if state["Type"] == "Map":
            batcher = state.pop("ItemBatcher")
            batch_input = {"BatchInput": batcher["BatchInput"]} if "BatchInput" in batcher else {}
            state["ItemSelector"] = {"Items": [state["ItemSelector"]], **batch_input}
            if state["ItemReader"].get("ReaderConfig") == {"InputType": "MANIFEST"}:
                state["ItemReader"]["ReaderConfig"] = {
                    "InputType": "CSV",
                    "CSVHeaderLocation": "GIVEN",
                    "CSVHeaders": INVENTORY_FIELDS,
                }
    return changed


@pytest.fixture(scope="module")
def backfill(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Backfill]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    moto = f"http://{host}:{port}"
    environment = {
        "AWS_ENDPOINT_URL": moto,
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_DEFAULT_REGION": "us-east-1",
        "no_proxy": "127.0.0.1,localhost",
    }
    requests.post(f"{moto}/moto-api/reset", timeout=5)
    executing = {"stepfunctions": {"execute_state_machine": True}}
    requests.post(f"{moto}/moto-api/config", json=executing, timeout=5)
    with pytest.MonkeyPatch.context() as patch, Unreliable(moto) as storage:
        for name, value in environment.items():
            patch.setenv(name, value)
        settings = {"AUDIO_CLASSIFIER_RESULTS_BUCKET": "answers", "AWS_ENDPOINT_URL": storage.url}
        log = tmp_path_factory.mktemp("backfill") / "log"
        with (
            running(log, **{**environment, **settings}) as function,
            Invocations(moto, function) as invocations,
        ):
            # moto's state machines call other services at this port.
            patch.setenv("MOTO_PORT", str(invocations.port))
            s3, states = boto3.client("s3"), boto3.client("stepfunctions")
            for bucket in ("uploads", "answers", "inventories"):
                s3.create_bucket(Bucket=bucket)
            yield Backfill(s3, states, storage, invocations)
    requests.post(
        f"{moto}/moto-api/config", json={"stepfunctions": {"execute_state_machine": False}}, timeout=5
    )
    server.stop()


@pytest.fixture
def recording(assets: Path) -> bytes:
    return (assets / "rain.wav").read_bytes()


def test_all_objects_below_a_prefix_are_classified_once(backfill: Backfill, recording: bytes) -> None:
    keys = ["all/plain.wav", "all/deep er/a+b%20c.wav", "all/ü/雨 と 雷.wav", "all/bad.wav"]
    for key in keys:
        content = b"not audio" if "bad" in key else recording
        backfill.s3.put_object(Bucket="uploads", Key=key, Body=content)
    backfill.s3.put_object(Bucket="uploads", Key="all/folder/", Body=b"")
    backfill.s3.put_object(Bucket="uploads", Key="other/a.wav", Body=recording)

    execution = backfill.run(bucket="uploads", prefix="all/")
    assert execution["status"] == "SUCCEEDED", execution.get("cause")
    results = backfill.results("")
    assert results.keys() == {f"results/{key}.json" for key in keys}
    for key, result in results.items():
        if "bad" in key:
            assert result["code"] == "unsupported_format"
        else:
            assert "Rain" in [prediction["label"] for prediction in result["predictions"]]

    written = json.loads(execution["output"])["ResultWriterDetails"]
    assert written["Bucket"] == "answers"
    assert written["Key"].startswith("backfill/")
    manifest = json.loads(backfill.s3.get_object(**written)["Body"].read())
    assert manifest["DestinationBucket"] == "answers"

    assert backfill.run(bucket="uploads", prefix="all/")["status"] == "SUCCEEDED"
    assert backfill.results("") == results


def test_objects_of_an_inventory_are_classified(backfill: Backfill, recording: bytes) -> None:
    """Keys in an inventory are URL-encoded, unlike those in a listing."""
    lines = []
    for key, encoded in {"kept/a b.wav": "kept/a+b.wav", "kept/c+%ü.wav": "kept/c%2B%25%C3%BC.wav"}.items():
        backfill.s3.put_object(Bucket="uploads", Key=key, Body=recording)
        lines.append(f'"uploads","{encoded}","{len(recording)}"')
    backfill.s3.put_object(Bucket="inventories", Key="daily/data/1.csv", Body="\n".join(lines).encode())
    execution = backfill.run(inventory={"bucket": "inventories", "key": "daily/data/1.csv"})
    assert execution["status"] == "SUCCEEDED", execution.get("cause")
    results = backfill.results("kept/")
    assert results.keys() == {"results/kept/a b.wav.json", "results/kept/c+%ü.wav.json"}
    assert {result["status"] for result in results.values()} == {"ok"}


@pytest.mark.parametrize("method", ["HEAD", "GET", "PUT"])
def test_object_is_classified_when_s3_is_temporarily_overloaded(
    backfill: Backfill, recording: bytes, method: str
) -> None:
    """The client retries first; when its attempts are used up, the state machine retries the batch."""
    backfill.s3.put_object(Bucket="uploads", Key=f"{method}/a.wav", Body=recording)
    backfill.invocations.answered.clear()
    backfill.storage.refuse = {method: ATTEMPTS + 1}
    assert backfill.run(bucket="uploads", prefix=f"{method}/")["status"] == "SUCCEEDED"
    (_, failed), (_, succeeded) = backfill.invocations.answered
    assert failed["errorType"] == "TransferError"
    assert succeeded["results"] == [f"stored s3://answers/results/{method}/a.wav.json"]
    assert backfill.results(f"{method}/")[f"results/{method}/a.wav.json"]["status"] == "ok"


def test_throttled_invocations_are_retried(backfill: Backfill, recording: bytes) -> None:
    backfill.s3.put_object(Bucket="uploads", Key="throttled/a.wav", Body=recording)
    backfill.invocations.throttle = 2
    assert backfill.run(bucket="uploads", prefix="throttled/")["status"] == "SUCCEEDED"
    assert backfill.invocations.throttle == 0
    assert len(backfill.results("throttled/")) == 1


def test_all_objects_of_a_failing_batch_are_tried_and_classified_only_once(
    backfill: Backfill, recording: bytes
) -> None:
    """The batch has several items, as in Step Functions, and existing results are not computed again."""
    keys = [f"many/{number}.wav" for number in range(5)]
    for key in keys:
        backfill.s3.put_object(Bucket="uploads", Key=key, Body=recording)
    batch = {"Items": [{"bucket": "uploads", "key": key} for key in keys]}
    backfill.storage.refuse = {"HEAD /uploads/many/0.wav": ATTEMPTS}
    assert backfill.invocations.function.invoke(batch)["errorType"] == "TransferError"
    assert len(backfill.results("many/")) == len(keys) - 1
    answer = backfill.invocations.function.invoke(batch)
    assert [line.split()[0] for line in answer["results"]] == ["stored", *["unchanged"] * 4]


@pytest.mark.parametrize("given", [{}, {"prefix": "in/"}])
def test_execution_without_source_fails_with_expected_input(
    backfill: Backfill, given: dict[str, str]
) -> None:
    execution = backfill.run(**given)
    assert execution["status"] == "FAILED"
    assert execution["error"] == "NoSource"
    assert "must name a bucket or an inventory" in execution["cause"]


def test_moto_rejects_the_features_that_are_replaced_for_it(backfill: Backfill) -> None:
    """If this test fails, moto supports a feature that `for_moto` no longer needs to replace."""
    batching = definition()
    reading = for_moto(batching)
    reading["States"]["Inventory"]["ItemReader"]["ReaderConfig"] = {"InputType": "MANIFEST"}
    for unsupported, feature in ((batching, "ItemBatcher"), (reading, "MANIFEST")):
        with pytest.raises(ClientError, match=feature):
            backfill.states.create_state_machine(name="s", definition=json.dumps(unsupported), roleArn=ROLE)


@pytest.mark.skipif(shutil.which("cfn-lint") is None, reason="cfn-lint is not installed")
def test_definition_passes_cfn_lint(tmp_path: Path) -> None:
    properties = {"RoleArn": ROLE, "Definition": definition()}
    machine = {"Type": "AWS::StepFunctions::StateMachine", "Properties": properties}
    template = tmp_path / "template.json"
    template.write_text(
        json.dumps({"AWSTemplateFormatVersion": "2010-09-09", "Resources": {"Backfill": machine}})
    )
    run = subprocess.run(
        ["cfn-lint", "--template", str(template)], env=os.environ, capture_output=True, text=True, check=False
    )
    assert (run.returncode, run.stdout) == (0, "")
