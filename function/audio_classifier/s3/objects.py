"""Objects in S3 as seekable files; only the requested blocks are downloaded."""

from __future__ import annotations

import io
import os
from collections import OrderedDict
from datetime import datetime
from typing import Any, Final

from audio_classifier.errors import TransferError
from audio_classifier.s3.errors import NOT_FOUND, s3_errors
from audio_classifier.s3.location import S3Location

BLOCK_BYTES: Final = 64 << 10
# Blocks for one request:
FIRST_BLOCKS: Final = 2  # where reading begins
AHEAD_BLOCKS: Final = 8  # where reading continues without an announced length
MAX_BLOCKS: Final = 32  # at most; all of them are kept
KEPT_BLOCKS: Final = 64
# With a version id, S3 answers 400 for a version that never existed, and 405 for a delete marker.
MISSING_VERSION: Final = (400, NOT_FOUND, 405)


class S3File(io.RawIOBase):
    """An object, in the state of its first request: later reads fail if it was replaced.

    Attributes
    ----------
    location
        The location of the object.
    size, etag, version_id, last_modified, metadata
        The object's properties, as S3 reports them.

    Raises
    ------
    RemoteNotFoundError
        If the object does not exist.
    ObjectChangedError
        While reading, if the object was replaced after it was opened.
    TransferError
        If it cannot be read for another reason; a retry may succeed.
    """

    def __init__(self, client: Any, location: S3Location) -> None:
        self._client = client
        self.location = location
        self._missing = MISSING_VERSION if location.version_id else (NOT_FOUND,)
        with s3_errors(location, missing=self._missing):
            head = client.head_object(**location.arguments())
        self.size: int = head["ContentLength"]
        self.etag: str = head["ETag"]
        self.version_id: str | None = head.get("VersionId")
        self.last_modified: datetime = head["LastModified"]
        self.metadata: dict[str, str] = head["Metadata"]
        self._position = 0
        self._blocks: OrderedDict[int, bytes] = OrderedDict()
        self._last_block = -2
        self._expected = range(0)  # blocks that are going to be read

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
        """Announce that ``size`` bytes are going to be read from here on, so that few requests suffice."""
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

    def identity(self) -> dict[str, Any]:
        """Identify the object and its state, for a stored result."""
        return {
            "bucket": self.location.bucket,
            "key": self.location.key,
            "version_id": self.version_id,
            "etag": self.etag,
            "size": self.size,
            "last_modified": self.last_modified.isoformat(),
        }

    def _block(self, number: int) -> bytes:
        if number not in self._blocks:
            if number in self._expected:
                count = min(self._expected.stop - number, MAX_BLOCKS)
            else:
                count = AHEAD_BLOCKS if number == self._last_block + 1 else FIRST_BLOCKS
            self._fetch(number, count)
        self._blocks.move_to_end(number)
        self._last_block = number
        return self._blocks[number]

    def _fetch(self, number: int, count: int) -> None:
        start, stop = number * BLOCK_BYTES, min((number + count) * BLOCK_BYTES, self.size)
        with s3_errors(self.location, missing=self._missing):
            response = self._client.get_object(
                **self.location.arguments(), Range=f"bytes={start}-{stop - 1}", IfMatch=self.etag
            )
            data = response["Body"].read()
        if len(data) != stop - start:
            raise TransferError(f"{self.location}: expected {stop - start} bytes, got {len(data)}")
        for block, index in enumerate(range(0, len(data), BLOCK_BYTES), number):
            self._blocks[block] = data[index : index + BLOCK_BYTES]
            self._blocks.move_to_end(block)
        while len(self._blocks) > KEPT_BLOCKS:
            self._blocks.popitem(last=False)
