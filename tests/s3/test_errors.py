from __future__ import annotations

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError, ReadTimeoutError

from audio_classifier.errors import ObjectChangedError, RemoteNotFoundError, TransferError
from audio_classifier.s3.errors import s3_errors


def client_error(status: int) -> ClientError:
    response = {"ResponseMetadata": {"HTTPStatusCode": status}, "Error": {"Code": str(status)}}
    return ClientError(response, "GetObject")


@pytest.mark.parametrize(
    ("raised", "expected"),
    [
        (client_error(404), RemoteNotFoundError),
        (client_error(409), ObjectChangedError),
        (client_error(412), ObjectChangedError),
        (client_error(403), TransferError),
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


def test_other_exception_passes_unchanged() -> None:
    with pytest.raises(ZeroDivisionError), s3_errors("s3://bucket/key"):
        raise ZeroDivisionError
