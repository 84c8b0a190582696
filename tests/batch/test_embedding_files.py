from __future__ import annotations

import json
import re
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from audio_classifier.batch.embedding_files import (
    BundleIdentity,
    StoredEmbeddings,
    written_embeddings,
)
from audio_classifier.errors import InvalidParameterError, OutputError
from audio_classifier.inference.embeddings import Embeddings

BUNDLE = BundleIdentity("compact", "1.2.3", "0123abcd")


def embeddings(patches: int, seed: int = 0) -> Embeddings:
    codes = np.random.default_rng(seed).integers(0, 256, (patches, 128), np.uint8)
    return Embeddings.consecutive(codes)


def write(path: Path, *recordings: tuple[str, Embeddings]) -> Path:
    with written_embeddings(path, BUNDLE) as writer:
        for name, found in recordings:
            writer.add(name, found)
    return path


def all_codes(path: Path) -> NDArray[np.uint8]:
    return np.concatenate([block.codes for block in StoredEmbeddings(path).blocks(2)])


RECORDINGS = [("a b.wav", embeddings(3, 1)), ("ü\udcff.wav", embeddings(0)), ("c.wav", embeddings(2, 2))]


def test_numpy_reads_the_documented_arrays(tmp_path: Path) -> None:
    arrays = np.load(write(tmp_path / "x.npz", *RECORDINGS))
    np.testing.assert_array_equal(
        arrays["embeddings"], np.concatenate([found.codes for _, found in RECORDINGS])
    )
    assert arrays["embeddings"].dtype == np.uint8
    np.testing.assert_allclose(arrays["start_s"], [0, 0.96, 1.92, 0, 0.96])
    assert arrays["file_index"].tolist() == [0, 0, 0, 2, 2]
    assert arrays["files"].tolist() == [name for name, _ in RECORDINGS]
    identity = [str(arrays[f"bundle_{name}"]) for name in ("name", "version", "digest")]
    assert identity == [*BUNDLE]
    np.savez(tmp_path / "again.npz", **arrays)
    assert StoredEmbeddings(tmp_path / "again.npz").rows == 5


@pytest.mark.parametrize("rows", [1, 2, 5, 100])
def test_blocks_contain_all_rows_in_their_order(tmp_path: Path, rows: int) -> None:
    stored = StoredEmbeddings(write(tmp_path / "x.npz", *RECORDINGS))
    assert (stored.bundle, stored.rows) == (BUNDLE, 5)
    blocks = [*stored.blocks(rows)]
    assert max(len(block.codes) for block in blocks) == min(rows, 5)
    arrays = np.load(tmp_path / "x.npz")
    for position, name in enumerate(("embeddings", "start_s", "file_index")):
        np.testing.assert_array_equal(np.concatenate([block[position] for block in blocks]), arrays[name])


def test_lines_have_file_start_values_and_bundle(tmp_path: Path) -> None:
    path = write(tmp_path / "x.jsonl", *RECORDINGS)
    lines = [json.loads(line) for line in path.read_text(encoding="ascii").splitlines()]
    assert [(line["file"], line["start_s"]) for line in lines] == [
        *(("a b.wav", start_s) for start_s in (0, 0.96, 1.92)),
        *(("c.wav", start_s) for start_s in (0, 0.96)),
    ]
    np.testing.assert_array_equal([line["values"] for line in lines[:3]], RECORDINGS[0][1].values)
    assert lines[0]["bundle"] == {"name": "compact", "version": "1.2.3", "digest": "0123abcd"}


@pytest.mark.parametrize("suffix", [".npz", ".jsonl"])
def test_same_embeddings_give_the_same_bytes(tmp_path: Path, suffix: str) -> None:
    first, second = (write(tmp_path / f"{name}{suffix}", *RECORDINGS).read_bytes() for name in "ab")
    assert first == second


@pytest.mark.parametrize("suffix", [".npz", ".jsonl"])
def test_nothing_is_left_if_writing_is_interrupted_or_nothing_was_added(tmp_path: Path, suffix: str) -> None:
    def interrupted() -> None:
        with written_embeddings(tmp_path / f"x{suffix}", BUNDLE) as writer:
            writer.add("a.wav", embeddings(3))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    write(tmp_path / f"x{suffix}")
    assert [*tmp_path.iterdir()] == []


def test_existing_file_is_kept(tmp_path: Path) -> None:
    path = write(tmp_path / "x.npz", *RECORDINGS)
    content = path.read_bytes()
    with pytest.raises(InvalidParameterError, match="exists"):
        write(path, *RECORDINGS)
    assert path.read_bytes() == content


def test_other_suffix_and_file_as_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidParameterError, match=r"\.npz or \.jsonl, got 'x\.csv'"):
        write(tmp_path / "x.csv")
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match=r"x\.npz cannot be written: File exists"):
        write(tmp_path / "file" / "x.npz")


def test_missing_folder_is_created(tmp_path: Path) -> None:
    path = write(tmp_path / "new" / "folder" / "x.npz", *RECORDINGS)
    assert StoredEmbeddings(path).rows == 5


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
