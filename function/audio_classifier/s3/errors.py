"""Translate botocore's exceptions to those of this package."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Final

from audio_classifier.errors import ObjectChangedError, RemoteNotFoundError, TransferError

NOT_FOUND: Final = 404
FORBIDDEN: Final = (401, 403)
CONDITION_FAILED: Final = (409, 412)  # the object changed, or is being written by another request


@contextmanager
def s3_errors(subject: object, *, missing: Collection[int] = (NOT_FOUND,)) -> Iterator[None]:
    """Translate what a request to S3 raises.

    Parameters
    ----------
    subject
        The bucket, object or prefix; its text begins the message.
    missing
        HTTP statuses that mean that the subject does not exist, or may not be read.

    Raises
    ------
    RemoteNotFoundError
        If the subject does not exist, or may not be read.
    ObjectChangedError
        If a condition of the request does not hold.
    TransferError
        If the request failed for another reason; a retry may succeed.
    """
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except ClientError as error:
        status = _http_status(error)
        if status in missing:
            reason = "may not be read" if status in FORBIDDEN else "does not exist"
            raise RemoteNotFoundError(f"{subject} {reason}") from error
        if status in CONDITION_FAILED:
            raise ObjectChangedError(f"{subject} was replaced in the meantime") from error
        raise TransferError(f"{subject}: {error}") from error
    except (BotoCoreError, OSError) as error:
        raise TransferError(f"{subject}: {error}") from error


def _http_status(error: Exception) -> int | None:
    """Return the status of botocore's ``ClientError``; None if there was no response."""
    response = getattr(error, "response", None) or {}  # None in connection errors
    status = response.get("ResponseMetadata", {}).get("HTTPStatusCode")
    return status if isinstance(status, int) else None
