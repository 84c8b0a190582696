"""Files that are generated while a decoder reads them, for containers that libsndfile does not read."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Final

from audio_classifier.errors import DamagedAudioError

KEPT_BYTES: Final = 1 << 20  # that can be read again: more than libsndfile reads before it seeks back
SIZE_BYTES: Final = 1 << 40  # claimed, because the real size is only known at the end


class GeneratedFile:
    """A file made of chunks that are generated when they are read; only the last megabyte is kept.

    A reader of headers may look at the end of a file first, so the file claims a size and has an end there;
    nothing is between the last chunk and this end.

    Parameters
    ----------
    chunks
        The content from the beginning on.
    end
        The last bytes.
    """

    def __init__(self, chunks: Iterator[bytes], end: bytes = b"") -> None:
        self._chunks = chunks
        self._end, self._end_begin = end, SIZE_BYTES - len(end)
        self._kept = bytearray()
        self._kept_begin = 0
        self._position = 0

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: SIZE_BYTES}[whence]
        if base + offset < 0:
            raise ValueError(f"negative seek position {base + offset}")
        self._position = base + offset
        return self._position

    def read(self, size: int = -1) -> bytes:
        """Return up to ``size`` bytes.

        Raises
        ------
        DamagedAudioError
            If they are no longer kept.  Exceptions of the chunks are raised unchanged.
        """
        if self._position >= self._end_begin:
            begin = self._position - self._end_begin
            data = self._end[begin : begin + size]
        else:
            data = self._generated(size)
        self._position += len(data)
        return data

    def _generated(self, size: int) -> bytes:
        begin = self._position - self._kept_begin
        if begin < 0:
            raise DamagedAudioError("the recording is damaged and cannot be read again from its beginning")
        while begin < len(self._kept) + KEPT_BYTES and begin + size > len(self._kept):
            chunk = next(self._chunks, b"")
            if not chunk:
                break
            self._kept += chunk
        data = bytes(self._kept[begin : begin + size])
        excess = begin - KEPT_BYTES
        if excess > KEPT_BYTES:
            del self._kept[:excess]
            self._kept_begin += excess
        return data
