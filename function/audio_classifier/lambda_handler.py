"""The Lambda door: looks at an event and picks what serves it.  Importing this loads the model."""

from __future__ import annotations

import gc
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any, Final

import pybase64
from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.logging.utils import copy_config_to_registered_loggers
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext
from snapshot_restore_py import register_after_restore, register_before_snapshot

from audio_classifier.audio.source import AudioSource
from audio_classifier.aws_lambda.snapstart import renew, warm_up
from audio_classifier.errors import AudioError, InvalidParameterError
from audio_classifier.inference.clip import Classification
from audio_classifier.s3.notifications import batch_objects, created_objects, unknown_event
from audio_classifier.service import predict as prediction
from audio_classifier.service.settings import Settings, WarmUp
from audio_classifier.service.shared_classifier import Service
from audio_classifier.service.uploads import Uploads

NAME: Final = "audio-classifier"
HEALTH_CHECK: Final = {
    "version": "2.0",
    "rawPath": "/healthz",
    "rawQueryString": "",
    "headers": {},
    "requestContext": {"http": {"method": "GET", "path": "/healthz", "sourceIp": "127.0.0.1"}},
}

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
service.observe(EmbeddedMetrics())
uploads = Uploads(service)


@cache
def _http() -> Any:
    """The HTTP door, made when it is first needed: an upload function never imports it."""
    from mangum import Mangum

    from audio_classifier.aws_lambda.root_path import BelowGateway
    from audio_classifier.server.app import create_app

    return Mangum(BelowGateway(create_app(service, uploads)), lifespan="off")


def _open_http_door() -> None:
    """Make it, and let a request through, at which libraries import the rest of themselves."""
    answer = _http()(HEALTH_CHECK, None)
    if answer["statusCode"] != 200:
        raise RuntimeError(f"the HTTP door is broken: {answer}")


def _open_upload_door() -> None:
    """Import what serves queues and batch jobs, and make the client of S3."""
    from audio_classifier.aws_lambda import batches  # noqa: F401

    _ = uploads.client


WARM_UPS: Final[dict[WarmUp | None, Callable[[], object]]] = {
    None: lambda: None,
    "http": _open_http_door,
    "uploads": _open_upload_door,
}


def _start() -> None:
    """Load the model, and make ready what the function is said to be for.

    A model is hashed without Python's lock, so that what Python imports meanwhile takes no time of its own.
    """
    with ThreadPoolExecutor(1) as beside:
        loading = beside.submit(service.load)
        try:
            WARM_UPS[service.settings.warm_up]()
        except Exception:
            logger.exception("the function cannot be warmed up for what it is for")
            loading.result()  # what is wrong with the model, if something is, matters more
            raise
    loading.result()
    # What stands now stays.  `boot` has switched it off: hardly anything that is imported becomes garbage.
    gc.freeze()
    gc.enable()


_start()
# Hooks run in the reverse order: this one last.
register_before_snapshot(gc.freeze)
# What was counted while the model was loaded would be told again by every environment that is restored.
register_before_snapshot(metrics.clear_metrics)
register_before_snapshot(warm_up, service, uploads, _open_http_door)
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
        return _http()(_decoded(event), context)
    if event.get("invocationSchemaVersion") in ("1.0", "2.0") and event.get("tasks"):
        from audio_classifier.aws_lambda.batches import process_task

        return process_task(event, uploads, _count_failure)
    if "audio" in event or "audio_base64" in event:
        return _direct(event)
    if event.get("warmup"):
        return {"status": "ok"}
    if _is_queue(event):
        from audio_classifier.aws_lambda.batches import process_messages

        return process_messages(event, context, uploads, _count_failure)
    refs = batch_objects(event) if "Items" in event else created_objects(event)
    return {"status": "ok", "results": uploads.process_all(refs)}


def _is_http(event: dict[str, Any]) -> bool:
    request = event.get("requestContext")
    if not isinstance(request, dict):
        return False
    return "httpMethod" in event or (event.get("version") == "2.0" and "http" in request)


def _decoded(event: dict[str, Any]) -> dict[str, Any]:
    """An HTTP event whose body is bytes; Mangum decodes it more slowly than the network hears it."""
    if not event.get("isBase64Encoded"):
        return event
    return {**event, "body": pybase64.b64decode(event.get("body") or b""), "isBase64Encoded": False}


def _is_queue(event: dict[str, Any]) -> bool:
    records = event.get("Records")
    first = records[0] if isinstance(records, list) and records else None
    return isinstance(first, dict) and first.get("eventSource") == "aws:sqs"


def _count_failure() -> None:
    metrics.add_metric("Failures", MetricUnit.Count, 1)


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
        return pybase64.b64decode("".join(event["audio_base64"].split()), validate=True)
    except (AttributeError, ValueError) as error:
        raise InvalidParameterError("audio_base64", f"is not base64: {error}") from error
