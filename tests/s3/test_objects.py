from __future__ import annotations

import io
import os
import random
from typing import Any

import pytest

from audio_classifier import AudioClassifier
from audio_classifier.audio.reader import read_window
from audio_classifier.errors import ObjectChangedError, RemoteNotFoundError, TransferError
from audio_classifier.s3.location import S3Location
from audio_classifier.s3.objects import (
    BLOCK_BYTES,
    FIRST_BLOCKS,
    KEPT_BLOCKS,
    MAX_BLOCKS,
    S3File,
)
from tests.support.sounds import busy, encode


class Downloads:
    """Counts the requests and bytes that a client downloads from now on."""

    def __init__(self, client: Any) -> None:
        self.bytes = self.requests = 0
        client.meta.events.register("after-call.s3.GetObject", self._count)

    def _count(self, parsed: dict[str, Any], **_: Any) -> None:
        self.bytes += parsed["ContentLength"]
        self.requests += 1


@pytest.fixture
def bucket(s3: Any) -> Any:
    """A client of an S3 with a bucket named `recordings`."""
    s3.create_bucket(Bucket="recordings")
    return s3


@pytest.mark.parametrize(
    "size", [0, 1, BLOCK_BYTES - 1, BLOCK_BYTES, 5 * BLOCK_BYTES + 17, (KEPT_BLOCKS + 40) * BLOCK_BYTES]
)
def test_object_reads_like_a_file_with_any_announced_length(bucket: Any, size: int) -> None:
    content = random.Random(size).randbytes(size)
    bucket.put_object(Bucket="recordings", Key="some thing", Body=content)
    file, expected = S3File(bucket, S3Location("recordings", "some thing")), io.BytesIO(content)
    generator = random.Random(1)
    for _ in range(60):
        position, whence = generator.randint(0, size + 10), generator.choice([os.SEEK_SET, os.SEEK_END])
        offset = position if whence == os.SEEK_SET else -min(position, size)
        assert file.seek(offset, whence) == expected.seek(offset, whence)
        file.expect(generator.choice([-1, 0, 1, 300_000, size, 1 << 62]))
        count = generator.randint(0, 100_000)
        got = b""
        while len(got) < count and (data := file.read(count - len(got))):
            got += data
        assert got == expected.read(count)
        assert file.tell() == expected.tell()
    with pytest.raises(ValueError, match="negative"):
        file.seek(-1)


@pytest.mark.parametrize("start_s", [0.0, 300.0])
@pytest.mark.parametrize("rate_hz", [16_000, 44_100, 96_000])
def test_only_the_header_and_the_window_of_a_long_recording_are_downloaded(
    bucket: Any, start_s: float, rate_hz: int
) -> None:
    content = encode(busy(400, rate_hz), rate_hz)
    bucket.put_object(Bucket="recordings", Key="long.wav", Body=content)
    downloads = Downloads(bucket)
    actual = read_window(S3File(bucket, S3Location("recordings", "long.wav")), start_s=start_s)
    assert (actual == read_window(content, start_s=start_s)).all()
    window_bytes = 9.615 * rate_hz * 2  # ten patches
    assert downloads.bytes <= 1.2 * window_bytes + (256 << 10)
    assert downloads.requests == 2


def test_whole_recording_is_downloaded_once(bucket: Any, classifier: AudioClassifier) -> None:
    content = encode(busy(60, 16_000), 16_000, "FLAC")
    bucket.put_object(Bucket="recordings", Key="a.flac", Body=content)
    downloads = Downloads(bucket)
    assert len(list(classifier.timeline(S3File(bucket, S3Location("recordings", "a.flac"))))) == 7
    assert downloads.bytes <= len(content) + 4 * BLOCK_BYTES


def test_announced_length_applies_only_where_it_was_announced(bucket: Any) -> None:
    bucket.put_object(Bucket="recordings", Key="a", Body=bytes(100 * BLOCK_BYTES))
    file, downloads = S3File(bucket, S3Location("recordings", "a")), Downloads(bucket)
    for block, announced_bytes, downloaded_blocks in (
        (90, 5 * BLOCK_BYTES, 5),
        (80, 0, FIRST_BLOCKS),
        (10, None, FIRST_BLOCKS),
        (40, 1 << 40, MAX_BLOCKS),
        (20, None, FIRST_BLOCKS),
    ):
        downloads.bytes = 0
        file.seek(block * BLOCK_BYTES)
        if announced_bytes is not None:
            file.expect(announced_bytes)
        file.read(10)
        assert downloads.bytes == downloaded_blocks * BLOCK_BYTES, block


def test_object_that_is_replaced_while_it_is_read_is_an_error(bucket: Any) -> None:
    bucket.put_object(Bucket="recordings", Key="a.wav", Body=bytes(3 * BLOCK_BYTES))
    file = S3File(bucket, S3Location("recordings", "a.wav"))
    file.read(10)
    bucket.put_object(Bucket="recordings", Key="a.wav", Body=b"x" * 3 * BLOCK_BYTES)
    file.read(10)
    file.seek(2 * BLOCK_BYTES)
    with pytest.raises(ObjectChangedError, match="was replaced"):
        file.read(10)


def test_old_version_of_an_object_is_read(bucket: Any) -> None:
    bucket.put_bucket_versioning(Bucket="recordings", VersioningConfiguration={"Status": "Enabled"})
    first = bucket.put_object(Bucket="recordings", Key="a", Body=b"first")["VersionId"]
    bucket.put_object(Bucket="recordings", Key="a", Body=b"second")
    assert S3File(bucket, S3Location("recordings", "a", first)).read(10) == b"first"
    assert S3File(bucket, S3Location("recordings", "a")).read(10) == b"second"


def test_missing_object_is_not_found(bucket: Any) -> None:
    with pytest.raises(RemoteNotFoundError, match="s3://recordings/gone"):
        S3File(bucket, S3Location("recordings", "gone"))


def test_unreachable_endpoint_is_a_transfer_error(bucket: Any) -> None:
    import boto3
    from botocore.config import Config

    unreachable = boto3.client(
        "s3", endpoint_url="http://127.0.0.1:1", config=Config(retries={"total_max_attempts": 1})
    )
    with pytest.raises(TransferError, match="Could not connect"):
        S3File(unreachable, S3Location("recordings", "a"))


def test_identity_describes_the_object_and_its_state(bucket: Any) -> None:
    put = bucket.put_object(Bucket="recordings", Key="state.wav", Body=b"some")
    identity = S3File(bucket, S3Location("recordings", "state.wav")).identity()
    head = bucket.head_object(Bucket="recordings", Key="state.wav")
    assert identity == {
        "bucket": "recordings",
        "key": "state.wav",
        "version_id": put.get("VersionId"),
        "etag": put["ETag"],
        "size": 4,
        "last_modified": head["LastModified"].isoformat(),
    }
