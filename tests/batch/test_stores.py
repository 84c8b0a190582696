from __future__ import annotations

import json
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest

from audio_classifier.batch.json_lines import JsonLinesStore
from audio_classifier.batch.stores import FolderStore, open_store
from audio_classifier.errors import InvalidParameterError, ResultConflictError, TransferError
from devtools.background import BackgroundServer, QuietServer

HOSTILE = [
    *("../../a.wav", "/etc/passwd", "a//b.wav", ".", "..", "", "a/./b", "new\nline.wav", "\udcff.wav"),
    *("x" * 1000, "雨" * 300 + "/" + "y" * 300, "nul\0.wav", "a/..."),
]


def result(file: str = "a.wav", sha256: str = "1", digest: str = "m", **parameters: Any) -> dict[str, Any]:
    return {
        "status": "ok",
        "predictions": [],
        "source": {"file": file, "size": 1, "sha256": sha256},
        "model": {"bundle": "b", "version": "1", "digest": digest},
        "parameters": parameters,
    }


@pytest.fixture(params=["folder", "lines.jsonl"])
def where(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return str(tmp_path / "deeper" / request.param)


def test_what_is_stored_is_found_by_the_next_run(where: str) -> None:
    for again in (False, True):
        store = open_store(where)
        assert store.contains("a.wav", result()) is again
        assert store.write("a.wav", result()) is not again
        assert store.contains("a.wav", result())
        store.close()


@pytest.mark.parametrize("other", [result(sha256="2"), result(digest="n"), result(top_k=3)])
def test_other_content_model_or_parameters_are_done_anew(where: str, other: dict[str, Any]) -> None:
    store = open_store(where)
    store.write("a.wav", result())
    assert not store.contains("a.wav", other)
    assert store.write("a.wav", other)
    assert store.contains("a.wav", other)
    store.close()


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_stay_inside(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "in" / "side"
    store = FolderStore(folder)
    assert store.write(name, result(name))
    assert store.contains(name, result(name))
    (written,) = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert written.resolve().is_relative_to(folder)
    assert written.suffix == ".json"
    assert json.loads(written.read_text(encoding="ascii")) == result(name)


def test_hostile_names_have_places_of_their_own(tmp_path: Path) -> None:
    store = FolderStore(tmp_path)
    for name in HOSTILE:
        assert store.write(name, result(name))
    assert len([path for path in tmp_path.rglob("*") if path.is_file()]) == len(HOSTILE)


@pytest.mark.parametrize("standing", [json.dumps(result("b.wav")), "garbage", "[]", "5"])
def test_nothing_of_others_is_overwritten(tmp_path: Path, standing: str) -> None:
    store = FolderStore(tmp_path)
    (tmp_path / "a.wav.json").write_text(standing)
    for call in (store.contains, store.write):
        with pytest.raises(ResultConflictError, match=r"a\.wav\.json"):
            call("a.wav", result())
    assert (tmp_path / "a.wav.json").read_text() == standing


def test_a_file_in_the_way_of_a_folder_is_said(tmp_path: Path) -> None:
    store = FolderStore(tmp_path)
    store.write("a", result("a"))
    with pytest.raises(ResultConflictError):
        store.write("a.json/b", result("a.json/b"))


def test_half_a_line_is_repaired(tmp_path: Path) -> None:
    whole = json.dumps(result("a")) + "\n"
    second = json.dumps(result("b")) + "\n"
    for cut in range(len(second)):
        path = tmp_path / "r.jsonl"
        path.write_text(whole + second[:cut])
        store = JsonLinesStore(path)
        assert store.contains("", result("a"))
        assert store.write("", result("b"))
        store.close()
        assert path.read_text() == whole + second


@pytest.mark.parametrize(
    "content", ["no result\n", "no result", '{"status": "ok"}\n', '{"status": "ok"}', '{"file": 1']
)
def test_a_file_of_something_else_is_left_alone(tmp_path: Path, content: str) -> None:
    path = tmp_path / "r.jsonl"
    path.write_text(content)
    with pytest.raises(InvalidParameterError, match="line 1 of"):
        JsonLinesStore(path)
    assert path.read_text() == content


def test_what_is_no_file_is_refused() -> None:
    with pytest.raises(InvalidParameterError, match="is no file"):
        JsonLinesStore(Path("/dev/full"))


def test_one_process_writes_lines_at_a_time(tmp_path: Path) -> None:
    path, other_name = tmp_path / "r.jsonl", tmp_path / "s.jsonl"
    other_name.symlink_to(path)
    store = JsonLinesStore(path)
    store.write("", result("a"))
    before = path.read_bytes()
    for name in (path, other_name):
        with pytest.raises(InvalidParameterError, match="another process writes to"):
            JsonLinesStore(name)
    assert path.read_bytes() == before
    store.close()
    JsonLinesStore(other_name).close()


def test_a_refused_file_of_lines_can_be_opened_once_it_is_mended(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    path.write_text("no result\n")
    for _ in range(2):
        with pytest.raises(InvalidParameterError, match="is no result"):
            JsonLinesStore(path)
    path.write_text("")
    JsonLinesStore(path).close()


def test_what_cannot_be_read_where_a_result_belongs_is_said(tmp_path: Path) -> None:
    (tmp_path / "a.wav.json").symlink_to("a.wav.json")
    with pytest.raises(ResultConflictError, match=r"a\.wav\.json"):
        FolderStore(tmp_path).contains("a.wav", result())


def test_writers_of_one_folder_do_not_share_a_file_half_written(tmp_path: Path) -> None:
    first, second = FolderStore(tmp_path), FolderStore(tmp_path)  # as of containers, all of process 1
    assert first._partial != second._partial


class _CutOff(BaseHTTPRequestHandler):
    """An S3 of which every object breaks off."""

    def do_HEAD(self) -> None:
        self.send_response(200)
        self.end_headers()

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "100")
        self.end_headers()
        self.wfile.write(b"{")

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def test_a_standing_result_that_breaks_off_is_a_failed_transfer(monkeypatch: pytest.MonkeyPatch) -> None:
    with BackgroundServer(QuietServer(("127.0.0.1", 0), _CutOff)) as server:
        for name, value in {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{server.port}",
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": "testing",
            "AWS_DEFAULT_REGION": "us-east-1",
            "no_proxy": "127.0.0.1",
        }.items():
            monkeypatch.setenv(name, value)
        store = open_store("s3://heard/")
        with pytest.raises(TransferError, match=r"s3://heard/a\.wav\.json"):
            store.contains("a.wav", result())
        store.close()
