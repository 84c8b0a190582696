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
from audio_classifier.model.bundle import (
    FILES,
    Bundle,
    Manifest,
    appearing,
    hash_file,
    load_arrays,
    write_bundle,
)

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


def test_what_is_written_is_opened(toy: Path) -> None:
    bundle = Bundle.open(toy)
    assert bundle.manifest.name == "toy"
    assert {entry.path for entry in bundle.manifest.files} == set(FILES)
    assert bundle.digest == hashlib.sha256((toy / "manifest.json").read_bytes()).hexdigest()
    np.testing.assert_array_equal(bundle.arrays("postprocess.npz")["a"], [0, 1, 2])
    assert bundle.path("embedding.tflite").read_bytes() == b"model"


def test_a_file_can_be_copied_in(tmp_path: Path, toy: Path) -> None:
    copy = write_bundle(tmp_path / "copy", {name: toy / name for name in FILES}, **FIELDS)
    assert copy.digest == Bundle.open(toy).digest


@pytest.mark.parametrize("content", [b"", b"x", bytes(1000), bytes(range(256)) * 50], ids=len)
def test_a_hash_is_that_of_the_whole_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes
) -> None:
    monkeypatch.setattr("audio_classifier.model.bundle.HASH_BYTES", 1000)
    path = tmp_path / "file"
    path.write_bytes(content)
    assert hash_file(path, "sha512") == hashlib.sha512(content).hexdigest()


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("damage", ["flipped", "shorter", "longer", "missing"])
def test_a_changed_file_is_named(toy: Path, name: str, damage: str) -> None:
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
        ({"schema_version": 2}, "schema_version"),
        ({"name": None}, "name"),
        ({"surprise": 1}, "surprise"),
        ({"precision": "int4"}, "precision"),
        ({"files": []}, "must be listed"),
    ],
)
def test_a_manifest_that_makes_no_sense_is_named(toy: Path, changes: dict[str, Any], match: str) -> None:
    edit_manifest(toy, **changes)
    with pytest.raises(BundleInvalidError, match=match):
        Bundle.open(toy)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff\xfe", b"null"])
def test_a_manifest_that_is_none_is_refused(toy: Path, content: bytes) -> None:
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
def test_paths_cannot_leave_the_bundle(toy: Path, path: str) -> None:
    (toy.parent / "secret").write_bytes(b"")
    files = json.loads((toy / "manifest.json").read_text())["files"]
    edit_manifest(toy, files=[*files, {"path": path, "size": 0, "sha256": hashlib.sha256(b"").hexdigest()}])
    with pytest.raises(BundleInvalidError, match=r"plain name|itself"):
        Bundle.open(toy)


def test_links_cannot_leave_the_bundle(toy: Path) -> None:
    outside = toy.parent / "outside"
    (toy / "embedding.tflite").rename(outside)
    (toy / "embedding.tflite").symlink_to(outside)
    with pytest.raises(BundleCorruptError, match=r"embedding\.tflite"):
        Bundle.open(toy)


def test_a_place_without_a_manifest_is_no_bundle(tmp_path: Path) -> None:
    for place in (tmp_path, tmp_path / "nothing"):
        with pytest.raises(BundleNotFoundError, match="no model bundle"):
            Bundle.open(place)


def test_a_file_listed_twice_is_refused() -> None:
    entry = {"path": "head.npz", "size": 0, "sha256": "0" * 64}
    with pytest.raises(BundleInvalidError, match="twice"):
        Manifest.parse(json.dumps({**FIELDS, "files": [entry, entry]}).encode(), "here")


def test_nothing_is_overwritten(toy: Path) -> None:
    before = Bundle.open(toy).digest
    with pytest.raises(BundleInvalidError, match="exists already"):
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
def test_a_failed_write_leaves_nothing(
    tmp_path: Path, content: dict[str, Any], fields: dict[str, Any]
) -> None:
    with pytest.raises((BundleError, OSError)):
        write_bundle(tmp_path / "toy", content, **fields)
    assert list(tmp_path.iterdir()) == []


def test_a_killed_write_leaves_nothing_that_opens(tmp_path: Path) -> None:
    code = f"""
import os, signal
from pathlib import Path
from audio_classifier.model.bundle import appearing
with appearing(Path({str(tmp_path / "toy")!r})) as partial:
    (partial / "manifest.json").write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == -9
    assert not (tmp_path / "toy").exists()


def test_a_directory_appears_for_all_to_read(tmp_path: Path) -> None:
    with appearing(tmp_path / "new") as partial:
        (partial / "file").write_text("x")
        assert not (tmp_path / "new").exists()
    assert (tmp_path / "new").stat().st_mode & 0o777 == 0o755
    shutil.rmtree(tmp_path / "new")


def test_pickles_are_never_loaded(tmp_path: Path) -> None:
    trap = tmp_path / "trap.npz"
    np.savez(trap, a=np.array([{"a": "pickle"}], dtype=object))
    with pytest.raises(BundleInvalidError, match="no archive of plain arrays"):
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
        pytest.param(b"no archive", id="text"),
        pytest.param(b"PK\x03\x04 broken", id="broken zip"),
        pytest.param(npy(np.ones(3)), id="one array alone"),
        pytest.param(archive({"a.npy": b"no array"}), id="member that is no array"),
        pytest.param(archive({"a.npy": b"\x93NUMPY\x01\0\x10\0{'descr': '<f4', '(("}), id="broken header"),
        pytest.param(deflated_and_damaged(), id="damaged stream"),
        pytest.param(archive({"a.npy": npy(np.array(["text"]))}), id="text for numbers"),
        pytest.param(archive({"a.npy": npy(np.array([1j]))}), id="complex numbers"),
        pytest.param(archive({"a.npy": npy(np.array([1.0, np.nan]))}), id="NaN"),
        pytest.param(archive({"a.npy": npy(np.array([np.inf], np.float16))}), id="infinity"),
    ],
)
def test_what_is_no_archive_of_numbers_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.npz"
    path.write_bytes(content)
    with pytest.raises(BundleInvalidError, match=r"a\.npz"):
        load_arrays(path)


def test_an_archive_that_unpacks_to_too_much_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("audio_classifier.model.bundle.MAX_ARRAYS_BYTES", 100_000)
    np.savez_compressed(tmp_path / "a.npz", a=np.zeros(20_000))
    assert (tmp_path / "a.npz").stat().st_size < 1000
    with pytest.raises(BundleInvalidError, match="more than 100000"):
        load_arrays(tmp_path / "a.npz")


@pytest.mark.parametrize("name", ["../evil", "deeper/file", "manifest.json", "a\0b"])
def test_a_bundle_is_not_written_outside_of_itself(tmp_path: Path, name: str) -> None:
    with pytest.raises(BundleInvalidError, match=r"plain name|itself"):
        write_bundle(tmp_path / "deep" / "toy", {**CONTENT, name: b""}, **FIELDS)
    assert list(tmp_path.iterdir()) == []


def test_a_manifest_that_cannot_be_read_is_no_bundle(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").mkdir()
    for place in (tmp_path, tmp_path / ("x" * 300)):
        with pytest.raises(BundleNotFoundError, match="no model bundle"):
            Bundle.open(place)
