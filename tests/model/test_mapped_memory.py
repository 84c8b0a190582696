"""That a model's file is given back is held where it is loaded; here, that nothing else is."""

from __future__ import annotations

import ctypes
import mmap
import sys
from pathlib import Path

import pytest

from audio_classifier.model.mapped_memory import release_files

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells what is mapped where")


def test_what_stands_nowhere_else_is_kept(tmp_path: Path) -> None:
    """A private mapping of a file, changed and then only to be read, as of a library that was linked."""
    path = tmp_path / "file"
    path.write_bytes(b"a" * mmap.PAGESIZE)
    with path.open("rb") as file:
        mapping = mmap.mmap(file.fileno(), 0, flags=mmap.MAP_PRIVATE, prot=mmap.PROT_READ | mmap.PROT_WRITE)
    address = ctypes.addressof(ctypes.c_char.from_buffer(mapping))
    mapping[:1] = b"b"
    protect = ctypes.CDLL(None).mprotect
    assert protect(ctypes.c_void_p(address), ctypes.c_size_t(mmap.PAGESIZE), mmap.PROT_READ) == 0
    release_files({address})
    assert mapping[:2] == b"ba"


def test_nothing_is_released_where_there_is_no_file() -> None:
    buffer = ctypes.create_string_buffer(b"kept", 1 << 20)
    release_files({ctypes.addressof(buffer), 0})
    assert buffer.value == b"kept"
