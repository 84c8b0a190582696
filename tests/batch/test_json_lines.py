from __future__ import annotations

import json
from pathlib import Path

import pytest

from audio_classifier.batch.json_lines import JsonLinesStore
from audio_classifier.errors import InvalidParameterError
from tests.batch.results import make_result

LINES = [json.dumps(make_result(name)).encode() + b"\n" for name in "abcd"]


def test_incomplete_last_line_is_replaced(tmp_path: Path) -> None:
    first_line = json.dumps(make_result("a")) + "\n"
    second_line = json.dumps(make_result("b")) + "\n"
    for length in range(len(second_line)):
        path = tmp_path / "r.jsonl"
        path.write_text(first_line + second_line[:length])
        store = JsonLinesStore(path)
        assert store.find("", make_result("a"))
        assert store.write("", make_result("b"))
        store.close()
        assert path.read_text() == first_line + second_line


@pytest.mark.parametrize(
    "content", ["no result\n", "no result", '{"status": "ok"}\n', '{"status": "ok"}', '{"file": 1']
)
def test_file_with_other_content_is_refused_and_unchanged(tmp_path: Path, content: str) -> None:
    path = tmp_path / "r.jsonl"
    path.write_text(content)
    with pytest.raises(InvalidParameterError, match="line 1 of"):
        JsonLinesStore(path)
    assert path.read_text() == content


@pytest.mark.parametrize(
    "damaged",
    [
        [bytes(9000)],
        [LINES[0], bytes(9000)],
        [LINES[0], LINES[1][:50] + bytes(9000)],
        [LINES[0], bytes(50) + LINES[1][50:]],
        [LINES[0], LINES[1][:50] + bytes(9000) + LINES[2][80:], LINES[3]],
        [LINES[0], bytes(9000) + LINES[1][80:], LINES[2], LINES[3][:20]],
    ],
)
def test_lines_with_zeros_are_removed_and_all_others_kept(tmp_path: Path, damaged: list[bytes]) -> None:
    path = tmp_path / "r.jsonl"
    path.write_bytes(b"".join(damaged))
    kept = b"".join(line for line in damaged if line in LINES)
    JsonLinesStore(path).close()
    assert path.read_bytes() == kept
    store = JsonLinesStore(path)
    for name in "abcd":
        store.write("", make_result(name))
        assert store.find("", make_result(name)) == "ok"
    store.close()
    assert sorted(path.read_bytes().splitlines(keepends=True)) == sorted(LINES)
    assert {entry.name for entry in tmp_path.iterdir()} <= {"r.jsonl", ".r.jsonl.lock"}


@pytest.mark.parametrize("content", [b"\0\xff", bytes(9) + b"\nno result\n", LINES[0] + b"\0\n{}\n"])
def test_foreign_file_with_zeros_is_refused_and_unchanged(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "r.jsonl"
    path.write_bytes(content)
    with pytest.raises(InvalidParameterError, match="is not a result"):
        JsonLinesStore(path)
    assert path.read_bytes() == content


def test_device_is_refused() -> None:
    with pytest.raises(InvalidParameterError, match="is not a file"):
        JsonLinesStore(Path("/dev/full"))


def test_second_writer_of_a_file_is_refused(tmp_path: Path) -> None:
    path, link = tmp_path / "r.jsonl", tmp_path / "s.jsonl"
    link.symlink_to(path)
    store = JsonLinesStore(path)
    store.write("", make_result("a"))
    before = path.read_bytes()
    for name in (path, link):
        with pytest.raises(InvalidParameterError, match="another process writes to"):
            JsonLinesStore(name)
    assert path.read_bytes() == before
    store.close()
    JsonLinesStore(link).close()


def test_refused_file_is_not_locked(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    path.write_text("no result\n")
    for _ in range(2):
        with pytest.raises(InvalidParameterError, match="is not a result"):
            JsonLinesStore(path)
    path.write_text("")
    JsonLinesStore(path).close()
