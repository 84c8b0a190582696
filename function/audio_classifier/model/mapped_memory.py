"""What Linux is told about this process' memory; elsewhere nothing is."""

from __future__ import annotations

import ctypes
import mmap
from collections.abc import Collection
from pathlib import Path


def release_files(addresses: Collection[int]) -> None:
    """Give back the memory of files that are mapped there, shared and to be read; it is read again if needed.

    Other memory is left alone, as what stands in it stands nowhere else.  Who calls this holds the mappings:
    one that came to an end meanwhile may have made place for another.
    """
    try:
        maps = Path("/proc/self/maps").read_bytes()
    except OSError:  # another system, or one that does not tell
        return
    libc = ctypes.CDLL(None)
    for line in maps.splitlines():
        span, permissions, _, _, inode, *_ = line.split(maxsplit=5)
        begin, end = (int(text, 16) for text in span.split(b"-"))
        if permissions == b"r--s" and int(inode) and any(begin <= one < end for one in addresses):
            libc.madvise(ctypes.c_void_p(begin), ctypes.c_size_t(end - begin), mmap.MADV_DONTNEED)
