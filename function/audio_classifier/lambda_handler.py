"""The entry point of the Lambda function: dispatches on the shape of the event.

Importing this module loads the model.
"""

from __future__ import annotations

import os

# Threads of numpy's BLAS would compete with those of the network.  It reads the variable when it is imported.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import gc
import logging
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools import Logger
from aws_lambda_powertools.logging.utils import copy_config_to_registered_loggers
from aws_lambda_powertools.utilities.typing import LambdaContext
from snapshot_restore_py import register_after_restore, register_before_snapshot

from audio_classifier.audio.source import AudioSource
from audio_classifier.aws_lambda import events
from audio_classifier.aws_lambda.base64_text import decode_base64
from audio_classifier.aws_lambda.deadlines import cancellation_for
from audio_classifier.aws_lambda.metrics import SERVICE, EmbeddedMetrics
from audio_classifier.aws_lambda.snapstart import renew, warm_up
from audio_classifier.aws_lambda.tracing import Traces
from audio_classifier.errors import (
    AudioError,
    DeadlineExceededError,
    InvalidParameterError,
    ResponseTooLargeError,
    UnknownEventError,
    describe_error,
)
from audio_classifier.escaping import printable_json
from audio_classifier.s3.location import S3Location
from audio_classifier.s3.notifications import created_objects
from audio_classifier.service.cancellation import Cancellation
from audio_classifier.service.log_context import AddLogFields
from audio_classifier.service.parameters import REQUEST_NAMES, parse_parameters
from audio_classifier.service.predict import predict
from audio_classifier.service.settings import Settings
from audio_classifier.service.shared_classifier import SharedClassifier
from audio_classifier.service.uploads import Uploads

if TYPE_CHECKING:
    from audio_classifier.aws_lambda.http import HttpAdapter

logger = Logger(service=SERVICE, json_serializer=printable_json)
logging.getLogger("audio_classifier").setLevel(logging.INFO)
logger.registered_handler.addFilter(AddLogFields())
copy_config_to_registered_loggers(logger, include={"audio_classifier"})
metrics = EmbeddedMetrics()
shared = SharedClassifier(Settings.from_environment())
for observer in (metrics, Traces()):
    shared.observe(observer)
uploads = Uploads(shared)


@cache
def _http() -> HttpAdapter:
    """Create the HTTP application at its first use: a function for uploads never imports it."""
    from audio_classifier.aws_lambda.http import HttpAdapter
    from audio_classifier.server.app import create_app

    return HttpAdapter(create_app(shared, uploads), has_uploads=bool(shared.settings.uploads_bucket))


def _warm_up_http() -> None:
    _http().warm_up()


def _warm_up_uploads() -> None:
    from audio_classifier.aws_lambda import batches  # noqa: F401

    uploads.access.client()
    if uploads.events.bus:
        uploads.events.bus.client()


def _warm_up() -> None:
    match shared.settings.warm_up:
        case "http":
            _warm_up_http()
        case "uploads":
            _warm_up_uploads()


def _start() -> None:
    """Load the model and prepare, in parallel, the entry point that ``AUDIO_CLASSIFIER_WARM_UP`` names.

    The model's files are hashed without Python's lock, while modules are imported.
    """
    with ThreadPoolExecutor(1) as pool:
        loading = pool.submit(shared.load)
        try:
            _warm_up()
        except Exception:
            logger.exception("the function could not be warmed up")
            loading.result()  # an error of the model takes precedence
            raise
    loading.result()
    # `boot` disables collection while modules are imported, because hardly any of their objects are garbage.
    gc.freeze()
    gc.enable()


_start()
# Hooks run in reverse order: this one last.
register_before_snapshot(gc.freeze)
# Otherwise every restored environment would report the metrics of the initialisation again.
register_before_snapshot(metrics.discard)
register_before_snapshot(warm_up, shared, uploads.access, _warm_up_http)
register_after_restore(renew, uploads.access)
if uploads.events.bus:
    register_after_restore(uploads.events.bus.discard_client)
register_after_restore(metrics.count_cold_start)


@logger.inject_lambda_context(clear_state=True)
def handler(event: dict[str, Any], context: LambdaContext) -> Any:
    """Serve any of `events.SUPPORTED_EVENTS`.

    Raises
    ------
    UnknownEventError
        If the event is of another kind; the message lists the supported ones, because Lambda shows no hint.
    DeadlineExceededError
        If objects could not be processed in the time that the function had left.
    AudioClassifierError
        If a later attempt may succeed.
    """
    try:
        return _dispatch(event, context)
    except UnknownEventError as error:
        metrics.count_failure()
        raise UnknownEventError(f"{error}; supported events: {events.SUPPORTED_EVENTS}") from error
    except Exception:
        metrics.count_failure()
        raise
    finally:
        metrics.flush(context.function_name)


def _dispatch(event: dict[str, Any], context: LambdaContext) -> Any:
    if not isinstance(event, dict):
        raise UnknownEventError(f"the event must be an object, got {type(event).__name__}")
    if events.is_http(event):
        return _http()(event, context)
    cancellation = cancellation_for(context)
    if events.is_batch_operation(event):
        from audio_classifier.aws_lambda.batches import process_task

        return process_task(event, uploads, metrics.count_failure, cancellation)
    if events.is_direct_request(event):
        return _respond_to_direct_request(event, cancellation)
    if events.is_warm_up(event):
        return {"status": "ok"}
    if events.is_queue(event):
        from audio_classifier.aws_lambda.batches import process_messages

        return process_messages(event, uploads, metrics.count_failure, cancellation)
    if events.is_map_batch(event):
        return _process_objects(events.map_batch_objects(event), cancellation)
    return _process_objects(created_objects(event), cancellation)


def _process_objects(locations: list[S3Location], cancellation: Cancellation) -> dict[str, Any]:
    from audio_classifier.aws_lambda.batches import PARALLEL_OBJECTS
    from audio_classifier.service.object_batches import process_all

    outcomes = process_all(uploads, locations, cancellation, parallel=PARALLEL_OBJECTS)
    return {"status": "ok", "results": [str(outcome) for outcome in outcomes]}


def _respond_to_direct_request(event: dict[str, Any], cancellation: Cancellation) -> dict[str, Any]:
    """Respond as over HTTP; errors of the caller and an exceeded deadline are responses as well."""
    try:
        return _predict(event, cancellation)
    except (AudioError, DeadlineExceededError, InvalidParameterError, ResponseTooLargeError) as error:
        return dict(describe_error(error, names=REQUEST_NAMES))


def _predict(event: dict[str, Any], cancellation: Cancellation) -> dict[str, Any]:
    parameters = parse_parameters(event)
    response = predict(shared, _direct_source(event, cancellation), parameters, cancellation)
    if parameters.timeline:
        from audio_classifier.aws_lambda.response_size import require_fitting_items

        require_fitting_items(response)
    return response


def _direct_source(event: dict[str, Any], cancellation: Cancellation) -> AudioSource:
    if "audio" in event:
        return uploads.access.open_allowed(event["audio"], check=cancellation.check)
    try:
        return decode_base64(event["audio_base64"])
    except ValueError as error:
        raise InvalidParameterError("audio_base64", f"is not base64: {error}") from error
