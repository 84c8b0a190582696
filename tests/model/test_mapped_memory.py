"""Memory other than that of mapped model files, which `test_embedding` covers, is not released."""

from __future__ import annotations

import ctypes
import mmap
import sys
from pathlib import Path

import pytest

from audio_classifier.model.mapped_memory import release_files

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux lists mappings in /proc")


def test_changed_private_mapping_is_kept(tmp_path: Path) -> None:
    """The mapping is changed and then made read-only, as the dynamic linker does with libraries."""
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


def test_anonymous_memory_is_kept() -> None:
    buffer = ctypes.create_string_buffer(b"kept", 1 << 20)
    release_files({ctypes.addressof(buffer), 0})
    assert buffer.value == b"kept"
