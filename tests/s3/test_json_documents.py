from __future__ import annotations

import json
from typing import Any

import pytest

from audio_classifier.errors import AccessDeniedError, TransferError
from audio_classifier.s3 import json_documents
from audio_classifier.s3.location import S3Location

LOCATION = S3Location("models", "documents/a.json")


@pytest.fixture
def bucket(s3: Any) -> Any:
    s3.delete_object(Bucket=LOCATION.bucket, Key=LOCATION.key)
    return s3


def write(client: Any, document: Any, if_match: str | None = None, **options: Any) -> bool:
    return json_documents.write(
        client, LOCATION, document, if_match=if_match, metadata={"written-by": "a test"}, **options
    )


def test_read_returns_none_when_no_object_exists(bucket: Any) -> None:
    assert json_documents.read(bucket, LOCATION) is None


def test_document_is_read_as_it_was_written(bucket: Any) -> None:
    assert write(bucket, {"a": ["ü", 1]})
    stored = json_documents.read(bucket, LOCATION)
    assert stored is not None
    assert stored.document == {"a": ["ü", 1]}
    head = bucket.head_object(**LOCATION.arguments())
    assert (head["ETag"], head["ContentType"]) == (stored.etag, "application/json")
    assert head["Metadata"] == {"written-by": "a test"}


def test_document_is_not_written_when_the_object_exists(bucket: Any) -> None:
    assert write(bucket, 1)
    assert not write(bucket, 2)
    assert bucket.get_object(**LOCATION.arguments())["Body"].read() == b"1"


def test_document_is_replaced_only_if_its_etag_matches(bucket: Any) -> None:
    write(bucket, 1)
    first = json_documents.read(bucket, LOCATION)
    assert first is not None
    assert write(bucket, 2, if_match=first.etag)
    assert not write(bucket, 3, if_match=first.etag)
    assert bucket.get_object(**LOCATION.arguments())["Body"].read() == b"2"


@pytest.mark.parametrize(
    "content",
    [
        *(b"{ half", b"\xff", b"[" * 100_000, b"[" * 65 + b"]" * 65, b'{"a":' * 65 + b"1" + b"}" * 65),
        *(b"NaN", b"[-Infinity]", b"1e999", b"9" * 5000),
    ],
)
def test_object_that_is_not_json_has_no_document_but_an_etag(bucket: Any, content: bytes) -> None:
    put = bucket.put_object(**LOCATION.arguments(), Body=content)
    stored = json_documents.read(bucket, LOCATION)
    assert stored == json_documents.StoredDocument(None, put["ETag"])
    assert write(bucket, 1, if_match=put["ETag"])


def test_object_longer_than_any_document_is_not_read(bucket: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_documents, "MAX_DOCUMENT_BYTES", 10)
    for content, document in ((b'"123 5678"', "123 5678"), (b'"123 56789"', None)):
        put = bucket.put_object(**LOCATION.arguments(), Body=content)
        assert json_documents.read(bucket, LOCATION) == json_documents.StoredDocument(document, put["ETag"])


def test_document_is_encrypted_as_requested(bucket: Any) -> None:
    write(bucket, 1, encryption={"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": "alias/a"})
    assert bucket.head_object(**LOCATION.arguments())["SSEKMSKeyId"] == "alias/a"


def test_missing_bucket_is_a_transfer_error(bucket: Any) -> None:
    with pytest.raises(TransferError, match=r"s3://no-such-bucket/a: .*NoSuchBucket"):
        json_documents.write(bucket, S3Location("no-such-bucket", "a"), 1, if_match=None, metadata={})


@pytest.mark.parametrize(
    ("status", "code", "error"),
    [
        (403, "AccessDenied", AccessDeniedError),
        (400, "KMS.DisabledException", TransferError),
        (400, "ExpiredToken", TransferError),
    ],
)
def test_document_that_cannot_be_read_is_an_error(status: int, code: str, error: type[TransferError]) -> None:
    from botocore.exceptions import ClientError

    class Refusing:
        def get_object(self, **_: Any) -> Any:
            response = {"ResponseMetadata": {"HTTPStatusCode": status}, "Error": {"Code": code}}
            raise ClientError(response, "GetObject")

    with pytest.raises(error, match=rf"s3://models/documents/a\.json: .*{code}"):
        json_documents.read(Refusing(), LOCATION)


def test_document_is_stored_as_ascii(bucket: Any) -> None:
    write(bucket, {"ü": 1})
    content = bucket.get_object(**LOCATION.arguments())["Body"].read()
    assert json.loads(content.decode("ascii")) == {"ü": 1}


def replace(
    client: Any, document: Any, existing: json_documents.StoredDocument | None, *, final: bool
) -> json_documents.StoredDocument | None:
    return json_documents.replace(
        client, LOCATION, document, existing=existing, is_final=lambda _: final, metadata={}
    )


def test_replacement_of_a_document_that_was_deleted_is_written(bucket: Any) -> None:
    write(bucket, 1)
    existing = json_documents.read(bucket, LOCATION)
    assert existing is not None
    bucket.delete_object(**LOCATION.arguments())
    assert not write(bucket, 2, if_match=existing.etag)
    assert replace(bucket, 3, existing, final=True) is None
    assert bucket.get_object(**LOCATION.arguments())["Body"].read() == b"3"


@pytest.mark.parametrize("final", [True, False])
def test_document_stored_in_the_meantime_is_kept_only_if_it_is_final(bucket: Any, final: bool) -> None:
    write(bucket, 1)
    kept = replace(bucket, 2, None, final=final)
    assert (kept.document if kept else None) == (1 if final else None)
    assert bucket.get_object(**LOCATION.arguments())["Body"].read() == (b"1" if final else b"2")
