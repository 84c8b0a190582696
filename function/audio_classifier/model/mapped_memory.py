"""Release memory-mapped files on Linux; on other systems this does nothing."""

from __future__ import annotations

import ctypes
import mmap
from collections.abc import Collection
from pathlib import Path


def release_files(addresses: Collection[int]) -> None:
    """Release the memory of read-only shared file mappings at these addresses; it is read again if needed.

    Other memory is not touched, because its content may exist nowhere else.  The caller must keep the
    mappings open: the address of a closed one can belong to another mapping.
    """
    try:
        maps = Path("/proc/self/maps").read_bytes()
    except OSError:  # another operating system, or /proc is not mounted
        return
    libc = ctypes.CDLL(None)
    for line in maps.splitlines():
        span, permissions, _, _, inode, *_ = line.split(maxsplit=5)
        begin, end = (int(text, 16) for text in span.split(b"-"))
        if permissions == b"r--s" and int(inode) and any(begin <= one < end for one in addresses):
            libc.madvise(ctypes.c_void_p(begin), ctypes.c_size_t(end - begin), mmap.MADV_DONTNEED)
