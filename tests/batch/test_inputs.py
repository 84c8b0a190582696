from __future__ import annotations

import hashlib
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from audio_classifier.batch.inputs import FileInput, find_inputs, is_single
from audio_classifier.batch.suffixes import AUDIO_SUFFIXES, FFMPEG_SUFFIXES, SKIPPED_SUFFIXES
from audio_classifier.errors import InvalidParameterError, ObjectChangedError


def refuse_client() -> None:
    raise AssertionError("a client of S3 was requested")


def found_names(*names: object) -> list[str]:
    return [found.name for found in find_inputs(map(str, names), refuse_client)]


def test_folder_is_searched_in_the_order_of_whole_paths(tmp_path: Path) -> None:
    names = ["a/x.wav", "a-b.wav", "a.wav", "B.FLAC", "a/deep/y.mp3", "z/.hidden.wav", "notes.txt", "b/c.ogg"]
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "linked").symlink_to(tmp_path / "a")
    (tmp_path / "gone.wav").symlink_to(tmp_path / "nowhere")
    expected = [name for name in names if name not in ("z/.hidden.wav", "notes.txt")]
    assert found_names(tmp_path) == sorted(str(tmp_path / name) for name in (*expected, "gone.wav"))


def test_named_input_may_have_any_suffix(tmp_path: Path) -> None:
    assert found_names("-", "notes.txt", tmp_path) == ["-", "notes.txt", str(tmp_path)]


@pytest.mark.parametrize(
    ("name", "single"),
    [
        ("-", True),
        ("x", True),
        ("s3://b/k", True),
        ("s3://b", False),
        ("s3://b/", False),
        ("s3://b/p/", False),
    ],
)
def test_name_of_a_file_or_object_is_single(name: str, single: bool) -> None:
    assert is_single(name) is single


def test_name_of_a_folder_is_not_single(tmp_path: Path) -> None:
    assert not is_single(str(tmp_path))


def test_folder_is_listed_when_the_search_reaches_it(tmp_path: Path) -> None:
    for name in "ab":
        (tmp_path / name).mkdir()
        (tmp_path / name / "1.wav").touch()
    inputs = find_inputs([str(tmp_path)], refuse_client)
    assert next(inputs).name.endswith("a/1.wav")
    (tmp_path / "b" / "2.wav").touch()
    assert [Path(found.name).name for found in inputs] == ["1.wav", "2.wav"]


def test_prefix_in_s3_is_listed_page_by_page(s3: Any) -> None:
    s3.create_bucket(Bucket="pages")
    for number in range(1100):
        s3.put_object(Bucket="pages", Key=f"{number:04}.wav", Body=b"")
    operations: list[str] = []
    s3.meta.events.register("before-call.s3", lambda model, **_: operations.append(model.name))
    inputs = find_inputs(["s3://pages"], lambda: s3)
    assert next(inputs).name == "s3://pages/0000.wav"
    assert len(operations) == 1
    assert sum(1 for _ in inputs) == 1099
    assert len(operations) == 2


@pytest.mark.parametrize("uri", ["s3://", "s3:///x/", "s3:///x"])
def test_uri_without_a_bucket_is_refused(uri: str) -> None:
    with pytest.raises(InvalidParameterError):
        list(find_inputs([uri], object))


def test_result_key_is_relative_to_the_working_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("x/a.wav", "./x/a.wav", "y/../x/a.wav", str(tmp_path / "x" / "a.wav")):
        assert FileInput(name).result_key == "x/a.wav"
    assert FileInput("../a.wav").result_key == f"_root{tmp_path.parent}/a.wav"
    assert FileInput("-").result_key == "-"


def test_file_is_identified_by_its_content(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(b"some")
    file_input = FileInput(str(path))
    sha256 = hashlib.sha256(b"some").hexdigest()
    expected = {"file": file_input.result_key, "size": 4, "sha256": sha256}
    with file_input.open() as file:
        assert file_input.identify(file) == file_input.identify(file) == expected
        assert file_input.identify(b"some") == expected


def test_opened_file_is_read_in_one_state(tmp_path: Path) -> None:
    path, other = tmp_path / "a.wav", tmp_path / "b.wav"
    path.write_bytes(b"some")
    file_input = FileInput(str(path))
    with file_input.open() as file:
        before = file_input.identify(file)
        other.write_bytes(b"other")
        other.replace(path)
        assert file_input.identify(file) == before
    with pytest.raises(ObjectChangedError), file_input.open() as file, path.open("ab") as more:
        more.write(b"!")


def test_pipe_is_read_once(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    file_input = FileInput(str(pipe))
    with ThreadPoolExecutor(1) as pool:
        pool.submit(pipe.write_bytes, b"some")
        with file_input.open() as source:
            assert source == b"some"
            assert file_input.identify(source)["size"] == 4


def test_pipes_and_devices_in_folders_are_ignored(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.wav")
    (tmp_path / "endless.wav").symlink_to("/dev/zero")
    (tmp_path / "circle.wav").symlink_to("circle.wav")
    (tmp_path / "file.wav").touch()
    assert [Path(name).name for name in found_names(tmp_path)] == ["circle.wav", "file.wav"]


def test_deep_folders_are_searched(tmp_path: Path) -> None:
    before = Path.cwd()
    os.chdir(tmp_path)
    try:
        for _ in range(400):
            os.mkdir("d")
            os.chdir("d")
        Path("a.wav").touch()
    finally:
        os.chdir(before)
    assert len(found_names(tmp_path)) == 1


def test_suffix_is_either_accepted_or_counted() -> None:
    suffixes = (*AUDIO_SUFFIXES, *FFMPEG_SUFFIXES, *SKIPPED_SUFFIXES)
    assert len(set(suffixes)) == len(suffixes)
