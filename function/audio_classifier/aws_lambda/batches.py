"""Process events whose parts fail independently: SQS messages and tasks of S3 Batch Operations.

HTTP functions do not import this module, because Powertools' batch modules take a tenth of a cold start.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, Final, Literal

from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType, process_partial_response
from aws_lambda_powertools.utilities.data_classes import S3BatchOperationEvent, S3BatchOperationResponse
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
from aws_lambda_powertools.utilities.typing import LambdaContext

from audio_classifier.errors import AudioClassifierError
from audio_classifier.s3.location import S3Location
from audio_classifier.s3.notifications import created_objects, parse_json_object
from audio_classifier.service.cancellation import Cancellation
from audio_classifier.service.uploads import Uploads

RESULT_STRING_CHARACTERS: Final = 1024  # S3 Batch Operations truncates longer strings

_log = logging.getLogger(__name__)


def process_messages(
    event: dict[str, Any],
    context: LambdaContext,
    uploads: Uploads,
    count_failure: Callable[[], object],
    cancellation: Cancellation | None = None,
) -> Any:
    """Process the objects of SQS messages; the response names the messages that return to the queue.

    After the deadline of ``cancellation``, these are all that have not been processed.
    """

    def process(record: SQSRecord) -> None:
        try:
            uploads.process_all(created_objects(parse_json_object(record.body)), cancellation)
        except Exception:
            _log.exception("message %s returns to its queue", record.message_id)
            count_failure()
            raise

    processor = BatchProcessor(EventType.SQS, raise_on_entire_batch_failure=False)
    return process_partial_response(event, process, processor, context)


def process_task(
    event: dict[str, Any],
    uploads: Uploads,
    count_failure: Callable[[], object],
    cancellation: Cancellation | None = None,
) -> dict[str, Any]:
    """Process the one object of an S3 Batch Operations event; the response reports its outcome."""
    job = S3BatchOperationEvent(event)
    task = job.task
    code: Literal["Succeeded", "TemporaryFailure", "PermanentFailure"]
    try:
        location = S3Location(task.s3_bucket, task.s3_key, task.s3_version_id)
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
