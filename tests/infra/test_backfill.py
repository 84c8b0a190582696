"""The state machine for bulk work, held against the code that it calls and the limits of the service."""

from __future__ import annotations

import copy
import json
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from audio_classifier.aws_lambda.events import map_batch_objects
from audio_classifier.errors import TransferError
from audio_classifier.s3.location import S3Location
from audio_classifier.service.object_results import Stored

TEXT = (Path(__file__).parents[2] / "infra" / "backfill.asl.json").read_text(encoding="utf-8")
STATES = json.loads(TEXT)["States"]
MAPS = {name: state for name, state in STATES.items() if state["Type"] == "Map"}
MAX_PAYLOAD_BYTES = 256 << 10  # Step Functions, "Service quotas": input or output of a state
WORST_KEY = "\x01" * 1024  # S3's longest, of characters that JSON writes with six


def all_states(machine: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for name, state in machine["States"].items():
        yield name, state
        if "ItemProcessor" in state:
            yield from all_states(state["ItemProcessor"])


def test_names_of_states_are_unique() -> None:
    """Also between a map's states and those outside, or it cannot be deployed."""
    names = Counter(name for name, _ in all_states(json.loads(TEXT)))
    assert [name for name, count in names.items() if count > 1] == []


def test_three_values_come_from_the_template() -> None:
    assert {*re.findall(r"\$\{(\w+)\}", TEXT)} == {"UploadFunctionArn", "ResultsBucket", "Partition"}


def test_both_maps_differ_in_what_they_read_alone() -> None:
    prefix, inventory = (copy.deepcopy(MAPS[name]) for name in ("Prefix", "Inventory"))
    for state in (prefix, inventory):
        for name in ("Label", "ItemReader", "ItemSelector"):
            assert state.pop(name)
        (state["ItemProcessor"]["States"],) = state["ItemProcessor"]["States"].values()
        state["ItemProcessor"].pop("StartAt")
    assert inventory["ItemBatcher"].pop("BatchInput") == {"encoding": "url"}
    assert prefix == inventory


@pytest.mark.parametrize("name", MAPS)
def test_a_batch_of_the_longest_keys_fits(name: str) -> None:
    batcher = MAPS[name]["ItemBatcher"]
    items = [{"bucket": "b" * 63, "key": WORST_KEY}] * batcher["MaxItemsPerBatch"]
    event = {"Items": items, "BatchInput": batcher.get("BatchInput", {})}
    assert len(map_batch_objects(event)) == batcher["MaxItemsPerBatch"]
    assert len(json.dumps(event)) <= batcher["MaxInputBytesPerBatch"] < MAX_PAYLOAD_BYTES
    line = str(Stored(S3Location("b" * 63, f"results/{WORST_KEY}.json"), "m" * 1000))
    answer = {"status": "ok", "results": [line] * batcher["MaxItemsPerBatch"]}
    assert len(json.dumps(answer)) < MAX_PAYLOAD_BYTES


@pytest.mark.parametrize("name", MAPS)
def test_what_passes_is_waited_for(name: str) -> None:
    """What cannot be fetched now, as `Uploads.process` raises it: what is not there is a result."""
    (task,) = MAPS[name]["ItemProcessor"]["States"].values()
    patient, _ = task["Retry"]
    ours = {name for name in patient["ErrorEquals"] if "." not in name}
    temporary = {"TransferError", *(kind.__name__ for kind in TransferError.__subclasses__())}
    assert ours == temporary - {"RemoteNotFoundError"}
