"""The Lambda door: looks at an event and picks what serves it.  Importing this loads the model."""

from __future__ import annotations

import base64
import logging
from functools import cache
from typing import Any, Final, Literal

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.logging.utils import copy_config_to_registered_loggers
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType, process_partial_response
from aws_lambda_powertools.utilities.data_classes import S3BatchOperationEvent, S3BatchOperationResponse
from aws_lambda_powertools.utilities.data_classes.s3_batch_operation_event import S3BatchOperationTask
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
from aws_lambda_powertools.utilities.typing import LambdaContext
from snapshot_restore_py import register_after_restore, register_before_snapshot

from audio_classifier import prediction
from audio_classifier.clip import Classification
from audio_classifier.errors import (
    AudioClassifierError,
    AudioError,
    InvalidParameterError,
)
from audio_classifier.events import batch_objects, created_objects, json_object, unknown_event
from audio_classifier.guarded_file import AudioSource
from audio_classifier.s3_source import ObjectRef
from audio_classifier.service import Service
from audio_classifier.settings import Settings
from audio_classifier.snapshot import renew, warm_up
from audio_classifier.uploads import Uploads

NAME: Final = "audio-classifier"
RESULT_STRING_CHARACTERS: Final = 1024  # S3 Batch Operations cuts longer ones

logger = Logger(service=NAME)
logging.getLogger("audio_classifier").setLevel(logging.INFO)
copy_config_to_registered_loggers(logger, include={"audio_classifier"})
metrics = Metrics(namespace="AudioClassifier", service=NAME)


class EmbeddedMetrics:
    """Counts by CloudWatch's embedded metric format, printed when an invocation ends."""

    def loaded(self, seconds: float) -> None:
        """Count a cold start."""
        metrics.add_metric("ColdStart", MetricUnit.Count, 1)
        metrics.add_metric("LoadSeconds", MetricUnit.Seconds, seconds)

    def classified(self, result: Classification) -> None:
        """Count a sound."""
        metrics.add_metric("AudioSeconds", MetricUnit.Seconds, result.heard_s)
        for stage, seconds in result.seconds.items():
            metrics.add_metric(f"{stage.capitalize()}Seconds", MetricUnit.Seconds, seconds)

    def listened(self, heard_s: float) -> None:
        """Count a timeline."""
        metrics.add_metric("AudioSeconds", MetricUnit.Seconds, heard_s)


service = Service(Settings.from_environment())
service.observers.append(EmbeddedMetrics())
service.load()
uploads = Uploads(service)


@cache
def _http() -> Any:
    """The HTTP door, made when the first request comes: an upload function never imports it."""
    from mangum import Mangum

    from audio_classifier.gateway import BelowGateway
    from audio_classifier.http_api import create_app

    return Mangum(BelowGateway(create_app(service, uploads)), lifespan="off")


# What was counted while the model was loaded would be told again by every environment that is restored.
register_before_snapshot(metrics.clear_metrics)
register_before_snapshot(warm_up, service, uploads, _http)
register_after_restore(renew, uploads)
register_after_restore(metrics.add_metric, "ColdStart", MetricUnit.Count, 1)


@logger.inject_lambda_context(clear_state=True)
def handler(event: dict[str, Any], context: LambdaContext) -> Any:
    """Serve any event that `events.UNDERSTOOD` lists.

    Raises
    ------
    AudioClassifierError
        If another try may succeed, or the event is not understood.
    """
    try:
        return _dispatch(event, context)
    except Exception:
        _count_failure()
        raise
    finally:
        if metrics.provider.metric_set:
            metrics.add_dimension("function_name", context.function_name)
            metrics.flush_metrics()


def _dispatch(event: dict[str, Any], context: LambdaContext) -> Any:
    if not isinstance(event, dict):
        raise unknown_event(f"a {type(event).__name__} is no event")
    if _is_http(event):
        return _http()(event, context)
    if event.get("invocationSchemaVersion") in ("1.0", "2.0") and event.get("tasks"):
        return _batch_operation(S3BatchOperationEvent(event))
    if "audio" in event or "audio_base64" in event:
        return _direct(event)
    if event.get("warmup"):
        return {"status": "ok"}
    if _is_queue(event):
        processor = BatchProcessor(EventType.SQS, raise_on_entire_batch_failure=False)
        return process_partial_response(event, _queued, processor, context)
    refs = batch_objects(event) if "Items" in event else created_objects(event)
    return {"status": "ok", "results": uploads.process_all(refs)}


def _is_http(event: dict[str, Any]) -> bool:
    request = event.get("requestContext")
    if not isinstance(request, dict):
        return False
    return "httpMethod" in event or (event.get("version") == "2.0" and "http" in request)


def _is_queue(event: dict[str, Any]) -> bool:
    records = event.get("Records")
    first = records[0] if isinstance(records, list) and records else None
    return isinstance(first, dict) and first.get("eventSource") == "aws:sqs"


def _queued(record: SQSRecord) -> None:
    try:
        uploads.process_all(created_objects(json_object(record.body)))
    except Exception:
        logger.exception("message %s goes back to its queue", record.message_id)
        _count_failure()
        raise


def _count_failure() -> None:
    metrics.add_metric("Failures", MetricUnit.Count, 1)


def _batch_operation(event: S3BatchOperationEvent) -> dict[str, Any]:
    response = S3BatchOperationResponse(
        event.invocation_schema_version, event.invocation_id, "PermanentFailure"
    )
    response.add_result(_task(event.task))
    return response.asdict()


def _task(task: S3BatchOperationTask) -> Any:
    try:
        stored = uploads.process(ObjectRef(task.s3_bucket, task.s3_key, task.s3_version_id))
    except AudioClassifierError as error:
        logger.exception("task %s", task.task_id)
        _count_failure()
        return task.build_task_batch_response("TemporaryFailure", str(error)[:RESULT_STRING_CHARACTERS])
    code: Literal["Succeeded", "PermanentFailure"] = "PermanentFailure" if stored.error else "Succeeded"
    return task.build_task_batch_response(code, (stored.error or str(stored))[:RESULT_STRING_CHARACTERS])


def _direct(event: dict[str, Any]) -> dict[str, Any]:
    """Answer as over HTTP; what is the caller's fault is an answer, too."""
    try:
        parameters = prediction.parse_parameters(event)
        return prediction.predict(service, _direct_source(event), parameters)
    except (AudioError, InvalidParameterError) as error:
        return {"status": "error", "message": str(error), "hint": error.hint}


def _direct_source(event: dict[str, Any]) -> AudioSource:
    if "audio" in event:
        return uploads.open_allowed(event["audio"])
    try:
        return base64.b64decode("".join(event["audio_base64"].split()), validate=True)
    except (AttributeError, ValueError) as error:
        raise InvalidParameterError("audio_base64", f"is not base64: {error}") from error
