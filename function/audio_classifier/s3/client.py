"""Create clients of S3, and of EventBridge with the same limits."""

from __future__ import annotations

import os
from functools import cache
from typing import Any, Final

from audio_classifier.errors import MissingExtraError, TransferError

# One call fails after at most 24 s, which is less than the time limits of the functions: three attempts of
# 7 s each, and pauses of up to 1 and 2 s between them (botocore's standard mode).  While content arrives,
# the timeout applies between two pieces of it.
CONNECT_TIMEOUT_S: Final = 2
READ_TIMEOUT_S: Final = 5
ATTEMPTS: Final = 3


def s3_client() -> Any:
    """Create a client of S3 with the credentials, region and endpoint of the environment.

    A call whose endpoint does not respond raises after at most 24 s.

    Raises
    ------
    MissingExtraError
        If boto3 is not installed.
    TransferError
        If the environment's AWS settings are invalid.
    """
    # Presigned forms work in every region and with KMS only with signature version 4 and the bucket in the
    # host name; custom endpoints (MinIO, tests) have no such host names.
    custom_endpoint = any(os.environ.get(name) for name in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"))
    addressing = {"addressing_style": "path" if custom_endpoint else "virtual"}
    return _client("s3", "S3", signature_version="s3v4", s3=addressing)


def event_bridge_client() -> Any:
    """Create a client of EventBridge, like `s3_client`; the errors are the same."""
    return _client("events", "EventBridge")


def _client(service: str, title: str, **options: Any) -> Any:
    try:
        import boto3
        import botocore.session
        from botocore.config import Config
        from botocore.exceptions import BotoCoreError
    except ImportError as error:
        raise MissingExtraError(title, "aws") from error
    config = Config(
        retries={"mode": "standard", "total_max_attempts": ATTEMPTS},
        connect_timeout=CONNECT_TIMEOUT_S,
        read_timeout=READ_TIMEOUT_S,
        **options,
    )
    # The default session would keep its credentials, and is not safe to create clients from several threads.
    session = botocore.session.Session()
    session.register_component("data_loader", _service_descriptions())
    try:
        return boto3.Session(botocore_session=session).client(service, config=config)
    except (BotoCoreError, ValueError) as error:
        raise TransferError(
            f"{title}: {error}", hint="Check the AWS_ variables of the environment and the AWS configuration."
        ) from error


@cache
def _service_descriptions() -> Any:
    """Share botocore's descriptions of services: loading them is most of the time that a client takes."""
    from botocore.loaders import create_loader

    return create_loader(os.environ.get("AWS_DATA_PATH"))
