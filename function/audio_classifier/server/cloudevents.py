"""The route that receives CloudEvents about created objects."""

from __future__ import annotations

import logging

from fastapi import APIRouter, Request

from audio_classifier.errors import UnknownEventError
from audio_classifier.s3.location import S3Location
from audio_classifier.s3.notifications import created_objects, parse_json_object
from audio_classifier.server.body import small_body
from audio_classifier.server.limiter import ConcurrencyLimiter
from audio_classifier.server.schemas import ErrorResponse
from audio_classifier.service.cancellation import DEADLINE_KEY, Cancellation
from audio_classifier.service.uploads import Uploads

_log = logging.getLogger(__name__)


def event_routes(uploads: Uploads, limiter: ConcurrencyLimiter) -> APIRouter:
    """Return ``/events``, for Knative's and other brokers of CloudEvents.

    The response has no body: a broker would treat a body as a new event, and a body that is not an event as a
    failure.
    """
    router = APIRouter(tags=["uploads"])

    @router.post(
        "/events",
        operation_id="receive_event",
        status_code=204,
        responses={
            422: {"model": ErrorResponse, "description": "the event does not report created objects"},
            503: {"model": ErrorResponse, "description": "the event must be delivered again"},
        },
        openapi_extra={
            "requestBody": {"required": True, "content": {"application/cloudevents+json": {"schema": {}}}}
        },
    )
    async def receive(request: Request) -> None:
        """Classify the objects that a CloudEvent reports as created"""
        locations = _created_objects(dict(request.headers), await small_body(request))
        for location in locations:
            uploads.access.check_allowed(location)
        cancellation = Cancellation(request.scope.get(DEADLINE_KEY))
        for outcome in await limiter.run(lambda: uploads.process_all(locations, cancellation)):
            _log.info("%s", outcome)

    return router


def _created_objects(headers: dict[str, str], body: bytes) -> list[S3Location]:
    """Return the objects of a CloudEvent whose data is an S3 notification, as JSON or text, or one record."""
    from cloudevents.core.bindings.http import HTTPMessage, from_http_event
    from cloudevents.core.exceptions import BaseCloudEventException

    try:
        data = from_http_event(HTTPMessage(headers, body)).get_data()
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
