"""The stored results of objects: where they are, and how they are written once."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Final

from audio_classifier.escaping import printable
from audio_classifier.inference.record import WRITTEN_BY, Result
from audio_classifier.s3 import json_documents
from audio_classifier.s3.errors import s3_errors
from audio_classifier.s3.json_documents import StoredDocument
from audio_classifier.s3.location import S3Location
from audio_classifier.service.object_access import ObjectAccess
from audio_classifier.service.settings import Settings

BUCKET: Final = "{bucket}"  # in the prefix of results: the object's bucket
SUFFIX: Final = ".json"
PARTS: Final = ".timeline/"  # after the object's key: the parts of a long timeline
S3_ENCRYPTION: Final = {"ServerSideEncryption": "AES256"}

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ResultOutcome:
    """Where the result of an object is, and the message of the error that it reports, if any."""

    state: ClassVar[str]

    location: S3Location
    error: str

    def __str__(self) -> str:
        return f"{self.state} {self.location}" + (f": {self.error}" if self.error else "")


class Stored(ResultOutcome):
    """The result was stored."""

    state = "stored"


class Unchanged(ResultOutcome):
    """An equal or newer result was stored before."""

    state = "unchanged"


class ObjectResults:
    """Reads and writes the results of objects.

    Parameters
    ----------
    access
        Provides the S3 client.
    settings
        Where results are stored, and how they are encrypted.
    """

    def __init__(self, access: ObjectAccess, settings: Settings) -> None:
        self._access = access
        self._settings = settings

    def location(self, source: S3Location) -> S3Location:
        """Return where the result of an object is stored."""
        bucket = self._settings.results_bucket or source.bucket
        return S3Location(bucket, f"{self._prefix(source)}{source.key}{SUFFIX}")

    def is_below_results(self, location: S3Location) -> bool:
        """Return whether an object is where results are stored."""
        common_prefix = self._settings.results_prefix.partition(BUCKET)[0] or self._prefix(location)
        results_bucket = self._settings.results_bucket or location.bucket
        return location.bucket == results_bucket and location.key.startswith(common_prefix)

    def find(self, location: S3Location) -> StoredDocument | None:
        """Read the object at a result's location; return None if there is none.

        Raises
        ------
        AccessDeniedError
            If the deployment lacks a permission for the bucket of results.
        TransferError
            If it cannot be read now.
        """
        return json_documents.read(self._access.client(), location)

    def parts_location(self, source: S3Location) -> S3Location:
        """Return below which prefix the parts of an object's timeline are stored."""
        location = self.location(source)
        return S3Location(location.bucket, f"{location.key.removesuffix(SUFFIX)}{PARTS}")

    def store_part(
        self, source: S3Location, name: str, content: bytes, content_type: str, model: dict[str, Any]
    ) -> str:
        """Store, or replace, a part of the result of an object, and return the key of the part.

        Raises
        ------
        TransferError
            If it cannot be stored now.
        """
        prefix = self.parts_location(source)
        part = S3Location(prefix.bucket, f"{prefix.key}{name}")
        with s3_errors(part):
            self._access.client().put_object(
                **part.arguments(),
                Body=content,
                ContentType=content_type,
                Metadata={WRITTEN_BY: model["version"]},
                **self._encryption(),
            )
        return part.key

    def store(
        self,
        location: S3Location,
        result: Result,
        *,
        existing: StoredDocument | None,
        is_final: Callable[[Any], bool],
    ) -> Stored | Unchanged:
        """Store a result in place of ``existing``, unless a final one is stored in the meantime.

        Raises
        ------
        TransferError
            If it cannot be stored now.
        """
        final = json_documents.replace(
            self._access.client(),
            location,
            result,
            existing=existing,
            is_final=is_final,
            metadata={WRITTEN_BY: result["model"]["version"]},
            encryption=self._encryption(),
        )
        if final is not None:
            return Unchanged(location, error_message(final.document))
        _log.info("stored %s: %s", location, result["status"])
        return Stored(location, error_message(result))

    def _encryption(self) -> dict[str, str]:
        kms_key = self._settings.results_kms_key
        return {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": kms_key} if kms_key else S3_ENCRYPTION

    def _prefix(self, source: S3Location) -> str:
        return self._settings.results_prefix.replace(BUCKET, source.bucket)


def error_message(result: Result) -> str:
    """Return the message of the error that a result reports; empty for a classification."""
    return printable(result.get("message", "")) if result.get("status") == "error" else ""
