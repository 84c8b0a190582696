from __future__ import annotations

import contextlib
import io
import os
import random
import struct
from typing import Any

import pytest
from botocore.exceptions import ClientError

from audio_classifier import AudioClassifier
from audio_classifier.audio.reader import AudioReader, read_window
from audio_classifier.errors import (
    AccessDeniedError,
    AudioError,
    ObjectChangedError,
    RemoteNotFoundError,
    TooManyReadsError,
    TransferError,
)
from audio_classifier.s3.location import S3Location
from audio_classifier.s3.objects import (
    BLOCK_BYTES,
    FIRST_BLOCKS,
    KEPT_BLOCKS,
    MAX_BLOCKS,
    MAX_REQUEST_BYTES,
    WINDOW_REQUESTS,
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


def test_requests_grow_while_a_recording_is_read_to_its_end(bucket: Any) -> None:
    content = bytes(300 * BLOCK_BYTES)
    bucket.put_object(Bucket="recordings", Key="a", Body=content)
    for announced_bytes in (0, 5 * BLOCK_BYTES):
        file, downloads = S3File(bucket, S3Location("recordings", "a")), Downloads(bucket)
        while file.tell() < len(content):
            file.expect(announced_bytes)
            file.read(BLOCK_BYTES)
        assert downloads.bytes == len(content)
        assert downloads.requests <= 9  # 2, 8, 16, 32 and 64 blocks


TINY_CHUNK = b"junk" + struct.pack("<I", 8) + bytes(8)
FAR_CHUNK = b"junk" + struct.pack("<I", 8 << 20) + bytes(8 << 20)
SPREAD_CHUNKS = (b"junk" + struct.pack("<I", 200_000) + bytes(200_000)) * (2 * WINDOW_REQUESTS)


def with_chunks(wav: bytes, chunks: bytes) -> bytes:
    """Insert chunks before the samples of a WAV file with a header of 44 bytes."""
    content = wav[12:36] + chunks + wav[36:]
    return b"RIFF" + struct.pack("<I", len(content) + 4) + b"WAVE" + content


@pytest.mark.parametrize(
    "content",
    [
        encode(busy(8, 16_000), 16_000, "OGG") + bytes(36 << 20),
        encode(busy(8, 16_000), 16_000, "OGG") + random.Random(1).randbytes(4 << 20),
        encode(busy(8, 16_000), 16_000, "MP3") + bytes(8 << 20),
        encode(busy(8, 16_000), 16_000, "FLAC") + bytes(8 << 20),
        with_chunks(encode(busy(8, 16_000), 16_000), FAR_CHUNK),
        with_chunks(encode(busy(8, 16_000), 16_000), TINY_CHUNK * 250_000),
        with_chunks(encode(busy(8, 16_000), 16_000), SPREAD_CHUNKS),
        encode(busy(8, 16_000), 16_000)[:44] * 100_000,
    ],
    ids=[
        "Ogg and zeros",
        "Ogg and noise",
        "MP3 and zeros",
        "FLAC and zeros",
        "WAV with a far chunk",
        "WAV with tiny chunks",
        "WAV with spread chunks",
        "WAV of headers",
    ],
)
def test_requests_for_a_window_and_a_timeline_are_limited_whatever_the_object_contains(
    bucket: Any, content: bytes
) -> None:
    bucket.put_object(Bucket="recordings", Key="odd", Body=content)
    downloads = Downloads(bucket)
    with contextlib.suppress(AudioError):
        read_window(S3File(bucket, S3Location("recordings", "odd")), start_s=5)
    assert downloads.requests <= WINDOW_REQUESTS
    file, downloads = S3File(bucket, S3Location("recordings", "odd")), Downloads(bucket)
    file.allow_whole_object()
    with contextlib.suppress(AudioError), AudioReader(file) as reader:
        for _ in reader.blocks(10):
            pass
    assert downloads.requests <= WINDOW_REQUESTS + 2 * (len(content) // MAX_REQUEST_BYTES + 1)


def test_error_of_a_scattered_recording_states_the_limit_and_a_remedy(bucket: Any) -> None:
    content = with_chunks(encode(busy(8, 16_000), 16_000), SPREAD_CHUNKS)
    bucket.put_object(Bucket="recordings", Key="odd.wav", Body=content)
    with pytest.raises(TooManyReadsError, match="readable with 64 requests") as caught:
        read_window(S3File(bucket, S3Location("recordings", "odd.wav")))
    assert "Export" in caught.value.hint


@pytest.mark.parametrize("container", ["FLAC", "OGG", "MP3"])
def test_late_window_of_a_compressed_recording_takes_few_requests(bucket: Any, container: str) -> None:
    content = encode(busy(300, 16_000), 16_000, container)
    bucket.put_object(Bucket="recordings", Key="late", Body=content)
    downloads = Downloads(bucket)
    actual = read_window(S3File(bucket, S3Location("recordings", "late")), start_s=200)
    assert (actual == read_window(content, start_s=200)).all()
    assert downloads.requests <= 6


def test_check_ends_the_reading_before_the_next_block(bucket: Any) -> None:
    bucket.put_object(Bucket="recordings", Key="a", Body=bytes(10 * BLOCK_BYTES))
    checks = 0

    def check() -> None:
        nonlocal checks
        checks += 1
        if checks == 3:
            raise RuntimeError("too late")

    file = S3File(bucket, S3Location("recordings", "a"), check=check)
    with pytest.raises(RuntimeError, match="too late"):
        file.read(10)


def test_announced_length_applies_only_where_it_was_announced(bucket: Any) -> None:
    bucket.put_object(Bucket="recordings", Key="a", Body=bytes(200 * BLOCK_BYTES))
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


class Answers:
    """A client of which each operation fails with a status and a code; HEAD has no code."""

    def __init__(self, status: int, code: str) -> None:
        self._status, self._code = status, code

    def head_object(self, **_: Any) -> Any:
        raise self._error("HeadObject", str(self._status))

    def get_object(self, **_: Any) -> Any:
        raise self._error("GetObject", self._code)

    def _error(self, operation: str, code: str) -> ClientError:
        response = {"ResponseMetadata": {"HTTPStatusCode": self._status}, "Error": {"Code": code}}
        return ClientError(response, operation)


@pytest.mark.parametrize(
    ("status", "code", "expected"),
    [
        (400, "NoSuchVersion", RemoteNotFoundError),
        (400, "InvalidArgument", TransferError),
        (400, "KMS.DisabledException", TransferError),
        (400, "ExpiredToken", TransferError),
        (403, "AccessDenied", AccessDeniedError),
        (403, "InvalidObjectState", TransferError),
        (404, "NoSuchKey", RemoteNotFoundError),
    ],
)
def test_object_counts_as_missing_only_if_s3_reports_that(
    status: int, code: str, expected: type[TransferError]
) -> None:
    with pytest.raises(TransferError) as caught:
        S3File(Answers(status, code), S3Location("recordings", "a.wav", "version"))
    assert type(caught.value) is expected
    assert expected is RemoteNotFoundError or code in str(caught.value)


def test_version_that_is_a_delete_marker_is_not_found(bucket: Any) -> None:
    bucket.put_bucket_versioning(Bucket="recordings", VersioningConfiguration={"Status": "Enabled"})
    bucket.put_object(Bucket="recordings", Key="marked", Body=b"some")
    marker = bucket.delete_object(Bucket="recordings", Key="marked")["VersionId"]
    with pytest.raises(RemoteNotFoundError, match="s3://recordings/marked does not exist"):
        S3File(bucket, S3Location("recordings", "marked", marker))


def test_released_blocks_are_downloaded_again(bucket: Any) -> None:
    bucket.put_object(Bucket="recordings", Key="a", Body=b"some")
    file, downloads = S3File(bucket, S3Location("recordings", "a")), Downloads(bucket)
    assert file.read(2) == b"so"
    file.release()
    assert file.read(2) == b"me"
    assert downloads.requests == 2


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
