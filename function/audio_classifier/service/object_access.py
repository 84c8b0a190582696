"""Open objects in S3, and check which of them API clients may name."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any

from audio_classifier.errors import (
    AccessDeniedError,
    InvalidParameterError,
    ObjectTooLargeError,
    RemoteNotFoundError,
)
from audio_classifier.s3.client import s3_client
from audio_classifier.s3.location import S3Location
from audio_classifier.s3.objects import S3File
from audio_classifier.service.settings import Settings


class ObjectAccess:
    """Opens objects with one S3 client, which is created at its first use.

    Parameters
    ----------
    settings
        The limit on objects' sizes, and the buckets that API clients may name.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._client: Any = None
        self._creating = threading.Lock()

    def client(self) -> Any:
        """Return the S3 client.

        Raises
        ------
        MissingExtraError, TransferError
            See `s3_client`.
        """
        with self._creating:
            if self._client is None:
                self._client = s3_client()
            return self._client

    def discard_client(self) -> None:
        """Discard the client; the next use creates one with new connections and current credentials."""
        with self._creating:
            self._client = None

    def open(self, location: S3Location, *, check: Callable[[], object] | None = None) -> S3File:
        """Open an object; the parameters and errors are those of `S3File`."""
        return S3File(self.client(), location, check=check)

    def open_allowed(self, uri: object, *, check: Callable[[], object] | None = None) -> S3File:
        """Open an object that an API client named.

        Raises
        ------
        InvalidParameterError
            If ``uri`` is not ``s3://bucket/key``, the object may not be read, or it does not exist.
        ObjectTooLargeError
            If the object is larger than the deployment accepts.
        TransferError
            If the object cannot be read now.
        """
        location = S3Location.parse(uri)
        self.check_allowed(location)
        try:
            file = self.open(location, check=check)
        except (AccessDeniedError, RemoteNotFoundError) as error:
            raise InvalidParameterError("audio", str(error), hint=error.hint) from error
        self.check_size(file)
        return file

    def exists(self, location: S3Location) -> bool:
        """Return whether there is such an object."""
        try:
            self.open(location)
        except RemoteNotFoundError:
            return False
        return True

    def is_current(self, identity: Mapping[str, Any]) -> bool:
        """Return whether an identity, as of `S3File.identity`, is that of the key's current object.

        Raises
        ------
        TransferError
            If S3 cannot be asked now.
        """
        try:
            current = self.open(S3Location(identity["bucket"], identity["key"])).identity()
        except RemoteNotFoundError:
            return False
        return all(identity.get(name) == current[name] for name in ("version_id", "etag"))

    def check_allowed(self, location: S3Location) -> None:
        """Raise `InvalidParameterError` if API clients may not name objects of that bucket."""
        if location.bucket not in (*self._settings.read_buckets, self._settings.uploads_bucket):
            raise InvalidParameterError(
                "audio",
                f"objects of the bucket {location.bucket!r} may not be read",
                hint="The operator can add the bucket to AUDIO_CLASSIFIER_READ_BUCKETS.",
            )

    def check_size(self, file: S3File) -> None:
        """Raise `ObjectTooLargeError` if an object is larger than the deployment accepts."""
        if file.size > self._settings.max_object_bytes:
            raise ObjectTooLargeError(
                f"the object must have at most {self._settings.max_object_bytes} bytes, got {file.size}"
            )
