"""The state machine for bulk work, executed by moto, with the function under the real runtime.

What moto's interpreter cannot do is put into other words for it by `for_moto`, and only that:

- It groups no items (its grammar has no `ItemBatcher`): batches of one are made by the item's selector, in
  the shape that a batcher gives them.
- It reads no inventory (`MANIFEST` is none of its input types): the inventory's data file is read as the CSV
  that it is.

Of its result writer comes the manifest, but no files of results; and it tolerates all failures, whatever the
definition says: so what came of the objects is looked at, too.
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
    pytest.mark.skipif(emulator() is None, reason="aws-sam-cli, which brings the emulator, is not installed"),
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
    """Where moto sends its calls: those of the function go to the runtime, one at a time, others back to it.

    Attributes
    ----------
    function
        What is invoked.
    throttle
        How many more invocations are refused, as Lambda does when too many run.
    answered
        Events and what was answered, in order.
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
    """A deployment in small."""

    s3: Any
    states: Any
    storage: Unreliable
    invocations: Invocations

    def run(self, **given: Any) -> dict[str, Any]:
        """Execute the state machine to its end."""
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
        """What was heard below a prefix, by key."""
        listed = self.s3.list_objects_v2(Bucket="answers", Prefix=f"results/{prefix}").get("Contents", [])
        keys = [item["Key"] for item in listed]
        return {key: json.loads(self.s3.get_object(Bucket="answers", Key=key)["Body"].read()) for key in keys}


def definition() -> dict[str, Any]:
    """The state machine as it is deployed."""
    text = DEFINITION.read_text(encoding="utf-8")
    for name, value in SUBSTITUTIONS.items():
        text = text.replace(f"${{{name}}}", value)
    deployed: dict[str, Any] = json.loads(text)
    return deployed


def for_moto(deployed: dict[str, Any]) -> dict[str, Any]:
    """The same in words that moto knows; see this module's beginning."""
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
            # Where moto's state machines look for other services.
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
def sound(assets: Path) -> bytes:
    return (assets / "rain.wav").read_bytes()


def test_all_objects_below_a_prefix_get_their_results(backfill: Backfill, sound: bytes) -> None:
    keys = ["all/plain.wav", "all/deep er/a+b%20c.wav", "all/ü/雨 と 雷.wav", "all/bad.wav"]
    for key in keys:
        content = b"no sound" if "bad" in key else sound
        backfill.s3.put_object(Bucket="uploads", Key=key, Body=content)
    backfill.s3.put_object(Bucket="uploads", Key="all/folder/", Body=b"")
    backfill.s3.put_object(Bucket="uploads", Key="other/a.wav", Body=sound)

    execution = backfill.run(bucket="uploads", prefix="all/")
    assert execution["status"] == "SUCCEEDED", execution.get("cause")
    results = backfill.results("")
    assert results.keys() == {f"results/{key}.json" for key in keys}
    for key, result in results.items():
        if "bad" in key:
            assert result["error"]["code"] == "unreadable_audio"
        else:
            assert "Rain" in [prediction["label"] for prediction in result["predictions"]]

    written = json.loads(execution["output"])["ResultWriterDetails"]
    assert written["Bucket"] == "answers"
    assert written["Key"].startswith("backfill/")
    manifest = json.loads(backfill.s3.get_object(**written)["Body"].read())
    assert manifest["DestinationBucket"] == "answers"

    assert backfill.run(bucket="uploads", prefix="all/")["status"] == "SUCCEEDED"
    assert backfill.results("") == results


def test_an_inventory_says_which_objects(backfill: Backfill, sound: bytes) -> None:
    """Its keys are URL-encoded, unlike those of a list."""
    lines = []
    for key, encoded in {"kept/a b.wav": "kept/a+b.wav", "kept/c+%ü.wav": "kept/c%2B%25%C3%BC.wav"}.items():
        backfill.s3.put_object(Bucket="uploads", Key=key, Body=sound)
        lines.append(f'"uploads","{encoded}","{len(sound)}"')
    backfill.s3.put_object(Bucket="inventories", Key="daily/data/1.csv", Body="\n".join(lines).encode())
    execution = backfill.run(inventory={"bucket": "inventories", "key": "daily/data/1.csv"})
    assert execution["status"] == "SUCCEEDED", execution.get("cause")
    results = backfill.results("kept/")
    assert results.keys() == {"results/kept/a b.wav.json", "results/kept/c+%ü.wav.json"}
    assert {result["status"] for result in results.values()} == {"ok"}


@pytest.mark.parametrize("method", ["HEAD", "GET", "PUT"])
def test_when_s3_is_overloaded_for_a_while_nothing_is_lost(
    backfill: Backfill, sound: bytes, method: str
) -> None:
    """First by the client's own tries, and when these are used up, by the state machine's."""
    backfill.s3.put_object(Bucket="uploads", Key=f"{method}/a.wav", Body=sound)
    backfill.invocations.answered.clear()
    backfill.storage.refuse = {method: ATTEMPTS + 1}
    assert backfill.run(bucket="uploads", prefix=f"{method}/")["status"] == "SUCCEEDED"
    (_, failed), (_, succeeded) = backfill.invocations.answered
    assert failed["errorType"] == "TransferError"
    assert succeeded["results"] == [f"stored s3://answers/results/{method}/a.wav.json"]
    assert backfill.results(f"{method}/")[f"results/{method}/a.wav.json"]["status"] == "ok"


def test_what_lambda_refuses_is_asked_again(backfill: Backfill, sound: bytes) -> None:
    backfill.s3.put_object(Bucket="uploads", Key="throttled/a.wav", Body=sound)
    backfill.invocations.throttle = 2
    assert backfill.run(bucket="uploads", prefix="throttled/")["status"] == "SUCCEEDED"
    assert backfill.invocations.throttle == 0
    assert len(backfill.results("throttled/")) == 1


def test_of_a_batch_all_are_tried_before_it_fails(backfill: Backfill, sound: bytes) -> None:
    """As Lambda gets it from the real service: many items at once; what stands is not done again."""
    keys = [f"many/{number}.wav" for number in range(5)]
    for key in keys:
        backfill.s3.put_object(Bucket="uploads", Key=key, Body=sound)
    batch = {"Items": [{"bucket": "uploads", "key": key} for key in keys]}
    backfill.storage.refuse = {"HEAD": ATTEMPTS + 1}
    assert backfill.invocations.function.invoke(batch)["errorType"] == "TransferError"
    assert len(backfill.results("many/")) == len(keys) - 1
    answer = backfill.invocations.function.invoke(batch)
    assert [line.split()[0] for line in answer["results"]] == ["stored", *["unchanged"] * 4]


@pytest.mark.parametrize("given", [{}, {"prefix": "in/"}])
def test_an_execution_without_a_source_says_what_is_missing(
    backfill: Backfill, given: dict[str, str]
) -> None:
    execution = backfill.run(**given)
    assert execution["status"] == "FAILED"
    assert execution["error"] == "NoSource"
    assert "must name a bucket or an inventory" in execution["cause"]


def test_what_is_reworded_for_moto_is_what_it_does_not_know(backfill: Backfill) -> None:
    """When this fails, moto has learnt it: let it run the state machine as it is deployed."""
    batching = definition()
    reading = for_moto(batching)
    reading["States"]["Inventory"]["ItemReader"]["ReaderConfig"] = {"InputType": "MANIFEST"}
    for unknown, words in ((batching, "ItemBatcher"), (reading, "MANIFEST")):
        with pytest.raises(ClientError, match=words):
            backfill.states.create_state_machine(name="s", definition=json.dumps(unknown), roleArn=ROLE)


@pytest.mark.skipif(shutil.which("cfn-lint") is None, reason="cfn-lint is not installed")
def test_the_definition_is_valid(tmp_path: Path) -> None:
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
