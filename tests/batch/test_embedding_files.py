from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from audio_classifier.batch.embedding_files import written_embeddings
from audio_classifier.batch.stored_embeddings import StoredEmbeddings
from audio_classifier.errors import InvalidParameterError, OutputError
from tests.batch.embeddings import BUNDLE, RECORDINGS, embeddings, write


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
