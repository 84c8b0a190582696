from __future__ import annotations

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError, ReadTimeoutError

from audio_classifier.errors import (
    AccessDeniedError,
    ObjectChangedError,
    RemoteNotFoundError,
    TransferError,
)
from audio_classifier.s3.errors import s3_errors


def client_error(
    status: int, code: str = "", operation: str = "GetObject", headers: dict[str, str] | None = None
) -> ClientError:
    response = {
        "ResponseMetadata": {"HTTPStatusCode": status, "HTTPHeaders": headers or {}},
        "Error": {"Code": code or str(status)},
    }
    return ClientError(response, operation)


@pytest.mark.parametrize(
    ("raised", "expected"),
    [
        (client_error(404), RemoteNotFoundError),
        (client_error(404, "NoSuchKey"), RemoteNotFoundError),
        (client_error(404, "NoSuchVersion"), RemoteNotFoundError),
        (client_error(400, "NoSuchVersion"), RemoteNotFoundError),
        (client_error(405, headers={"x-amz-delete-marker": "true"}), RemoteNotFoundError),
        (client_error(405), TransferError),
        (client_error(405, headers={"x-amz-delete-marker": "false"}), TransferError),
        (client_error(409), ObjectChangedError),
        (client_error(412), ObjectChangedError),
        (client_error(400), TransferError),
        (client_error(400, "KMS.DisabledException"), TransferError),
        (client_error(400, "ExpiredToken"), TransferError),
        (client_error(400, "InvalidArgument"), TransferError),
        (client_error(401), AccessDeniedError),
        (client_error(403), AccessDeniedError),
        (client_error(403, "AccessDenied"), AccessDeniedError),
        (client_error(403, "InvalidObjectState"), TransferError),
        (client_error(418, "Unknown"), TransferError),
        (client_error(503), TransferError),
        (EndpointConnectionError(endpoint_url="https://s3"), TransferError),
        (ReadTimeoutError(endpoint_url="https://s3"), TransferError),
        (OSError("reset"), TransferError),
    ],
)
def test_exception_of_botocore_is_translated(raised: Exception, expected: type[TransferError]) -> None:
    with pytest.raises(TransferError, match="s3://bucket/key") as caught, s3_errors("s3://bucket/key"):
        raise raised
    assert type(caught.value) is expected
    assert caught.value.__cause__ is raised


@pytest.mark.parametrize(
    ("operation", "permissions"),
    [
        ("HeadObject", "s3:GetObject (s3:GetObjectVersion for a version) and s3:ListBucket"),
        ("GetObject", "s3:GetObject (s3:GetObjectVersion for a version) and s3:ListBucket"),
        ("PutObject", "s3:PutObject"),
        ("HeadBucket", "s3:ListBucket"),
        ("CopyObject", "CopyObject"),
    ],
)
def test_error_of_a_denied_request_names_the_permissions(operation: str, permissions: str) -> None:
    with pytest.raises(AccessDeniedError) as caught, s3_errors("s3://bucket/key"):
        raise client_error(403, "AccessDenied", operation)
    assert f"access requires {permissions}: " in str(caught.value)


def test_missing_bucket_of_a_new_object_is_a_transfer_error() -> None:
    with (
        pytest.raises(TransferError, match="NoSuchBucket") as caught,
        s3_errors("s3://bucket/key", may_be_missing=False),
    ):
        raise client_error(404, "NoSuchBucket", "PutObject")
    assert type(caught.value) is TransferError


def test_other_exception_passes_unchanged() -> None:
    with pytest.raises(ZeroDivisionError), s3_errors("s3://bucket/key"):
        raise ZeroDivisionError
