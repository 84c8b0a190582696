"""The route that receives CloudEvents, and webhooks of MinIO, about created objects."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Mapping
from typing import Any, Final

import anyio.to_thread
from fastapi import APIRouter, Request

from audio_classifier.errors import InvalidParameterError, UnknownEventError
from audio_classifier.s3.location import S3Location
from audio_classifier.s3.notifications import created_objects, objects_of, parse_json_object
from audio_classifier.server.body import media_type, small_body
from audio_classifier.server.deadlines import bounded
from audio_classifier.server.limiter import ConcurrencyLimiter
from audio_classifier.server.schemas import ErrorResponse
from audio_classifier.service.cancellation import DEADLINE_KEY, Cancellation
from audio_classifier.service.object_batches import process_all
from audio_classifier.service.uploads import Uploads

STRUCTURED: Final = "application/cloudevents+json"
BATCH: Final = "application/cloudevents-batch+json"
EVENT_RESPONSES: Final[dict[int | str, dict[str, Any]]] = {
    status: {"model": ErrorResponse, "description": description}
    for status, description in (
        (400, "the body cannot be decoded"),
        (413, "the body is too large"),
        (415, "the body has an unsupported encoding"),
        (422, "the event does not report created objects"),
        (503, "the event must be delivered again"),
        (504, "the event was not processed within its deadline, and must be delivered again"),
    )
}

_log = logging.getLogger(__name__)


def event_routes(uploads: Uploads, limiter: ConcurrencyLimiter) -> APIRouter:
    """Return ``/events``, for Knative's and other brokers of CloudEvents, and for MinIO's webhook.

    The response has no body: a broker would treat a body as a new event, and a body that is not an event as a
    failure.
    """
    router = APIRouter(tags=["uploads"])

    @router.post(
        "/events",
        operation_id="receive_event",
        status_code=204,
        responses=EVENT_RESPONSES,
        openapi_extra={
            "requestBody": {
                "required": True,
                "content": {name: {"schema": {}} for name in (STRUCTURED, BATCH, "application/json")},
            }
        },
    )
    async def receive(request: Request) -> None:
        """Classify the objects that CloudEvents or a notification report as created"""
        limit_s = request.scope.get(DEADLINE_KEY, math.inf)
        cancellation = Cancellation(min(limit_s, uploads.settings.timeline_deadline_s))
        async with bounded(cancellation):
            body = await small_body(request)
        # In a thread, because a batch may have thousands of events.
        found = await anyio.to_thread.run_sync(_created_objects, request, body)
        locations = _allowed(found, uploads)
        async with bounded(cancellation, request.receive):
            outcomes = await limiter.run(
                # The limiter counts this as one recording in progress.
                lambda: process_all(uploads, locations, cancellation, parallel=1)
            )
        for outcome in outcomes:
            _log.info("%s", outcome)

    return router


def _allowed(locations: list[S3Location], uploads: Uploads) -> list[S3Location]:
    """Return the objects of buckets that may be read; raise `InvalidParameterError` if there is none."""
    allowed: list[S3Location] = []
    errors: list[InvalidParameterError] = []
    for location in locations:
        try:
            uploads.access.check_allowed(location)
        except InvalidParameterError as error:
            errors.append(error)
        else:
            allowed.append(location)
    if errors and not allowed:
        raise errors[0]
    if errors:
        _log.warning("%d of %d objects are not processed: %s", len(errors), len(locations), errors[0])
    return allowed


def _created_objects(request: Request, body: bytes) -> list[S3Location]:
    headers = dict(request.headers)
    if any(name.startswith("ce-") for name in headers):
        return _in_event(headers, body)
    if media_type(request) == BATCH:
        return objects_of(_batch(body), lambda event: _in_event({}, json.dumps(event).encode()))
    content = parse_json_object(body)
    return _in_event({}, body) if "specversion" in content else created_objects(content)


def _batch(body: bytes) -> list[Any]:
    try:
        events = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise UnknownEventError(f"the batch is not JSON: {error}") from error
    if not isinstance(events, list):
        raise UnknownEventError(f"a batch must be a list of CloudEvents, got {type(events).__name__}")
    return events


def _in_event(headers: Mapping[str, str], body: bytes) -> list[S3Location]:
    """Return the objects of a CloudEvent whose data is an S3 notification, as JSON or text, or one record.

    Parameters
    ----------
    headers
        The request's headers, which contain the attributes of an event in binary mode.
    """
    from cloudevents.core.bindings.http import HTTPMessage, from_http_event
    from cloudevents.core.exceptions import BaseCloudEventException

    try:
        data = from_http_event(HTTPMessage(dict(headers), body)).get_data()
    except (
        BaseCloudEventException,
        ValueError,
        KeyError,
        TypeError,
        AttributeError,
        RecursionError,
    ) as error:
        raise UnknownEventError(f"the request is not a CloudEvent: {error}") from error
    if isinstance(data, str | bytes):  # from a queue
        data = parse_json_object(data)
    if isinstance(data, dict) and "s3" in data:
        data = {"Records": [data]}
    return created_objects(data if isinstance(data, dict) else {})
