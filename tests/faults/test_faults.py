"""The campaigns inject what they claim, and notice what they must."""

from __future__ import annotations

import json
import os
from collections import Counter
from pathlib import Path
from random import Random
from typing import Any

import pytest
import requests

from devtools.runtime_api import InvocationError
from tests.e2e.proxy import Answer, Proxy
from tests.faults.event_mutations import VALUES, mutate_event, valid_events
from tests.faults.events import EVENTS
from tests.faults.function import FunctionProcess, KilledError
from tests.faults.http_mutations import mutate_request, valid_requests
from tests.faults.memory import peak_bytes, tree_bytes
from tests.faults.recordings import Recording
from tests.faults.report import Outcome, has_findings, table
from tests.faults.s3_faults import KINDS, MAX_FAULTS, FaultyS3


class Backend(Proxy):
    """Answer every request with the same body."""

    def __init__(self) -> None:
        super().__init__("")
        self.requests = 0

    def own_answer(self, method: str, path: str, body: bytes) -> Answer:
        self.requests += 1
        return Answer(200, bytes(1000))


def test_proxy_injects_every_kind_of_fault_but_few_into_each_object() -> None:
    seen: Counter[str] = Counter()
    with Backend() as backend, FaultyS3(backend.url, Random(3), probability=1) as proxy:
        for number in range(60):
            try:
                answer = requests.get(f"{proxy.url}/bucket/{number % 4}", timeout=5)
                seen[str(answer.status_code)] += 1
            except requests.exceptions.ChunkedEncodingError:
                seen["truncated"] += 1
            except requests.exceptions.ConnectionError:
                seen["closed"] += 1
        assert {*proxy.faults} == {*KINDS}
        assert seen["500"] == proxy.faults["500"] > 0
        assert seen["503"] == proxy.faults["503 SlowDown"] > 0
        assert seen["truncated"] == proxy.faults["truncated body"] > 0
        assert seen["closed"] == proxy.faults["closed before"] + proxy.faults["closed after"]
        permanent = proxy.faults.total() - proxy.faults["latency"]
        assert permanent == 4 * MAX_FAULTS


def test_requests_and_events_depend_only_on_the_seed() -> None:
    audio = b"RIFF" + bytes(999)
    inputs = valid_requests(audio)
    mutated = [[mutate_request(one, audio, Random(seed)) for one in inputs] for seed in (1, 1, 2)]
    assert mutated[0] == mutated[1] != mutated[2]
    events = valid_events(EVENTS)
    before = json.dumps(events)
    changed = [[mutate_event(one, Random(seed)) for one in events] for seed in (1, 1, 2)]
    assert changed[0] == changed[1] != changed[2]
    assert json.dumps(events) == before


def test_mutated_events_are_json_and_leave_the_inserted_values_unchanged() -> None:
    before = json.dumps(VALUES)
    for seed in range(200):
        for event in valid_events(EVENTS):
            json.dumps(mutate_event(event, Random(seed)))
    assert json.dumps(VALUES) == before


def test_fields_that_aws_sets_are_not_mutated() -> None:
    for event in valid_events(EVENTS):
        records = event.get("Records", [{}])
        for seed in range(50):
            changed = mutate_event(event, Random(seed))
            if "requestContext" in event:
                assert changed["requestContext"].keys() == event["requestContext"].keys()
            elif "messageId" in records[0]:
                bodies = [record["body"] for record in changed["Records"]]
                expected = [record | {"body": body} for record, body in zip(records, bodies, strict=True)]
                assert changed["Records"] == expected


@pytest.mark.parametrize(
    ("expected", "result", "is_right"),
    [
        ({"a": 0.5}, {"predictions": [{"label_id": "a", "probability": 0.50001}]}, True),
        ({"a": 0.5}, {"predictions": [{"label_id": "a", "probability": 0.6}]}, False),
        ({"a": 0.5}, {"predictions": []}, False),
        ({"a": 0.5}, {"code": "unreadable_audio"}, False),
        ("unreadable_audio", {"code": "unreadable_audio"}, True),
        ("unreadable_audio", {"predictions": []}, False),
    ],
)
def test_result_is_compared_with_the_expected_one(
    expected: Any, result: dict[str, Any], is_right: bool
) -> None:
    assert Recording(b"", expected).matches(result) is is_right


def test_function_is_killed_and_starts_again(tmp_path: Path) -> None:
    function = FunctionProcess(tmp_path / "log", {"AWS_DEFAULT_REGION": "us-east-1"})
    try:
        with pytest.raises(KilledError):
            function.invoke({"warmup": True}, kill_after_s=0)
        assert function.invoke({"warmup": True}, kill_after_s=60) == {"status": "ok"}
        with pytest.raises(InvocationError, match="UnknownEventError"):
            function.invoke({})
        assert function.peak_bytes > 10 << 20
    finally:
        function.close()


def test_table_lists_all_campaigns_faults_and_findings() -> None:
    first = Outcome("first", inputs=1234, stall_s=0.05, memory_bytes=300 << 20)
    second = Outcome("second", lost=1, faults=Counter(kill=2, reset=3), findings=["lost: a"])
    assert table([first, second]).splitlines() == [
        "| campaign | inputs | faults | lost | wrong | crashes | hangs | worst stall | memory |",
        "|----------|--------|--------|------|-------|---------|-------|-------------|--------|",
        "| first    | 1,234  | 0      | 0    | 0     | 0       | 0     | 50 ms       | 300 MB |",
        "| second   | 0      | 5      | 1    | 0     | 0       | 0     | -           | -      |",
        "",
        "second: 2 kill, 3 reset",
        "",
        "second: lost: a",
    ]
    assert has_findings([first, second])
    assert not has_findings([first])


def test_memory_of_this_process_is_measured() -> None:
    assert peak_bytes(os.getpid()) > 1 << 20
    assert tree_bytes(os.getpid()) > 1 << 20
    assert peak_bytes(1 << 30) == tree_bytes(1 << 30) == 0
