"""The route that receives CloudEvents, and webhooks of MinIO, about created objects, and replies to them."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Mapping
from typing import Any, Final

import anyio.to_thread
from fastapi import APIRouter, Request, Response

from audio_classifier.errors import InvalidParameterError, UnknownEventError
from audio_classifier.s3.location import S3Location
from audio_classifier.s3.notifications import created_objects, objects_of, parse_json_object
from audio_classifier.server.body import media_type, small_body
from audio_classifier.server.deadlines import bounded
from audio_classifier.server.limiter import ConcurrencyLimiter
from audio_classifier.server.schemas import ErrorResponse
from audio_classifier.service.cancellation import DEADLINE_KEY, Cancellation
from audio_classifier.service.object_batches import process_all
from audio_classifier.service.object_results import Unchanged
from audio_classifier.service.result_events import DETAIL_TYPE, SOURCE
from audio_classifier.service.upload_states import Skipped
from audio_classifier.service.uploads import Uploads

STRUCTURED: Final = "application/cloudevents+json"
BATCH: Final = "application/cloudevents-batch+json"
REPLY_TYPE: Final = f"{SOURCE}.{DETAIL_TYPE}"
EVENT_RESPONSES: Final[dict[int | str, dict[str, Any]]] = {
    200: {
        "description": f"the event of the type {REPLY_TYPE} that reports the result",
        "content": {STRUCTURED: {"schema": {"type": "object"}}},
    },
    204: {"description": "the event was processed, and there is nothing to reply"},
    **{
        status: {"model": ErrorResponse, "description": description}
        for status, description in (
            (400, "the body cannot be decoded"),
            (413, "the body is too large"),
            (415, "the body has an unsupported encoding"),
            (422, "the event does not report created objects"),
            (503, "the event must be delivered again"),
            (504, "the event was not processed within its deadline, and must be delivered again"),
        )
    },
}

_log = logging.getLogger(__name__)


def event_routes(uploads: Uploads, limiter: ConcurrencyLimiter) -> APIRouter:
    """Return ``/events``, for Knative's and other brokers of CloudEvents, and for MinIO's webhook.

    The response to a CloudEvent about one object is the event of its result, which a broker routes to its
    other triggers.  Any other response has no body, because a broker would treat it as a failure.
    """
    router = APIRouter(tags=["uploads"])

    @router.post(
        "/events",
        operation_id="receive_event",
        response_class=Response,
        responses=EVENT_RESPONSES,
        openapi_extra={
            "requestBody": {
                "required": True,
                "content": {name: {"schema": {}} for name in (STRUCTURED, BATCH, "application/json")},
            }
        },
    )
    async def receive(request: Request) -> Response:
        """Classify the objects that CloudEvents or a notification report as created"""
        limit_s = request.scope.get(DEADLINE_KEY, math.inf)
        cancellation = Cancellation(min(limit_s, uploads.settings.timeline_deadline_s))
        async with bounded(cancellation):
            body = await small_body(request)
        # In a thread, because a batch may have thousands of events.
        found = await anyio.to_thread.run_sync(_created_objects, request, body)
        locations = _allowed(found, uploads)
        async with bounded(cancellation, request.receive):
            # The limiter counts this as one recording in progress.
            return await limiter.run(
                lambda: _process(uploads, locations, cancellation, replies=_is_event(request, body))
            )

    return router


def _process(
    uploads: Uploads, locations: list[S3Location], cancellation: Cancellation, *, replies: bool
) -> Response:
    outcomes = process_all(uploads, locations, cancellation, parallel=1)
    for outcome in outcomes:
        _log.info("%s", outcome)
    done = [
        (location, outcome)
        for location, outcome in zip(locations, outcomes, strict=True)
        if not isinstance(outcome, Skipped)
    ]
    if not replies or not done:
        return Response(status_code=204)
    if len(done) > 1:
        _log.warning("the event reports %d objects, and is not replied to: a reply reports one", len(done))
        return Response(status_code=204)
    ((location, outcome),) = done
    return _reply(uploads, location, repeated=isinstance(outcome, Unchanged))


def _reply(uploads: Uploads, location: S3Location, *, repeated: bool) -> Response:
    """Return the CloudEvent that reports the stored result of an object, in structured mode."""
    result = uploads.result(location)
    if result is None:  # deleted in the meantime
        return Response(status_code=204)
    detail = uploads.events.event(uploads.results.location(location), result, repeated=repeated)
    event = {
        "specversion": "1.0",
        "id": detail["id"],
        "source": SOURCE,
        "type": REPLY_TYPE,
        "subject": location.uri,
        "datacontenttype": "application/json",
        "data": detail,
    }
    return Response(json.dumps(event), media_type=STRUCTURED)


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


def _is_event(request: Request, body: bytes) -> bool:
    """Return whether the request is one CloudEvent, not a batch or a notification as it is."""
    if any(name.startswith("ce-") for name in request.headers):
        return True
    return media_type(request) != BATCH and "specversion" in parse_json_object(body)


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
        event = from_http_event(HTTPMessage(dict(headers), body))
        kind, data = event.get_type(), event.get_data()
    except (
        BaseCloudEventException,
        ValueError,
        KeyError,
        TypeError,
        AttributeError,
        RecursionError,
    ) as error:
        raise UnknownEventError(f"the request is not a CloudEvent: {error}") from error
    if kind == REPLY_TYPE:  # a reply that a trigger without a filter delivers
        _log.info("ignored an event of the type %s", kind)
        return []
    if isinstance(data, str | bytes):  # from a queue
        data = parse_json_object(data)
    if isinstance(data, dict) and "s3" in data:
        data = {"Records": [data]}
    return created_objects(data if isinstance(data, dict) else {})
