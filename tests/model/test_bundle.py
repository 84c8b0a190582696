from __future__ import annotations

import hashlib
import io
import json
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from audio_classifier.errors import BundleCorruptError, BundleError, BundleInvalidError, BundleNotFoundError
from audio_classifier.model.bundle import Bundle, atomic_directory, hash_file, load_arrays, write_bundle
from audio_classifier.model.manifest import FILES, Manifest

FIELDS: dict[str, Any] = {"name": "toy", "version": "1", "description": "", "licence": "none"}
CONTENT: dict[str, Any] = {
    "embedding.tflite": b"model",
    "postprocess.npz": {"a": np.arange(3)},
    "head.npz": {"b": np.ones(2)},
    "labels.csv": b"index,mid,display_name\n",
}


@pytest.fixture
def toy(tmp_path: Path) -> Path:
    return write_bundle(tmp_path / "toy", CONTENT, **FIELDS).directory


def edit_manifest(directory: Path, **changes: Any) -> None:
    path = directory / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_written_bundle_can_be_opened(toy: Path) -> None:
    bundle = Bundle.open(toy)
    assert bundle.manifest.name == "toy"
    assert {entry.path for entry in bundle.manifest.files} == set(FILES)
    assert bundle.digest == hashlib.sha256((toy / "manifest.json").read_bytes()).hexdigest()
    np.testing.assert_array_equal(bundle.arrays("postprocess.npz")["a"], [0, 1, 2])
    assert bundle.path("embedding.tflite").read_bytes() == b"model"


def test_bundle_written_from_copied_files_has_equal_digest(tmp_path: Path, toy: Path) -> None:
    copy = write_bundle(tmp_path / "copy", {name: toy / name for name in FILES}, **FIELDS)
    assert copy.digest == Bundle.open(toy).digest


@pytest.mark.parametrize("content", [b"", b"x", bytes(1000), bytes(range(256)) * 50], ids=len)
def test_hash_covers_the_whole_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes) -> None:
    monkeypatch.setattr("audio_classifier.model.bundle.HASH_BYTES", 1000)
    path = tmp_path / "file"
    path.write_bytes(content)
    assert hash_file(path, "sha512") == hashlib.sha512(content).hexdigest()


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("damage", ["flipped", "shorter", "longer", "missing"])
def test_changed_file_is_reported_by_name(toy: Path, name: str, damage: str) -> None:
    path = toy / name
    data = bytearray(path.read_bytes())
    if damage == "flipped":
        data[-1] ^= 1
    elif damage == "shorter":
        data = data[:-1]
    else:
        data += b"x"
    path.write_bytes(data)
    if damage == "missing":
        path.unlink()
    with pytest.raises(BundleCorruptError, match=name):
        Bundle.open(toy)


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"schema_version": 3}, "schema_version"),
        ({"network": "clip"}, "schema_version 2"),
        ({"schema_version": 2, "network": "clip"}, "front_end"),
        ({"name": None}, "name"),
        ({"surprise": 1}, "surprise"),
        ({"precision": "int4"}, "precision"),
        ({"files": []}, "must be listed"),
    ],
)
def test_invalid_manifest_field_is_reported_by_name(toy: Path, changes: dict[str, Any], match: str) -> None:
    edit_manifest(toy, **changes)
    with pytest.raises(BundleInvalidError, match=match):
        Bundle.open(toy)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff\xfe", b"null"])
def test_manifest_that_is_not_a_json_object_is_refused(toy: Path, content: bytes) -> None:
    (toy / "manifest.json").write_bytes(content)
    with pytest.raises(BundleInvalidError, match=r"manifest\.json is invalid"):
        Bundle.open(toy)


@pytest.mark.parametrize(
    "path",
    [
        "../secret",
        "/etc/passwd",
        "a/../../secret",
        "..",
        ".",
        "",
        "a\\..\\b",
        "C:secret",
        "a//b",
        "./a",
        "a/",
        "manifest.json",
        "Manifest.JSON",
        "a/b",
        "a\0b",
        "x" * 300,
    ],
)
def test_path_outside_the_bundle_is_refused(toy: Path, path: str) -> None:
    (toy.parent / "secret").write_bytes(b"")
    files = json.loads((toy / "manifest.json").read_text())["files"]
    edit_manifest(toy, files=[*files, {"path": path, "size": 0, "sha256": hashlib.sha256(b"").hexdigest()}])
    with pytest.raises(BundleInvalidError, match=r"plain file name|itself"):
        Bundle.open(toy)


def test_link_to_a_file_outside_the_bundle_is_refused(toy: Path) -> None:
    outside = toy.parent / "outside"
    (toy / "embedding.tflite").rename(outside)
    (toy / "embedding.tflite").symlink_to(outside)
    with pytest.raises(BundleCorruptError, match=r"embedding\.tflite"):
        Bundle.open(toy)


def test_directory_without_manifest_raises_bundle_not_found(tmp_path: Path) -> None:
    for directory in (tmp_path, tmp_path / "nothing"):
        with pytest.raises(BundleNotFoundError, match="no model bundle"):
            Bundle.open(directory)


def test_manifest_that_lists_a_file_twice_is_refused() -> None:
    entry = {"path": "head.npz", "size": 0, "sha256": "0" * 64}
    with pytest.raises(BundleInvalidError, match="twice"):
        Manifest.parse(json.dumps({**FIELDS, "files": [entry, entry]}).encode(), "here")


def test_write_is_refused_when_directory_exists(toy: Path) -> None:
    before = Bundle.open(toy).digest
    with pytest.raises(BundleInvalidError, match="already exists"):
        write_bundle(toy, {**CONTENT, "labels.csv": b"other"}, **FIELDS)
    assert Bundle.open(toy).digest == before


@pytest.mark.parametrize(
    ("content", "fields"),
    [
        ({"labels.csv": b""}, FIELDS),
        (CONTENT, {"name": "toy"}),
        ({**CONTENT, "head.npz": Path("nowhere")}, FIELDS),
    ],
)
def test_failed_write_leaves_no_files(
    tmp_path: Path, content: dict[str, Any], fields: dict[str, Any]
) -> None:
    with pytest.raises((BundleError, OSError)):
        write_bundle(tmp_path / "toy", content, **fields)
    assert list(tmp_path.iterdir()) == []


def test_killed_write_leaves_no_directory(tmp_path: Path) -> None:
    code = f"""
import os, signal
from pathlib import Path
from audio_classifier.model.bundle import atomic_directory
with atomic_directory(Path({str(tmp_path / "toy")!r})) as partial:
    (partial / "manifest.json").write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == -9
    assert not (tmp_path / "toy").exists()


def test_new_directory_is_readable_by_all_users(tmp_path: Path) -> None:
    with atomic_directory(tmp_path / "new") as partial:
        (partial / "file").write_text("x")
        assert not (tmp_path / "new").exists()
    assert (tmp_path / "new").stat().st_mode & 0o777 == 0o755
    shutil.rmtree(tmp_path / "new")


def test_archive_with_pickles_is_refused(tmp_path: Path) -> None:
    trap = tmp_path / "trap.npz"
    np.savez(trap, a=np.array([{"a": "pickle"}], dtype=object))
    with pytest.raises(BundleInvalidError, match="not an archive of plain arrays"):
        load_arrays(trap)


def archive(members: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as file:
        for name, data in members.items():
            file.writestr(name, data)
    return buffer.getvalue()


def npy(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def deflated_and_damaged() -> bytes:
    data = bytearray(archive({"a.npy": npy(np.random.default_rng(0).normal(size=500))}, zipfile.ZIP_DEFLATED))
    data[200:260] = bytes(60)
    return bytes(data)


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"plain text", id="text"),
        pytest.param(b"PK\x03\x04 broken", id="broken zip"),
        pytest.param(npy(np.ones(3)), id="npy instead of npz"),
        pytest.param(archive({"a.npy": b"text"}), id="member that is not an array"),
        pytest.param(archive({"a.npy": b"\x93NUMPY\x01\0\x10\0{'descr': '<f4', '(("}), id="broken header"),
        pytest.param(deflated_and_damaged(), id="damaged stream"),
        pytest.param(archive({"a.npy": npy(np.array(["text"]))}), id="text instead of numbers"),
        pytest.param(archive({"a.npy": npy(np.array([1j]))}), id="complex numbers"),
        pytest.param(archive({"a.npy": npy(np.array([1.0, np.nan]))}), id="NaN"),
        pytest.param(archive({"a.npy": npy(np.array([np.inf], np.float16))}), id="infinity"),
    ],
)
def test_file_that_is_not_an_archive_of_numbers_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.npz"
    path.write_bytes(content)
    with pytest.raises(BundleInvalidError, match=r"a\.npz"):
        load_arrays(path)


def test_archive_is_refused_when_it_unpacks_to_more_than_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("audio_classifier.model.bundle.MAX_ARRAYS_BYTES", 100_000)
    np.savez_compressed(tmp_path / "a.npz", a=np.zeros(20_000))
    assert (tmp_path / "a.npz").stat().st_size < 1000
    with pytest.raises(BundleInvalidError, match="at most 100000"):
        load_arrays(tmp_path / "a.npz")


@pytest.mark.parametrize("name", ["../evil", "deeper/file", "manifest.json", "a\0b"])
def test_write_is_refused_for_file_name_outside_the_bundle(tmp_path: Path, name: str) -> None:
    with pytest.raises(BundleInvalidError, match=r"plain file name|itself"):
        write_bundle(tmp_path / "deep" / "toy", {**CONTENT, name: b""}, **FIELDS)
    assert list(tmp_path.iterdir()) == []


def test_unreadable_manifest_raises_bundle_not_found(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").mkdir()
    for directory in (tmp_path, tmp_path / ("x" * 300)):
        with pytest.raises(BundleNotFoundError, match="no model bundle"):
            Bundle.open(directory)
