from __future__ import annotations

import contextlib
import errno
import json
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from audio_classifier.batch.file_batch import MAX_PENDING, FileBatch
from audio_classifier.batch.stores import FolderStore, open_store
from audio_classifier.errors import InvalidParameterError, ResultConflictError, TransferError
from devtools.background import BackgroundServer, QuietServer
from tests.batch.results import make_result
from tests.support.json_values import DOCUMENTS

HOSTILE_KEYS = [
    *("../../a.wav", "/etc/passwd", "a//b.wav", ".", "..", "", "a/./b", "new\nline.wav", "\udcff.wav"),
    *("x" * 1000, "雨" * 300 + "/" + "y" * 300, "nul\0.wav", "a/..."),
]
RESULT = json.dumps(make_result(), indent=2).encode() + b"\n"


@pytest.fixture(params=["folder", "lines.jsonl"])
def output(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return str(tmp_path / "deeper" / request.param)


def test_stored_result_is_found_when_the_store_is_opened_again(output: str) -> None:
    for is_stored in (False, True):
        store = open_store(output)
        assert store.find("a.wav", make_result()) == ("ok" if is_stored else None)
        assert store.write("a.wav", make_result()) is not is_stored
        assert store.find("a.wav", make_result())
        store.close()


@pytest.mark.parametrize("other", [make_result(sha256="2"), make_result(digest="n"), make_result(top_k=3)])
def test_result_of_other_content_model_or_parameters_is_written(output: str, other: dict[str, Any]) -> None:
    store = open_store(output)
    store.write("a.wav", make_result())
    assert not store.find("a.wav", other)
    assert store.write("a.wav", other)
    assert store.find("a.wav", other)
    store.close()


@pytest.mark.parametrize("key", HOSTILE_KEYS)
def test_hostile_key_is_stored_inside_the_folder(tmp_path: Path, key: str) -> None:
    folder = tmp_path / "in" / "side"
    store = FolderStore(folder)
    assert store.write(key, make_result(key))
    assert store.find(key, make_result(key))
    store.close()
    (path,) = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert path.resolve().is_relative_to(folder)
    assert path.suffix == ".json"
    assert json.loads(path.read_text(encoding="ascii")) == make_result(key)


def test_hostile_keys_have_different_paths(tmp_path: Path) -> None:
    store = FolderStore(tmp_path)
    for key in HOSTILE_KEYS:
        assert store.write(key, make_result(key))
    store.close()
    assert len([path for path in tmp_path.rglob("*") if path.is_file()]) == len(HOSTILE_KEYS)


@pytest.mark.parametrize("existing", [json.dumps(make_result("b.wav")), "garbage", "[]", "5"])
def test_file_that_is_not_the_result_of_the_input_is_not_overwritten(tmp_path: Path, existing: str) -> None:
    store = FolderStore(tmp_path)
    (tmp_path / "a.wav.json").write_text(existing)
    for method in (store.find, store.write):
        with pytest.raises(ResultConflictError, match=r"a\.wav\.json"):
            method("a.wav", make_result())
    assert (tmp_path / "a.wav.json").read_text() == existing


@given(document=DOCUMENTS)
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_document_in_place_of_a_result_is_a_conflict_or_an_older_result(
    tmp_path: Path, document: Any
) -> None:
    (tmp_path / "a.wav.json").write_text(json.dumps(document))
    with contextlib.suppress(ResultConflictError):
        assert not FolderStore(tmp_path).find("a.wav", make_result())


@given(document=DOCUMENTS)
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_file_with_any_document_in_a_line_is_opened_or_refused(tmp_path: Path, document: Any) -> None:
    path = tmp_path / "r.jsonl"
    path.write_text(json.dumps(make_result()) + "\n" + json.dumps(document) + "\n")
    with contextlib.suppress(InvalidParameterError):
        store = open_store(str(path))
        assert store.find("a.wav", make_result())
        store.close()


@pytest.mark.parametrize("depth", [65, 5_000, 200_000])
def test_deeply_nested_line_is_refused(tmp_path: Path, depth: int) -> None:
    path = tmp_path / "r.jsonl"
    result = json.dumps(make_result(nested=0)).replace("0", "[" * depth + "]" * depth)
    path.write_text(result + "\n")
    with pytest.raises(InvalidParameterError, match="line 1 of"):
        open_store(str(path))


def test_file_in_place_of_a_folder_is_a_conflict(tmp_path: Path) -> None:
    store = FolderStore(tmp_path)
    store.write("a", make_result("a"))
    with pytest.raises(ResultConflictError):
        store.write("a.json/b", make_result("a.json/b"))


def test_unreadable_file_is_a_conflict(tmp_path: Path) -> None:
    (tmp_path / "a.wav.json").symlink_to("a.wav.json")
    with pytest.raises(ResultConflictError, match=r"a\.wav\.json"):
        FolderStore(tmp_path).find("a.wav", make_result())


def test_writers_of_one_folder_have_different_temporary_files(tmp_path: Path) -> None:
    # The process id would not distinguish them: it is 1 in every container.
    first, second = FileBatch(tmp_path), FileBatch(tmp_path)
    assert first._temporary != second._temporary


@pytest.mark.parametrize("count", [5, 3 * MAX_PENDING + 2])
def test_results_can_be_found_before_and_after_they_are_written(tmp_path: Path, count: int) -> None:
    store = FolderStore(tmp_path)
    keys = [f"{number}.wav" for number in range(count)]
    for key in keys:
        assert store.write(key, make_result(key))
        assert not store.write(key, make_result(key))
    assert {store.find(key, make_result(key)) for key in keys} == {"ok"}
    store.close()
    assert {path.name for path in tmp_path.iterdir()} == {f"{key}.json" for key in keys}


@pytest.mark.parametrize("output", ["folder", "r.jsonl"])
def test_status_of_a_stored_error_is_found(tmp_path: Path, output: str) -> None:
    failure = {**make_result(), "status": "error"}
    for _ in range(2):
        store = open_store(str(tmp_path / output))
        store.write("a.wav", failure)
        assert store.find("a.wav", make_result()) == "error"
        store.close()


@pytest.mark.parametrize(
    "damaged", [b"", bytes(5000), RESULT[:10], RESULT[:40] + bytes(99), bytes(40) + RESULT[40:]]
)
def test_damaged_result_is_replaced(tmp_path: Path, damaged: bytes) -> None:
    (tmp_path / "a.wav.json").write_bytes(damaged)
    store = FolderStore(tmp_path)
    assert store.find("a.wav", make_result()) is None
    assert store.write("a.wav", make_result())
    store.close()
    assert (tmp_path / "a.wav.json").read_bytes() == RESULT


@pytest.mark.parametrize("foreign", [b"\0\xff", b'{"name": "x"', RESULT.replace(b"[]", b"[,]"), b"text\0"])
def test_foreign_content_is_not_mistaken_for_damage(tmp_path: Path, foreign: bytes) -> None:
    (tmp_path / "a.wav.json").write_bytes(foreign)
    with pytest.raises(ResultConflictError):
        FolderStore(tmp_path).find("a.wav", make_result())


def test_full_disk_is_an_error_and_leaves_no_temporary_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = FolderStore(tmp_path)
    store.write("a.wav", make_result("a.wav"))
    store.close()
    store = FolderStore(tmp_path)

    def fail(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("os.fsync", fail)
        assert store.write("b.wav", make_result("b.wav"))
        with pytest.raises(OSError, match="No space"):
            store.close()
    assert [path.name for path in tmp_path.iterdir()] == ["a.wav.json"]


class _TruncatingHandler(BaseHTTPRequestHandler):
    """An S3 endpoint that closes the connection within each object."""

    def do_HEAD(self) -> None:
        self.send_response(200)
        self.end_headers()

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "100")
        self.end_headers()
        self.wfile.write(b"{")

    def log_message(self, *_: object) -> None:
        pass


def test_truncated_response_of_s3_is_a_transfer_error(monkeypatch: pytest.MonkeyPatch) -> None:
    with BackgroundServer(QuietServer(("127.0.0.1", 0), _TruncatingHandler)) as server:
        for name, value in {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{server.port}",
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": "testing",
            "AWS_DEFAULT_REGION": "us-east-1",
            "no_proxy": "127.0.0.1",
        }.items():
            monkeypatch.setenv(name, value)
        store = open_store("s3://results/")
        with pytest.raises(TransferError, match=r"s3://results/a\.wav\.json"):
            store.find("a.wav", make_result())
        store.close()
