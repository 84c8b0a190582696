from __future__ import annotations

import copy
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from unittest.mock import Mock, create_autospec

import pytest

from audio_classifier.aws_lambda.batches import RESULT_STRING_CHARACTERS, process_messages, process_task
from audio_classifier.errors import TransferError
from audio_classifier.s3.location import S3Location
from audio_classifier.service.log_context import AddLogFields
from audio_classifier.service.object_batches import Delivery, ObjectBatch
from audio_classifier.service.object_results import Stored, Unchanged
from audio_classifier.service.settings import Settings
from audio_classifier.service.upload_states import Outcome, Skipped
from audio_classifier.service.uploads import Uploads

EVENTS = Path(__file__).parents[1] / "events"
LOCATION = S3Location("results", "results/in/rain.wav.json")


def read_event(name: str) -> dict[str, Any]:
    event: dict[str, Any] = json.loads((EVENTS / f"{name}.json").read_text())
    return event


def uploads_with(**methods: Any) -> Any:
    uploads = create_autospec(Uploads, instance=True)
    uploads.settings = Settings.from_environment({})
    for name, method in methods.items():
        setattr(uploads, name, Mock(**method))
    return uploads


def queue_event(*bodies: str, receives: Any = "1") -> dict[str, Any]:
    (record,) = read_event("sqs")["Records"]
    records = [{**copy.deepcopy(record), "messageId": str(i), "body": body} for i, body in enumerate(bodies)]
    for record in records:
        record["attributes"]["ApproximateReceiveCount"] = receives
    return {"Records": records}


def notification(*keys: str) -> str:
    (record,) = read_event("s3")["Records"]
    records = [copy.deepcopy(record) for _ in keys]
    for record, key in zip(records, keys, strict=True):
        record["s3"]["object"]["key"] = key
    return json.dumps({"Records": records})


def scripted_batch(monkeypatch: pytest.MonkeyPatch, **outcomes: Any) -> list[list[Delivery]]:
    """Replace `ObjectBatch` by one with an outcome for each key; return the deliveries that it receives."""
    received: list[list[Delivery]] = []

    class Scripted(ObjectBatch):
        def process(self, deliveries: Sequence[Delivery]) -> list[Outcome | Exception]:
            received.append([*deliveries])
            return [outcomes[delivery.location.key] for delivery in deliveries]

    monkeypatch.setattr("audio_classifier.aws_lambda.batches.ObjectBatch", Scripted)
    return received


def test_messages_that_fail_are_returned_to_the_queue(monkeypatch: pytest.MonkeyPatch) -> None:
    scripted_batch(monkeypatch, a=Stored(LOCATION, ""), b=TransferError("later"), c=RuntimeError("odd"))
    count_failure = Mock()
    event = queue_event(
        *(notification("a"), "not JSON", notification("a", "b", "c"), notification(), notification("a", "a"))
    )
    response = process_messages(event, uploads_with(), count_failure)
    assert response == {"batchItemFailures": [{"itemIdentifier": "1"}, {"itemIdentifier": "2"}]}
    assert count_failure.call_count == 2


def test_batch_in_which_all_messages_fail_does_not_raise() -> None:
    response = process_messages(queue_event("not JSON"), uploads_with(), Mock())
    assert response == {"batchItemFailures": [{"itemIdentifier": "0"}]}


@pytest.mark.parametrize(
    ("text", "receives"), [("1", 1), ("3", 3), (None, 1), ("many", 1), ("-2", 1), (["2"], 1)]
)
def test_objects_are_processed_with_the_number_of_receives_of_their_message(
    monkeypatch: pytest.MonkeyPatch, text: Any, receives: int
) -> None:
    received = scripted_batch(monkeypatch, a=Skipped(), b=Skipped())
    process_messages(queue_event(notification("a", "b"), receives=text), uploads_with(), Mock())
    assert received == [[Delivery(S3Location("uploads", key), receives) for key in "ab"]]


@pytest.mark.parametrize("schema", ["1", "2"])
@pytest.mark.parametrize(
    ("outcome", "code", "text"),
    [
        (Stored(LOCATION, ""), "Succeeded", f"stored {LOCATION}"),
        (Unchanged(LOCATION, ""), "Succeeded", f"unchanged {LOCATION}"),
        (Skipped(), "Succeeded", "skipped"),
        (Stored(LOCATION, "not audio"), "PermanentFailure", "not audio"),
        (Unchanged(LOCATION, "not audio"), "PermanentFailure", "not audio"),
    ],
)
def test_response_reports_the_outcome_of_the_task(
    schema: str, outcome: Outcome, code: str, text: str
) -> None:
    uploads, count_failure = uploads_with(process={"return_value": outcome}), Mock()
    event = read_event(f"s3_batch_operation_{schema}")
    response = process_task(event, uploads, count_failure)
    assert response["invocationSchemaVersion"] == event["invocationSchemaVersion"]
    assert response["invocationId"] == event["invocationId"]
    (result,) = response["results"]
    assert result == {"taskId": event["tasks"][0]["taskId"], "resultCode": code, "resultString": text}
    location, _ = uploads.process.call_args.args
    assert (location.bucket, location.key) == ("uploads", "in/rain.wav")
    count_failure.assert_not_called()


def test_task_that_may_succeed_later_is_a_temporary_failure() -> None:
    uploads = uploads_with(process={"side_effect": TransferError("x" * 2000)})
    count_failure = Mock()
    (result,) = process_task(read_event("s3_batch_operation_2"), uploads, count_failure)["results"]
    assert result["resultCode"] == "TemporaryFailure"
    assert result["resultString"] == "x" * RESULT_STRING_CHARACTERS
    count_failure.assert_called_once_with()


def test_log_entries_of_a_task_name_its_object_and_later_ones_do_not(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.handler.addFilter(AddLogFields())
    uploads = uploads_with(process={"side_effect": TransferError("S3 is away")})
    process_task(read_event("s3_batch_operation_2"), uploads, Mock())
    process_messages(queue_event("not JSON"), uploads, Mock())
    task, message = caplog.records
    assert vars(task)["object"] == "s3://uploads/in/rain.wav"
    assert "object" not in vars(message)
