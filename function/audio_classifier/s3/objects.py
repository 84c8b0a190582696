"""An object in S3 as a file that can seek, of which only the blocks asked for are fetched."""

from __future__ import annotations

import io
import os
from collections import OrderedDict
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from audio_classifier.errors import (
    InvalidParameterError,
    ObjectChangedError,
    RemoteNotFoundError,
    TransferError,
)
from audio_classifier.s3.client import http_status
from audio_classifier.service.settings import Settings

BLOCK_BYTES: Final = 64 << 10
FIRST_BLOCKS: Final = 2  # at once, where reading begins
AHEAD_BLOCKS: Final = 8  # at once, where it goes on and nobody has said how far
MOST_BLOCKS: Final = 32  # at once; all of them are kept
KEPT_BLOCKS: Final = 64


@dataclass(frozen=True, slots=True)
class ObjectRef:
    """Which object, and which version of it if its bucket keeps several."""

    bucket: str
    key: str
    version_id: str | None = None

    def __post_init__(self) -> None:
        texts = (self.bucket, self.key, self.version_id or "null")
        if not all(isinstance(text, str) and text and _is_utf8(text) for text in texts):
            raise InvalidParameterError("audio", f"{texts!r:.200} name no object")

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{self.key}"

    @classmethod
    def parse(cls, uri: object) -> ObjectRef:
        """From ``s3://bucket/key``.

        Raises
        ------
        InvalidParameterError
            If it is none.
        """
        scheme, _, path = uri.partition("://") if isinstance(uri, str) else ("", "", "")
        bucket, _, key = path.partition("/")
        if scheme != "s3" or not bucket or not key:
            raise InvalidParameterError("audio", f"{uri!r:.200} is not s3://bucket/key")
        return cls(bucket, key)

    def arguments(self) -> dict[str, str]:
        """For boto3."""
        version = {"VersionId": self.version_id} if self.version_id else {}
        return {"Bucket": self.bucket, "Key": self.key, **version}


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeError:  # half of a surrogate pair
        return False
    return True


def check_readable(ref: ObjectRef, settings: Settings) -> None:
    """Raise `InvalidParameterError` if a client may not name objects of that bucket."""
    if ref.bucket not in (*settings.read_buckets, settings.uploads_bucket):
        raise InvalidParameterError(
            "audio",
            f"objects of {ref.bucket!r} may not be read",
            hint="Ask who runs this to list that bucket in AUDIO_CLASSIFIER_READ_BUCKETS.",
        )


class S3File(io.RawIOBase):
    """An object, from its first request on: what is read later must be the same object still.

    Attributes
    ----------
    ref
        Which object it is.
    size, etag, version_id, last_modified, metadata
        What S3 says of the object.

    Raises
    ------
    RemoteNotFoundError
        If there is no such object.
    ObjectChangedError
        While reading, if it was replaced since it was opened.
    TransferError
        If it cannot be read for another reason; a later try may succeed.
    """

    def __init__(self, client: Any, ref: ObjectRef) -> None:
        self._client = client
        self.ref = ref
        head = self._call(client.head_object, **ref.arguments())
        self.size: int = head["ContentLength"]
        self.etag: str = head["ETag"]
        self.version_id: str | None = head.get("VersionId")
        self.last_modified: datetime = head["LastModified"]
        self.metadata: dict[str, str] = head["Metadata"]
        self._position = 0
        self._blocks: OrderedDict[int, bytes] = OrderedDict()
        self._last_block = -2
        self._expected = range(0)  # where somebody is going to read, in blocks

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self.size}[whence]
        if base + offset < 0:
            raise ValueError(f"negative seek position {base + offset}")
        self._position = base + offset
        return self._position

    def expect(self, size: int) -> None:
        """Be told that so many bytes are going to be read from here on: they come in few requests."""
        begin, end = self._position, self._position + size
        self._expected = range(begin // BLOCK_BYTES, -(-end // BLOCK_BYTES)) if size > 0 else range(0)

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer).cast("B")
        if not len(view) or self._position >= self.size:
            return 0
        number, offset = divmod(self._position, BLOCK_BYTES)
        data = self._block(number)[offset : offset + len(view)]
        view[: len(data)] = data
        self._position += len(data)
        return len(data)

    def _block(self, number: int) -> bytes:
        if number not in self._blocks:
            if number in self._expected:
                count = min(self._expected.stop - number, MOST_BLOCKS)
            else:
                count = AHEAD_BLOCKS if number == self._last_block + 1 else FIRST_BLOCKS
            self._fetch(number, count)
        self._blocks.move_to_end(number)
        self._last_block = number
        return self._blocks[number]

    def _fetch(self, number: int, count: int) -> None:
        start, stop = number * BLOCK_BYTES, min((number + count) * BLOCK_BYTES, self.size)
        answer = self._call(
            self._client.get_object,
            **self.ref.arguments(),
            Range=f"bytes={start}-{stop - 1}",
            IfMatch=self.etag,
        )
        data = self._call(answer["Body"].read)
        if len(data) != stop - start:
            raise TransferError(f"{self.ref}: {len(data)} bytes came, where {stop - start} were asked for")
        for block, index in enumerate(range(0, len(data), BLOCK_BYTES), number):
            self._blocks[block] = data[index : index + BLOCK_BYTES]
            self._blocks.move_to_end(block)
        while len(self._blocks) > KEPT_BLOCKS:
            self._blocks.popitem(last=False)

    def _call(self, call: Any, **arguments: Any) -> Any:
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            return call(**arguments)
        except ClientError as error:
            status = http_status(error)
            # Of a version, S3 says 400 for one that never was, and 405 for a delete marker.
            if status == 404 or (status in (400, 405) and self.ref.version_id):
                raise RemoteNotFoundError(f"{self.ref}: there is no such object") from error
            if status == 412:
                raise ObjectChangedError(f"{self.ref} was replaced while it was read") from error
            raise TransferError(f"{self.ref}: {error}") from error
        except (BotoCoreError, OSError) as error:
            raise TransferError(f"{self.ref}: {error}") from error
