from __future__ import annotations

import io
import os
import random
from typing import Any

import pytest

from audio_classifier import AudioClassifier
from audio_classifier.audio.reader import read_window
from audio_classifier.errors import (
    InvalidParameterError,
    ObjectChangedError,
    RemoteNotFoundError,
    TransferError,
)
from audio_classifier.s3.location import S3Location
from audio_classifier.s3.objects import (
    BLOCK_BYTES,
    FIRST_BLOCKS,
    KEPT_BLOCKS,
    MAX_BLOCKS,
    S3File,
)
from tests.support.sounds import busy, encode


class Fetched:
    """Counts what a client fetches."""

    def __init__(self, client: Any) -> None:
        self.bytes = self.requests = 0
        client.meta.events.register("after-call.s3.GetObject", self._count)

    def _count(self, parsed: dict[str, Any], **_: Any) -> None:
        self.bytes += parsed["ContentLength"]
        self.requests += 1


@pytest.fixture
def sounds(s3: Any) -> Any:
    s3.create_bucket(Bucket="sounds")
    return s3


@pytest.mark.parametrize(
    "size", [0, 1, BLOCK_BYTES - 1, BLOCK_BYTES, 5 * BLOCK_BYTES + 17, (KEPT_BLOCKS + 40) * BLOCK_BYTES]
)
def test_it_reads_like_a_file(sounds: Any, size: int) -> None:
    """Whatever it is told to expect."""
    content = random.Random(size).randbytes(size)
    sounds.put_object(Bucket="sounds", Key="some thing", Body=content)
    file, expected = S3File(sounds, S3Location("sounds", "some thing")), io.BytesIO(content)
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
def test_a_window_of_a_long_recording_costs_little(sounds: Any, start_s: float, rate_hz: int) -> None:
    """A fifth more than the window and 256 KiB, at most; a request for the header and one for the window."""
    content = encode(busy(400, rate_hz), rate_hz)
    sounds.put_object(Bucket="sounds", Key="long.wav", Body=content)
    fetched = Fetched(sounds)
    actual = read_window(S3File(sounds, S3Location("sounds", "long.wav")), start_s=start_s)
    assert (actual == read_window(content, start_s=start_s)).all()
    window_bytes = 9.615 * rate_hz * 2  # ten patches
    assert fetched.bytes <= 1.2 * window_bytes + (256 << 10)
    assert fetched.requests == 2


def test_a_whole_recording_is_fetched_once(sounds: Any, classifier: AudioClassifier) -> None:
    content = encode(busy(60, 16_000), 16_000, "FLAC")
    sounds.put_object(Bucket="sounds", Key="a.flac", Body=content)
    fetched = Fetched(sounds)
    assert len(list(classifier.timeline(S3File(sounds, S3Location("sounds", "a.flac"))))) == 7
    assert fetched.bytes <= len(content) + 4 * BLOCK_BYTES


def test_an_expectation_holds_where_it_was_made(sounds: Any) -> None:
    """Who goes elsewhere is not given what was expected: a window before one that was heard costs no more."""
    sounds.put_object(Bucket="sounds", Key="a", Body=bytes(100 * BLOCK_BYTES))
    file, fetched = S3File(sounds, S3Location("sounds", "a")), Fetched(sounds)
    for place, expected_bytes, count in (
        (90, 5 * BLOCK_BYTES, 5),
        (80, 0, FIRST_BLOCKS),
        (10, None, FIRST_BLOCKS),
        (40, 1 << 40, MAX_BLOCKS),
        (20, None, FIRST_BLOCKS),
    ):
        fetched.bytes = 0
        file.seek(place * BLOCK_BYTES)
        if expected_bytes is not None:
            file.expect(expected_bytes)
        file.read(10)
        assert fetched.bytes == count * BLOCK_BYTES, place


def test_an_object_replaced_meanwhile_is_noticed(sounds: Any) -> None:
    sounds.put_object(Bucket="sounds", Key="a.wav", Body=bytes(3 * BLOCK_BYTES))
    file = S3File(sounds, S3Location("sounds", "a.wav"))
    file.read(10)
    sounds.put_object(Bucket="sounds", Key="a.wav", Body=b"x" * 3 * BLOCK_BYTES)
    file.read(10)
    file.seek(2 * BLOCK_BYTES)
    with pytest.raises(ObjectChangedError, match="was replaced"):
        file.read(10)


def test_a_version_is_read_whatever_came_after(sounds: Any) -> None:
    sounds.put_bucket_versioning(Bucket="sounds", VersioningConfiguration={"Status": "Enabled"})
    first = sounds.put_object(Bucket="sounds", Key="a", Body=b"first")["VersionId"]
    sounds.put_object(Bucket="sounds", Key="a", Body=b"second")
    assert S3File(sounds, S3Location("sounds", "a", first)).read(10) == b"first"
    assert S3File(sounds, S3Location("sounds", "a")).read(10) == b"second"


def test_what_is_not_there_says_so(sounds: Any, s3_endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(RemoteNotFoundError, match="s3://sounds/gone"):
        S3File(sounds, S3Location("sounds", "gone"))
    import boto3
    from botocore.config import Config

    nowhere = boto3.client(
        "s3", endpoint_url="http://127.0.0.1:1", config=Config(retries={"total_max_attempts": 1})
    )
    with pytest.raises(TransferError, match="Could not connect"):
        S3File(nowhere, S3Location("sounds", "a"))


@pytest.mark.parametrize(
    "uri", ["", "s3://", "s3://bucket", "s3://bucket/", "https://bucket/key", "bucket/key"]
)
def test_addresses_name_a_bucket_and_a_key(uri: str) -> None:
    with pytest.raises(InvalidParameterError, match="audio: "):
        S3Location.parse(uri)


def test_keys_may_hold_anything() -> None:
    assert S3Location.parse("s3://bucket/a b/c?d#e+%/ü") == S3Location("bucket", "a b/c?d#e+%/ü")
