from __future__ import annotations

import hashlib
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from audio_classifier.batch.inputs import FileInput, find_inputs, is_single
from audio_classifier.errors import InvalidParameterError, ObjectChangedError


def nobody() -> None:
    raise AssertionError("no client of S3 is needed")


def found(*names: object) -> list[str]:
    return [sound.name for sound in find_inputs(map(str, names), nobody)]


def test_a_folder_is_searched_in_the_order_of_whole_paths(tmp_path: Path) -> None:
    names = ["a/x.wav", "a-b.wav", "a.wav", "B.FLAC", "a/deep/y.mp3", "z/.hidden.wav", "notes.txt", "b/c.ogg"]
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "linked").symlink_to(tmp_path / "a")
    (tmp_path / "gone.wav").symlink_to(tmp_path / "nowhere")
    wanted = [name for name in names if name not in ("z/.hidden.wav", "notes.txt")]
    assert found(tmp_path) == sorted(str(tmp_path / name) for name in (*wanted, "gone.wav"))


def test_what_is_named_itself_is_tried(tmp_path: Path) -> None:
    assert found("-", "notes.txt", tmp_path) == ["-", "notes.txt", str(tmp_path)]
    assert [is_single(name) for name in ("-", "x", str(tmp_path))] == [True, True, False]
    assert [is_single(f"s3://{name}") for name in ("b/k", "b", "b/", "b/p/")] == [True, False, False, False]


def test_folders_are_listed_when_they_are_needed(tmp_path: Path) -> None:
    for name in "ab":
        (tmp_path / name).mkdir()
        (tmp_path / name / "1.wav").touch()
    sounds = find_inputs([str(tmp_path)], nobody)
    assert next(sounds).name.endswith("a/1.wav")
    (tmp_path / "b" / "2.wav").touch()
    assert [Path(sound.name).name for sound in sounds] == ["1.wav", "2.wav"]


def test_an_address_without_a_key_or_bucket_is_refused() -> None:
    for name in ("s3://", "s3:///x/", "s3:///x"):
        with pytest.raises(InvalidParameterError):
            list(find_inputs([name], object))


def test_places_are_relative_to_the_working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("x/a.wav", "./x/a.wav", "y/../x/a.wav", str(tmp_path / "x" / "a.wav")):
        assert FileInput(name).result_key == "x/a.wav"
    assert FileInput("../a.wav").result_key == f"_root{tmp_path.parent}/a.wav"
    assert FileInput("-").result_key == "-"


def test_the_facts_of_a_file_are_its_content(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(b"some")
    sound = FileInput(str(path))
    sha256 = hashlib.sha256(b"some").hexdigest()
    wanted = {"file": sound.result_key, "size": 4, "sha256": sha256}
    with sound.open() as file:
        assert sound.identify(file) == sound.identify(file) == sound.identify(b"some") == wanted


def test_what_is_opened_stays_the_same(tmp_path: Path) -> None:
    path, other = tmp_path / "a.wav", tmp_path / "b.wav"
    path.write_bytes(b"some")
    sound = FileInput(str(path))
    with sound.open() as file:
        before = sound.identify(file)
        other.write_bytes(b"other")
        other.replace(path)
        assert sound.identify(file) == before
    with pytest.raises(ObjectChangedError), sound.open() as file, path.open("ab") as more:
        more.write(b"!")


def test_a_pipe_is_read_once(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    sound = FileInput(str(pipe))
    with ThreadPoolExecutor(1) as pool:
        pool.submit(pipe.write_bytes, b"some")
        with sound.open() as source:
            assert source == b"some"
            assert sound.identify(source)["size"] == 4


def test_no_pipe_or_device_is_found(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.wav")
    (tmp_path / "endless.wav").symlink_to("/dev/zero")
    (tmp_path / "circle.wav").symlink_to("circle.wav")
    (tmp_path / "sound.wav").touch()
    assert [Path(name).name for name in found(tmp_path)] == ["circle.wav", "sound.wav"]


def test_a_deep_tree_is_no_trouble(tmp_path: Path) -> None:
    before = Path.cwd()
    os.chdir(tmp_path)
    try:
        for _ in range(400):
            os.mkdir("d")
            os.chdir("d")
        Path("a.wav").touch()
    finally:
        os.chdir(before)
    assert len(found(tmp_path)) == 1
