"""Routes for recordings that clients upload to S3, and for their results."""

from __future__ import annotations

import json
import uuid
from typing import Any, Final

from fastapi import APIRouter, Response
from fastapi.responses import JSONResponse

from audio_classifier.errors import NoResultError
from audio_classifier.s3.errors import s3_errors
from audio_classifier.s3.location import S3Location
from audio_classifier.server.limiter import ConcurrencyLimiter
from audio_classifier.server.schemas import ErrorResponse, ResultResponse, UploadResponse
from audio_classifier.service.uploads import Uploads

EXPIRES_S: Final = 900


def upload_routes(uploads: Uploads, limiter: ConcurrencyLimiter) -> APIRouter:
    """Return ``/uploads`` and ``/results``, for a deployment with a bucket for uploads."""
    router = APIRouter(tags=["uploads"])
    settings = uploads.settings

    def location_of(upload_id: str) -> S3Location:
        return S3Location(settings.uploads_bucket or "", f"{settings.uploads_prefix}{upload_id}")

    @router.post("/uploads", status_code=201, operation_id="create_upload")
    async def create() -> UploadResponse:
        """Get a form to upload a recording of any length, and the address of its result"""
        upload_id = uuid.uuid4().hex
        location = location_of(upload_id)

        def sign() -> dict[str, Any]:
            conditions: list[Any] = [
                ["content-length-range", 1, settings.max_object_bytes],
                ["starts-with", "$Content-Type", "audio/"],
            ]
            with s3_errors(location):
                signed: dict[str, Any] = uploads.access.client().generate_presigned_post(
                    location.bucket, location.key, {"Content-Type": "audio/wav"}, conditions, EXPIRES_S
                )
            return signed

        return UploadResponse(
            status="ok",
            id=upload_id,
            upload=await limiter.run(sign),
            result=f"results/{upload_id}",
            expires_in_s=EXPIRES_S,
        )

    @router.get(
        "/results/{upload_id}",
        operation_id="get_result",
        responses={
            200: {"model": ResultResponse},
            202: {"model": ResultResponse, "description": "the result is pending"},
            404: {"model": ErrorResponse, "description": "nothing was uploaded"},
        },
    )
    async def result(upload_id: str) -> Response:
        """Get the result of an upload, as soon as it is stored"""
        location = location_of(_checked_id(upload_id))
        stored = await limiter.run(lambda: uploads.result(location))
        if stored is not None:
            await limiter.run(lambda: sign_parts(uploads, location, stored))
            # Escaped, because half of a surrogate pair in a foreign document cannot be encoded.
            return Response(json.dumps(stored), media_type="application/json")
        if not await limiter.run(lambda: uploads.access.exists(location)):
            raise NoResultError(f"nothing was uploaded with the id {upload_id}")
        return JSONResponse({"status": "pending"}, 202, {"Retry-After": "1"})

    return router


def sign_parts(uploads: Uploads, source: S3Location, result: dict[str, Any]) -> None:
    """Add a ``url`` to each part of a result's timeline; anybody can download from it for `EXPIRES_S`."""
    timeline = result.get("timeline")
    parts = timeline.get("parts") if isinstance(timeline, dict) else None
    prefix = uploads.results.parts_location(source)
    for part in parts if isinstance(parts, list) else ():
        key = part.get("key") if isinstance(part, dict) else None
        if isinstance(key, str) and key.startswith(prefix.key):
            with s3_errors(prefix):
                part["url"] = uploads.access.client().generate_presigned_url(
                    "get_object", {"Bucket": prefix.bucket, "Key": key}, ExpiresIn=EXPIRES_S
                )


def _checked_id(upload_id: str) -> str:
    try:
        return uuid.UUID(hex=upload_id).hex
    except ValueError as error:
        raise NoResultError(f"{upload_id!r} is not the id of an upload") from error
