"""Events whose parts fail on their own: messages of a queue, tasks of S3 Batch Operations.

Powertools' modules for them take a tenth of a cold start: whoever answers over HTTP need not import them.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, Final, Literal

from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType, process_partial_response
from aws_lambda_powertools.utilities.data_classes import S3BatchOperationEvent, S3BatchOperationResponse
from aws_lambda_powertools.utilities.data_classes.s3_batch_operation_event import S3BatchOperationTask
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
from aws_lambda_powertools.utilities.typing import LambdaContext

from audio_classifier.errors import AudioClassifierError
from audio_classifier.s3.notifications import created_objects, json_object
from audio_classifier.s3.objects import ObjectRef
from audio_classifier.service.uploads import Uploads

RESULT_STRING_CHARACTERS: Final = 1024  # S3 Batch Operations cuts longer ones

_log = logging.getLogger(__name__)


def process_messages(
    event: dict[str, Any], context: LambdaContext, uploads: Uploads, count_failure: Callable[[], object]
) -> Any:
    """Process the objects that messages of SQS name; the answer names those that go back to the queue."""

    def process(record: SQSRecord) -> None:
        try:
            uploads.process_all(created_objects(json_object(record.body)))
        except Exception:
            _log.exception("message %s goes back to its queue", record.message_id)
            count_failure()
            raise

    processor = BatchProcessor(EventType.SQS, raise_on_entire_batch_failure=False)
    return process_partial_response(event, process, processor, context)


def process_task(
    event: dict[str, Any], uploads: Uploads, count_failure: Callable[[], object]
) -> dict[str, Any]:
    """Process the one object of an event of S3 Batch Operations; the answer says what became of it."""

    def process(task: S3BatchOperationTask) -> Any:
        try:
            stored = uploads.process(ObjectRef(task.s3_bucket, task.s3_key, task.s3_version_id))
        except AudioClassifierError as error:
            _log.exception("task %s", task.task_id)
            count_failure()
            return task.build_task_batch_response("TemporaryFailure", str(error)[:RESULT_STRING_CHARACTERS])
        code: Literal["Succeeded", "PermanentFailure"] = "PermanentFailure" if stored.error else "Succeeded"
        return task.build_task_batch_response(code, (stored.error or str(stored))[:RESULT_STRING_CHARACTERS])

    job = S3BatchOperationEvent(event)
    response = S3BatchOperationResponse(job.invocation_schema_version, job.invocation_id, "PermanentFailure")
    response.add_result(process(job.task))
    return response.asdict()
