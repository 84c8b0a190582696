from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from audio_classifier.errors import RemoteNotFoundError, RemoteTooLongError, TransferError
from audio_classifier.hub.recordings import open_recording
from devtools.background import BackgroundServer, QuietServer
from tests.support.servers import FileServer

SECRET = "signature=0123"


class _Redirect(BaseHTTPRequestHandler):
    target = ""

    def do_GET(self) -> None:
        is_file = self.path.startswith("/file")
        self.send_response(200 if is_file else 302)
        if not is_file:
            self.send_header("Location", self.target)
        self.send_header("Content-Length", "4" if is_file else "0")
        self.end_headers()
        self.wfile.write(b"some" if is_file else b"")

    def log_message(self, *_: object) -> None:
        pass


def fetched(url: str, *, max_bytes: int = 100_000, deadline_s: float = 20) -> bytes:
    with open_recording(url, max_bytes=max_bytes, deadline_s=deadline_s) as file:
        assert file.seekable()
        return file.read()


def test_file_is_downloaded_and_deleted(
    https_server: FileServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    (https_server.folder / "a b.wav").write_bytes(b"some")
    with open_recording(f"{https_server.url}/a%20b.wav?{SECRET}", max_bytes=4, deadline_s=20) as file:
        assert file.read() == b"some"
        assert list(folder.iterdir())
    assert not list(folder.iterdir())


def test_file_that_is_too_long_is_refused(https_server: FileServer) -> None:
    (https_server.folder / "a.wav").write_bytes(bytes(101))
    with pytest.raises(RemoteTooLongError, match="at most 100 bytes"):
        fetched(f"{https_server.url}/a.wav", max_bytes=100)


@pytest.mark.parametrize("part", ["header", "body"])
def test_slow_server_is_given_up_at_the_deadline(https_server: FileServer, part: str) -> None:
    https_server.drip["/a.wav"] = part  # type: ignore[assignment]  # one of both
    with pytest.raises(TransferError, match="took longer than 1 s"):
        fetched(f"{https_server.url}/a.wav", max_bytes=1 << 30, deadline_s=1)


def test_errors_do_not_contain_the_query(https_server: FileServer) -> None:
    url = f"{https_server.url}/gone.wav?{SECRET}"
    with pytest.raises(RemoteNotFoundError, match="404") as not_found:
        fetched(url)
    https_server.redirects[f"/gone.wav?{SECRET}"] = f"http://localhost/x?{SECRET}"
    with pytest.raises(TransferError, match="not encrypted") as unencrypted:
        fetched(url)
    https_server.cut_after["/cut.wav"] = 3
    (https_server.folder / "cut.wav").write_bytes(b"longer")
    with pytest.raises(TransferError) as cut:
        fetched(f"{https_server.url}/cut.wav")
    with pytest.raises(TransferError) as refused:
        fetched(f"https://localhost:1/x?{SECRET}", deadline_s=20)
    for caught in (not_found, unencrypted, cut, refused):
        assert SECRET not in str(caught.value)
        assert caught.value.hint


def test_unencrypted_server_may_redirect_to_any_and_an_encrypted_one_only_to_encrypted(
    https_server: FileServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    (https_server.folder / "a.wav").write_bytes(b"encrypted")
    with BackgroundServer(QuietServer(("127.0.0.1", 0), _Redirect)) as server:
        plain = f"http://127.0.0.1:{server.port}"
        assert fetched(f"{plain}/file") == b"some"
        monkeypatch.setattr(_Redirect, "target", "/file")
        assert fetched(f"{plain}/x") == b"some"
        monkeypatch.setattr(_Redirect, "target", f"{https_server.url}/a.wav")
        assert fetched(f"{plain}/x") == b"encrypted"
        https_server.redirects["/a.wav"] = f"{plain}/file"
        with pytest.raises(TransferError, match="not encrypted"):
            fetched(f"{plain}/x")
        for target in (f"{plain}/x", "http://[::1", "file:///etc/passwd", "http://"):
            monkeypatch.setattr(_Redirect, "target", target)
            with pytest.raises(TransferError):
                fetched(f"{plain}/x")
    assert threading.active_count() < 20
