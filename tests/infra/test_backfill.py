"""Tests that the backfill state machine agrees with the handler and with the quotas of Step Functions."""

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
WORST_KEY = "\x01" * 1024  # S3's longest key, of characters that JSON escapes with six characters


def all_states(machine: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for name, state in machine["States"].items():
        yield name, state
        if "ItemProcessor" in state:
            yield from all_states(state["ItemProcessor"])


def test_names_of_states_are_unique() -> None:
    """Step Functions rejects duplicate names, also between states inside and outside a map."""
    names = Counter(name for name, _ in all_states(json.loads(TEXT)))
    assert [name for name, count in names.items() if count > 1] == []


def test_definition_has_three_substitutions() -> None:
    assert {*re.findall(r"\$\{(\w+)\}", TEXT)} == {"UploadFunctionArn", "ResultsBucket", "Partition"}


def test_maps_are_equal_except_for_their_item_readers() -> None:
    prefix, inventory = (copy.deepcopy(MAPS[name]) for name in ("Prefix", "Inventory"))
    for state in (prefix, inventory):
        for name in ("Label", "ItemReader", "ItemSelector"):
            assert state.pop(name)
        (state["ItemProcessor"]["States"],) = state["ItemProcessor"]["States"].values()
        state["ItemProcessor"].pop("StartAt")
    assert inventory["ItemBatcher"].pop("BatchInput") == {"encoding": "url"}
    assert prefix == inventory


@pytest.mark.parametrize("name", MAPS)
def test_batch_of_longest_keys_fits_into_payload(name: str) -> None:
    batcher = MAPS[name]["ItemBatcher"]
    items = [{"bucket": "b" * 63, "key": WORST_KEY}] * batcher["MaxItemsPerBatch"]
    event = {"Items": items, "BatchInput": batcher.get("BatchInput", {})}
    assert len(map_batch_objects(event)) == batcher["MaxItemsPerBatch"]
    assert len(json.dumps(event)) <= batcher["MaxInputBytesPerBatch"] < MAX_PAYLOAD_BYTES
    line = str(Stored(S3Location("b" * 63, f"results/{WORST_KEY}.json"), "m" * 1000))
    answer = {"status": "ok", "results": [line] * batcher["MaxItemsPerBatch"]}
    assert len(json.dumps(answer)) < MAX_PAYLOAD_BYTES


@pytest.mark.parametrize("name", MAPS)
def test_temporary_errors_of_the_handler_are_retried(name: str) -> None:
    """The handler raises temporary errors; it stores a result for missing objects."""
    (task,) = MAPS[name]["ItemProcessor"]["States"].values()
    retry, _ = task["Retry"]
    own = {name for name in retry["ErrorEquals"] if "." not in name}
    temporary = {"TransferError", *(kind.__name__ for kind in TransferError.__subclasses__())}
    # Time does not grant a permission; the other errors do not concern objects.
    temporary -= {"AccessDeniedError", "RemoteNotFoundError", "RemoteTooLongError"}
    assert own == temporary | {"DeadlineExceededError"}
