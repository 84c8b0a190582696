from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any
from unittest.mock import Mock, create_autospec

import pytest

from audio_classifier.aws_lambda.batches import RESULT_STRING_CHARACTERS, process_messages, process_task
from audio_classifier.errors import TransferError
from audio_classifier.s3.location import S3Location
from audio_classifier.service.cancellation import Cancellation
from audio_classifier.service.object_results import Stored, Unchanged
from audio_classifier.service.uploads import Outcome, Skipped, Uploads

EVENTS = Path(__file__).parents[1] / "events"
LOCATION = S3Location("results", "results/in/rain.wav.json")


def read_event(name: str) -> dict[str, Any]:
    event: dict[str, Any] = json.loads((EVENTS / f"{name}.json").read_text())
    return event


def uploads_with(**methods: Any) -> Any:
    uploads = create_autospec(Uploads, instance=True)
    for name, method in methods.items():
        setattr(uploads, name, Mock(**method))
    return uploads


def queue_event(*bodies: str) -> dict[str, Any]:
    (record,) = read_event("sqs")["Records"]
    records = [{**copy.deepcopy(record), "messageId": str(i), "body": body} for i, body in enumerate(bodies)]
    return {"Records": records}


def test_messages_that_fail_are_returned_to_the_queue() -> None:
    notification = read_event("s3")
    uploads = uploads_with(process_all={"side_effect": [["stored"], TransferError("later")]})
    count_failure = Mock()
    event = queue_event(json.dumps(notification), "not JSON", json.dumps(notification))
    cancellation = Cancellation()
    response = process_messages(event, Mock(), uploads, count_failure, cancellation)
    assert response == {"batchItemFailures": [{"itemIdentifier": "1"}, {"itemIdentifier": "2"}]}
    assert count_failure.call_count == 2
    uploads.process_all.assert_called_with([S3Location("uploads", "in/rain.wav")], cancellation)


def test_batch_in_which_all_messages_fail_does_not_raise() -> None:
    response = process_messages(queue_event("not JSON"), Mock(), uploads_with(), Mock())
    assert response == {"batchItemFailures": [{"itemIdentifier": "0"}]}


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
