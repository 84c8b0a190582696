"""Objects in S3 as seekable files; only the requested blocks are downloaded."""

from __future__ import annotations

import io
import os
from collections import OrderedDict
from collections.abc import Callable
from contextlib import closing
from datetime import datetime
from typing import Any, Final

from audio_classifier.errors import TooManyReadsError, TransferError
from audio_classifier.s3.errors import http_status, s3_errors
from audio_classifier.s3.location import S3Location

BLOCK_BYTES: Final = 64 << 10
# Blocks for one request:
FIRST_BLOCKS: Final = 2  # where reading begins
AHEAD_BLOCKS: Final = 8  # where reading continues; twice as many for each further request
MAX_BLOCKS: Final = 64  # at most; all of them are kept
KEPT_BLOCKS: Final = 128
MAX_REQUEST_BYTES: Final = MAX_BLOCKS * BLOCK_BYTES
# The header and a window take 2 requests in most files, and about 20 where a FLAC file without an index is
# bisected.  This number bounds the bytes as well, to 256 MiB.
WINDOW_REQUESTS: Final = 64
# A response to HEAD with one of these statuses does not state which error occurred, because it has no body.
AMBIGUOUS: Final = (400, 403)


class S3File(io.RawIOBase):
    """An object, in the state of its first request: later reads fail if it was replaced.

    Whatever the object contains, at most `WINDOW_REQUESTS` requests read it, after one for its properties.
    `allow_whole_object` allows more.

    Parameters
    ----------
    client
        boto3's S3 client.
    location
        The location of the object.
    check
        Called before each block is downloaded; an exception that it raises ends the reading.

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
    TooManyReadsError
        While reading, if more requests are needed than are allowed.
    TransferError
        If it cannot be read for another reason; a retry may succeed.
    """

    def __init__(
        self, client: Any, location: S3Location, *, check: Callable[[], object] | None = None
    ) -> None:
        self._client = client
        self.location = location
        self._check = check or (lambda: None)
        with s3_errors(location):
            head = _properties(client, location)
        self.size: int = head["ContentLength"]
        self.etag: str = head["ETag"]
        self.version_id: str | None = head.get("VersionId")
        self.last_modified: datetime = head["LastModified"]
        self.metadata: dict[str, str] = head["Metadata"]
        self._position = 0
        self._blocks: OrderedDict[int, bytes] = OrderedDict()
        self._last_block = -2
        self._continued = 0  # the number of requests since reading continues without a gap
        self._max_requests = self._requests_left = WINDOW_REQUESTS
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

    def allow_whole_object(self) -> None:
        """Allow another request for every 2 MiB of the object, which suffice to read it twice."""
        self._max_requests = self._requests_left = WINDOW_REQUESTS + 2 * -(-self.size // MAX_REQUEST_BYTES)

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer).cast("B")
        if not len(view) or self._position >= self.size:
            return 0
        number, offset = divmod(self._position, BLOCK_BYTES)
        data = self._block(number)[offset : offset + len(view)]
        view[: len(data)] = data
        self._position += len(data)
        return len(data)

    def release(self) -> None:
        """Discard the downloaded blocks; reading downloads them again."""
        self._blocks.clear()

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
            self._fetch(number, self._request_blocks(number))
        self._blocks.move_to_end(number)
        self._last_block = number
        return self._blocks[number]

    def _request_blocks(self, number: int) -> int:
        """Return how many blocks to request: what was announced, and more the longer reading continues."""
        self._continued = self._continued + 1 if number == self._last_block + 1 else 0
        ahead = min(AHEAD_BLOCKS << self._continued - 1, MAX_BLOCKS) if self._continued else FIRST_BLOCKS
        if number not in self._expected:
            return ahead
        announced = min(self._expected.stop - number, MAX_BLOCKS)
        return announced if self._continued < 2 else max(announced, ahead)  # at first, only what is needed

    def _fetch(self, number: int, count: int) -> None:
        if self._requests_left == 0:
            raise TooManyReadsError(
                f"{self.location}: the audio must be readable with {self._max_requests} requests, "
                "but its parts are too far apart in the file"
            )
        self._requests_left -= 1
        self._check()
        start, stop = number * BLOCK_BYTES, min((number + count) * BLOCK_BYTES, self.size)
        with s3_errors(self.location):
            response = self._client.get_object(
                **self.location.arguments(), Range=f"bytes={start}-{stop - 1}", IfMatch=self.etag
            )
            with closing(response["Body"]) as body:
                for block, begin in enumerate(range(start, stop, BLOCK_BYTES), number):
                    self._check()
                    self._keep(block, body.read(BLOCK_BYTES), min(BLOCK_BYTES, stop - begin))

    def _keep(self, block: int, data: bytes, size: int) -> None:
        if len(data) != size:
            raise TransferError(f"{self.location}: expected {size} bytes of block {block}, got {len(data)}")
        self._blocks[block] = data
        self._blocks.move_to_end(block)
        if len(self._blocks) > KEPT_BLOCKS:
            self._blocks.popitem(last=False)


def _properties(client: Any, location: S3Location) -> Any:
    """Request an object's properties; if HEAD fails with an ambiguous status, raise the error of a GET."""
    from botocore.exceptions import ClientError

    try:
        return client.head_object(**location.arguments())
    except ClientError as error:
        if http_status(error) in AMBIGUOUS:
            client.get_object(**location.arguments(), Range="bytes=0-0")["Body"].close()
        raise
