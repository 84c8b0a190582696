from __future__ import annotations

import re
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from audio_classifier.batch.stored_embeddings import StoredEmbeddings
from audio_classifier.errors import InvalidParameterError
from tests.batch.embeddings import BUNDLE, RECORDINGS, write


def all_codes(path: Path) -> NDArray[np.uint8]:
    return np.concatenate([block.codes for block in StoredEmbeddings(path).blocks(2)])


@pytest.mark.parametrize("rows", [1, 2, 5, 100])
def test_blocks_contain_all_rows_in_their_order(tmp_path: Path, rows: int) -> None:
    stored = StoredEmbeddings(write(tmp_path / "x.npz", *RECORDINGS))
    assert (stored.bundle, stored.rows) == (BUNDLE, 5)
    blocks = [*stored.blocks(rows)]
    assert max(len(block.codes) for block in blocks) == min(rows, 5)
    arrays = np.load(tmp_path / "x.npz")
    for position, name in enumerate(("embeddings", "start_s", "file_index")):
        np.testing.assert_array_equal(np.concatenate([block[position] for block in blocks]), arrays[name])


def other(arrays: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {name: value for name, value in {**arrays, **changes}.items() if value is not None}


@pytest.mark.parametrize(
    "changes",
    [
        {"embeddings": None},
        {"bundle_digest": None},
        {"bundle_digest": np.array([1])},
        {"files": np.array([["a"]])},
        {"files": np.array(["a"])},  # rows belong to three
        {"embeddings": np.zeros((5, 128), np.float32)},
        {"embeddings": np.zeros((5, 64), np.uint8)},
        {"embeddings": np.zeros((4, 128), np.uint8)},
        {"start_s": np.zeros((5, 1))},
        {"embeddings": np.array(0, np.uint8)},
        {"file_index": np.full(5, -1, np.int32)},
    ],
)
def test_file_with_other_arrays_is_refused(tmp_path: Path, changes: dict[str, Any]) -> None:
    arrays = dict(np.load(write(tmp_path / "x.npz", *RECORDINGS)))
    np.savez(tmp_path / "other.npz", **other(arrays, **changes))
    with pytest.raises(InvalidParameterError, match=r"other\.npz is not a file of embeddings"):
        list(StoredEmbeddings(tmp_path / "other.npz").blocks(10))


@pytest.mark.parametrize("content", [b"", b"text", b"PK\x03\x04"])
def test_other_file_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.npz").write_bytes(content)
    with pytest.raises(InvalidParameterError, match=r"x\.npz is not a file of embeddings"):
        StoredEmbeddings(tmp_path / "x.npz")


@pytest.mark.parametrize("compression", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_damage_of_compressed_arrays_is_found(tmp_path: Path, compression: int) -> None:
    path, compressed = write(tmp_path / "x.npz", *RECORDINGS), tmp_path / "compressed.npz"
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(compressed, "w", compression) as target:
        for name in source.namelist():
            target.writestr(name, source.read(name))
        member = target.getinfo("embeddings.npy")
    expected = all_codes(compressed)
    content = bytearray(compressed.read_bytes())
    data, damages = member.header_offset + 30 + len(member.filename), 0
    for position in range(data, data + member.compress_size):
        content[position] ^= 0xFF
        compressed.write_bytes(content)
        try:
            found = all_codes(compressed)
        except InvalidParameterError:
            damages += 1
        else:  # not every byte matters
            np.testing.assert_array_equal(found, expected)
        content[position] ^= 0xFF
    assert damages > member.compress_size // 2


@pytest.mark.parametrize(("field", "value"), [(8, 1), (10, 99)])  # encrypted; an unknown compression
def test_unsupported_archive_is_refused(tmp_path: Path, field: int, value: int) -> None:
    path = write(tmp_path / "x.npz", *RECORDINGS)
    content = bytearray(path.read_bytes())
    for entry in re.finditer(b"PK\x01\x02", content):
        content[entry.start() + field] = value
    for header in re.finditer(b"PK\x03\x04", content):
        content[header.start() + field - 2] = value
    path.write_bytes(content)
    with pytest.raises(InvalidParameterError, match="not a file of embeddings"):
        StoredEmbeddings(path)


def test_array_that_exceeds_the_memory_is_refused(tmp_path: Path) -> None:
    path, huge = write(tmp_path / "x.npz", *RECORDINGS), tmp_path / "huge.npz"
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(huge, "w") as target:
        for name in source.namelist():
            with target.open(name, "w") as out:
                if name == "files.npy":
                    header = {"descr": "<U9", "fortran_order": False, "shape": (10**14,)}
                    np.lib.format.write_array_header_1_0(out, header)
                else:
                    out.write(source.read(name))
    with pytest.raises(InvalidParameterError, match="not a file of embeddings"):
        StoredEmbeddings(huge)


def test_damage_is_found(tmp_path: Path) -> None:
    path = write(tmp_path / "x.npz", *RECORDINGS)
    content = bytearray(path.read_bytes())
    position = content.index(RECORDINGS[0][1].codes.tobytes())
    content[position] ^= 1
    path.write_bytes(content)
    with pytest.raises(InvalidParameterError, match="damaged"):
        list(StoredEmbeddings(path).blocks(2))
