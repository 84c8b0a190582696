"""Routes for sounds that go through S3: a place to upload to, the result, and events of created objects."""

from __future__ import annotations

import logging
import uuid
from typing import Any, Final

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from audio_classifier.errors import NoResultError
from audio_classifier.s3.notifications import created_objects, json_object, unknown_event
from audio_classifier.s3.objects import ObjectRef, check_readable
from audio_classifier.server.body import short_body
from audio_classifier.server.limiter import Gate
from audio_classifier.server.schemas import (
    ErrorResponse,
    ResultResponse,
    UploadResponse,
)
from audio_classifier.service.uploads import Uploads

EXPIRES_S: Final = 900

_log = logging.getLogger(__name__)


def upload_routes(uploads: Uploads, gate: Gate) -> APIRouter:
    """``/uploads`` and ``/results``, for a deployment that has a bucket for uploads."""
    router = APIRouter(tags=["uploads"])
    settings = uploads.settings

    def ref_of(upload_id: str) -> ObjectRef:
        return ObjectRef(settings.uploads_bucket or "", f"{settings.uploads_prefix}{upload_id}")

    @router.post("/uploads", status_code=201, operation_id="create_upload")
    async def create() -> UploadResponse:
        """Get a place to upload a sound to, however long, and the address of its result"""
        upload_id = uuid.uuid4().hex
        ref = ref_of(upload_id)

        def sign() -> dict[str, Any]:
            conditions: list[Any] = [
                ["content-length-range", 1, settings.max_object_bytes],
                ["starts-with", "$Content-Type", "audio/"],
            ]
            signed: dict[str, Any] = uploads.client.generate_presigned_post(
                ref.bucket, ref.key, {"Content-Type": "audio/wav"}, conditions, EXPIRES_S
            )
            return signed

        return UploadResponse(
            status="ok",
            id=upload_id,
            upload=await gate.run(sign),
            result=f"results/{upload_id}",
            expires_in_s=EXPIRES_S,
        )

    @router.get(
        "/results/{upload_id}",
        operation_id="get_result",
        responses={
            200: {"model": ResultResponse},
            202: {"model": ResultResponse, "description": "not there yet"},
            404: {"model": ErrorResponse, "description": "nothing was uploaded"},
        },
    )
    async def result(upload_id: str) -> JSONResponse:
        """Get the result of an upload, as soon as it is there"""
        ref = ref_of(_checked_id(upload_id))
        standing = await gate.run(lambda: uploads.result(ref))
        if standing is not None:
            return JSONResponse(standing)
        if not await gate.run(lambda: uploads.exists(ref)):
            raise NoResultError(f"nothing was uploaded under the id {upload_id}")
        return JSONResponse({"status": "pending"}, 202, {"Retry-After": "1"})

    return router


def event_routes(uploads: Uploads, gate: Gate) -> APIRouter:
    """``/events``, for Knative's and other brokers of CloudEvents.

    The answer is empty: a broker takes a body for another event, and a body that is none for a failure.
    """
    router = APIRouter(tags=["uploads"])

    @router.post(
        "/events",
        operation_id="receive_event",
        status_code=204,
        responses={
            422: {"model": ErrorResponse, "description": "no event of created objects"},
            503: {"model": ErrorResponse, "description": "to be delivered again"},
        },
        openapi_extra={
            "requestBody": {"required": True, "content": {"application/cloudevents+json": {"schema": {}}}}
        },
    )
    async def receive(request: Request) -> None:
        """Classify the objects that a CloudEvent says were created"""
        refs = _objects(dict(request.headers), await short_body(request))
        for ref in refs:
            check_readable(ref, uploads.settings)
        for stored in await gate.run(lambda: uploads.process_all(refs)):
            _log.info("%s", stored)

    return router


def _checked_id(upload_id: str) -> str:
    try:
        return uuid.UUID(hex=upload_id).hex
    except ValueError as error:
        raise NoResultError(f"{upload_id!r} is no id of an upload") from error


def _objects(headers: dict[str, str], body: bytes) -> list[ObjectRef]:
    """The objects in a CloudEvent whose data are an S3 notification, as JSON or text, or one record of it."""
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
        raise unknown_event(f"the request is no CloudEvent: {error}") from error
    if isinstance(data, str | bytes):  # what came through a queue
        data = json_object(data)
    if isinstance(data, dict) and "s3" in data:
        data = {"Records": [data]}
    return created_objects(data if isinstance(data, dict) else {})
