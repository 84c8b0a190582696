"""What Linux is told about this process' memory; elsewhere nothing is."""

from __future__ import annotations

import ctypes
import mmap
from collections.abc import Collection
from pathlib import Path


def release_files(addresses: Collection[int]) -> None:
    """Give back the memory of files that are mapped there to be read; what is needed still is read again.

    Who calls this holds the mappings: one that came to an end meanwhile may have made place for other memory.
    """
    maps = Path("/proc/self/maps")
    if not maps.exists():
        return
    libc = ctypes.CDLL(None)
    for line in maps.read_bytes().splitlines():
        span, permissions, _, _, inode, *_ = line.split(maxsplit=5)
        begin, end = (int(text, 16) for text in span.split(b"-"))
        if permissions.startswith(b"r-") and int(inode) and any(begin <= one < end for one in addresses):
            libc.madvise(ctypes.c_void_p(begin), ctypes.c_size_t(end - begin), mmap.MADV_DONTNEED)
