"""Process events whose parts fail independently: SQS messages and tasks of S3 Batch Operations.

HTTP functions do not import this module, because Powertools' event classes would prolong their cold starts.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextvars import copy_context
from typing import Any, Final, Literal

from aws_lambda_powertools.utilities.data_classes import S3BatchOperationEvent, S3BatchOperationResponse

from audio_classifier.errors import AudioClassifierError
from audio_classifier.s3.location import S3Location
from audio_classifier.s3.notifications import created_objects, parse_json_object
from audio_classifier.service.cancellation import Cancellation
from audio_classifier.service.log_context import OBJECT_FIELD, add_log_fields
from audio_classifier.service.object_batches import Delivery, ObjectBatch
from audio_classifier.service.uploads import Uploads

PARALLEL_OBJECTS: Final = 10  # the size of a batch, and of the client's pool of connections
RESULT_STRING_CHARACTERS: Final = 1024  # S3 Batch Operations truncates longer strings

_log = logging.getLogger(__name__)


def process_messages(
    event: dict[str, Any],
    uploads: Uploads,
    count_failure: Callable[[], object],
    cancellation: Cancellation | None = None,
) -> dict[str, Any]:
    """Process the objects of SQS messages; the response names the messages that return to their queue.

    These are the messages that are not notifications, and those with an object that could not be processed,
    or not before the deadline of ``cancellation``.
    """
    failures: dict[str, Exception] = {}
    deliveries: list[Delivery] = []
    message_ids: list[str] = []  # of the deliveries
    for record in event["Records"]:
        try:
            locations = created_objects(parse_json_object(record["body"]))
        except AudioClassifierError as error:
            failures[record["messageId"]] = error
            continue
        deliveries += [Delivery(location, _receives(record)) for location in locations]
        message_ids += [record["messageId"]] * len(locations)
    batch = ObjectBatch(uploads, cancellation or Cancellation(), parallel=PARALLEL_OBJECTS)
    for message_id, outcome in zip(message_ids, batch.process(deliveries), strict=True):
        if isinstance(outcome, Exception):
            failures.setdefault(message_id, outcome)
    for message_id, failure in failures.items():
        _log.error("message %s returns to its queue", message_id, exc_info=failure)
        count_failure()
    return {"batchItemFailures": [{"itemIdentifier": message_id} for message_id in failures]}


def process_task(
    event: dict[str, Any],
    uploads: Uploads,
    count_failure: Callable[[], object],
    cancellation: Cancellation | None = None,
) -> dict[str, Any]:
    """Process the one object of an S3 Batch Operations event; the response reports its outcome."""
    # In a context of its own, with which the fields of log entries end.
    return copy_context().run(_process_task, event, uploads, count_failure, cancellation)


def _process_task(
    event: dict[str, Any],
    uploads: Uploads,
    count_failure: Callable[[], object],
    cancellation: Cancellation | None,
) -> dict[str, Any]:
    job = S3BatchOperationEvent(event)
    task = job.task
    code: Literal["Succeeded", "TemporaryFailure", "PermanentFailure"]
    try:
        location = S3Location(task.s3_bucket, task.s3_key, task.s3_version_id)
        add_log_fields(**{OBJECT_FIELD: str(location)})
        outcome = uploads.process(location, cancellation)
    except AudioClassifierError as error:
        _log.exception("task %s", task.task_id)
        count_failure()
        code, message = "TemporaryFailure", str(error)
    else:
        code = "PermanentFailure" if outcome.error else "Succeeded"
        message = outcome.error or str(outcome)
    response = S3BatchOperationResponse(job.invocation_schema_version, job.invocation_id, "PermanentFailure")
    response.add_result(task.build_task_batch_response(code, message[:RESULT_STRING_CHARACTERS]))
    return response.asdict()


def _receives(record: dict[str, Any]) -> int:
    """Return how often SQS has delivered a message, this time included."""
    count = str(record.get("attributes", {}).get("ApproximateReceiveCount", ""))
    return int(count) if count.isdecimal() else 1
