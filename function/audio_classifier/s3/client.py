"""The one way that clients of Amazon's services are made here."""

from __future__ import annotations

import os
from functools import cache
from typing import Any, Final

from audio_classifier.errors import MissingExtraError, TransferError

CONNECT_TIMEOUT_S: Final = 10
READ_TIMEOUT_S: Final = 60
ATTEMPTS: Final = 4


def s3_client() -> Any:
    """A client of S3; credentials, region and endpoint are those of the environment.

    Raises
    ------
    MissingExtraError
        If boto3 is not installed.
    TransferError
        If the environment's settings make no sense.
    """
    try:
        import boto3
        import botocore.session
        from botocore.config import Config
        from botocore.exceptions import BotoCoreError
    except ImportError as error:
        raise MissingExtraError("S3", "aws") from error
    # Version 4, and the bucket in the host name: so presigned forms work in every region, and with KMS.  An
    # endpoint of one's own (MinIO, a test) has no such host names.
    own_endpoint = any(os.environ.get(name) for name in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"))
    config = Config(
        signature_version="s3v4",
        s3={"addressing_style": "path" if own_endpoint else "virtual"},
        retries={"mode": "standard", "max_attempts": ATTEMPTS},
        connect_timeout=CONNECT_TIMEOUT_S,
        read_timeout=READ_TIMEOUT_S,
    )
    # Not the default session: it keeps its credentials, and no two threads may make clients by it at a time.
    session = botocore.session.Session()
    session.register_component("data_loader", _service_descriptions())
    try:
        return boto3.Session(botocore_session=session).client("s3", config=config)
    except (BotoCoreError, ValueError) as error:
        raise TransferError(
            f"S3: {error}", hint="Check the AWS_ variables of the environment and the AWS configuration."
        ) from error


@cache
def _service_descriptions() -> Any:
    """What botocore knows of services: to read it takes longer than all else that makes a client."""
    from botocore.loaders import create_loader

    return create_loader(os.environ.get("AWS_DATA_PATH"))


def http_status(error: BaseException | None) -> int | None:
    """The HTTP status in botocore's ``ClientError``; None for an error that came without an answer."""
    response = getattr(error, "response", None) or {}  # None in errors of the connection
    status = response.get("ResponseMetadata", {}).get("HTTPStatusCode")
    return status if isinstance(status, int) else None
