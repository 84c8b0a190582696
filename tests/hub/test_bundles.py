"""Remote bundles, downloaded from a real TLS server and from an S3 server."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Literal

import pytest
from filelock import FileLock

from audio_classifier import AudioClassifier
from audio_classifier.errors import (
    BundleCacheError,
    BundleCorruptError,
    BundleInvalidError,
    BundleNotFoundError,
    InvalidParameterError,
    RemoteNotFoundError,
    RemoteTooLongError,
    TransferError,
)
from audio_classifier.hub.bundles import open_bundle
from audio_classifier.model.bundle import Bundle
from tests.support.servers import FileServer

NAMES = ["manifest.json", "embedding.tflite", "head.npz", "labels.csv", "postprocess.npz"]


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture
def served(https_server: FileServer, compact: Path) -> FileServer:
    """Serve the built-in bundle below ``/compact``."""
    shutil.copytree(compact, https_server.folder / "compact")
    return https_server


def test_bundle_is_downloaded_once_and_then_cached(served: FileServer, cache: Path, compact: Path) -> None:
    progress: dict[str, int] = {}
    totals: dict[str, int | None] = {}

    def count(name: str, size: int, total: int | None) -> None:
        progress[name] = progress.get(name, 0) + size
        totals[name] = total

    bundle = open_bundle(f"{served.url}/compact", cache_dir=cache, progress=count)
    assert bundle.digest == Bundle.open(compact).digest
    assert sorted(served.requests) == sorted(f"/compact/{name}" for name in NAMES)
    assert progress == {entry.path: entry.size for entry in bundle.manifest.files}
    assert totals == progress

    served.requests.clear()
    again = open_bundle(f"{served.url}/compact/", cache_dir=cache)
    assert again.directory == bundle.directory
    assert served.requests == ["/compact/manifest.json"]


def test_bundle_from_s3_classifies(s3: Any, cache: Path, compact: Path, assets: Path) -> None:
    for name in NAMES:
        s3.upload_file(str(compact / name), "models", f"some/where/{name}")
    classifier = AudioClassifier.open("s3://models/some/where/", cache_dir=cache)
    assert "Rain" in [prediction.label for prediction in classifier.predict(assets / "rain.wav")]


def test_bundle_is_downloaded_again_when_manifest_changes(served: FileServer, cache: Path) -> None:
    first = open_bundle(f"{served.url}/compact", cache_dir=cache)
    manifest = served.folder / "compact" / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"name": "compact"', '"name": "renamed"'))
    second = open_bundle(f"{served.url}/compact", cache_dir=cache)
    assert second.manifest.name == "renamed"
    assert first.directory.exists()


def test_bundle_with_the_digest_of_its_uri_is_opened(served: FileServer, cache: Path, compact: Path) -> None:
    digest = Bundle.open(compact).digest
    for written in (digest, digest.upper()):
        bundle = open_bundle(f"{served.url}/compact#sha256={written}", cache_dir=cache)
        assert bundle.digest == digest


def test_bundle_with_another_digest_than_that_of_its_uri_is_refused(
    served: FileServer, s3: Any, cache: Path, compact: Path
) -> None:
    for path in compact.iterdir():
        s3.upload_file(str(path), "models", f"pinned/{path.name}")
    for uri in (f"{served.url}/compact", "s3://models/pinned/"):
        with pytest.raises(BundleCorruptError, match=rf"must have the digest {'0' * 64}, got [0-9a-f]{{64}}"):
            open_bundle(f"{uri}#sha256={'0' * 64}", cache_dir=cache)
    assert not list(cache.glob("**/embedding.tflite"))


@pytest.mark.parametrize("digest", ["", "0" * 63, "0" * 65, "x" * 64, "0" * 64 + "/"])
def test_malformed_digest_in_a_uri_is_refused(digest: str, cache: Path) -> None:
    with pytest.raises(InvalidParameterError, match="must be followed by 64 hexadecimal digits"):
        open_bundle(f"https://localhost/compact#sha256={digest}", cache_dir=cache)


def test_damaged_cached_file_is_downloaded_again(served: FileServer, cache: Path) -> None:
    bundle = open_bundle(f"{served.url}/compact", cache_dir=cache)
    bundle.path("head.npz").write_bytes(b"damaged")
    assert open_bundle(f"{served.url}/compact", cache_dir=cache).arrays("head.npz")


def test_wrong_hash_is_reported_with_file_and_source(served: FileServer, cache: Path) -> None:
    path = served.folder / "compact" / "head.npz"
    data = bytearray(path.read_bytes())
    data[1000] ^= 1
    path.write_bytes(data)
    with pytest.raises(BundleCorruptError, match=rf"head\.npz from {served.url}/compact: expected SHA-256"):
        open_bundle(f"{served.url}/compact", cache_dir=cache)
    assert_nothing_opens(cache)


def test_file_longer_than_listed_is_refused(served: FileServer, cache: Path) -> None:
    with (served.folder / "compact" / "labels.csv").open("ab") as file:
        file.write(b"x" * 1000)
    with pytest.raises(RemoteTooLongError, match=r"labels\.csv from .* must have at most"):
        open_bundle(f"{served.url}/compact", cache_dir=cache)
    assert_nothing_opens(cache)


def test_dropped_connection_leaves_no_bundle(served: FileServer, cache: Path) -> None:
    served.cut_after["/compact/embedding.tflite"] = 100_000
    with pytest.raises(TransferError, match=r"embedding\.tflite"):
        open_bundle(f"{served.url}/compact", cache_dir=cache)
    assert_nothing_opens(cache)
    served.cut_after.clear()
    open_bundle(f"{served.url}/compact", cache_dir=cache)


def test_files_are_downloaded_in_parallel(served: FileServer, cache: Path) -> None:
    served.delay_s = 0.05
    open_bundle(f"{served.url}/compact", cache_dir=cache)
    assert served.most_at_once >= 2


def test_other_downloads_are_cancelled_when_one_fails(served: FileServer, cache: Path) -> None:
    (served.folder / "compact" / "labels.csv").write_text("another")
    served.delay_s = 0.2
    begin = time.monotonic()
    with pytest.raises(BundleCorruptError, match=r"labels\.csv"):
        open_bundle(f"{served.url}/compact", cache_dir=cache)
    assert time.monotonic() - begin < 5, "a complete download takes 20 seconds"


@pytest.mark.parametrize("uri", ["https://[::1", "s3://[bad"])
def test_malformed_uri_is_refused(uri: str, cache: Path) -> None:
    with pytest.raises(InvalidParameterError, match="must be an https:// or s3:// URI"):
        open_bundle(uri, cache_dir=cache)


def test_redirect_to_malformed_url_is_refused(served: FileServer, cache: Path) -> None:
    served.redirects["/compact/manifest.json"] = "https://[bad/"
    with pytest.raises(TransferError, match="not a valid URL"):
        open_bundle(f"{served.url}/compact", cache_dir=cache)


@pytest.mark.parametrize(("name", "value"), [("AWS_PROFILE", "nobody"), ("AWS_ENDPOINT_URL", "nowhere")])
def test_invalid_aws_setting_is_reported_by_value(
    s3: Any, cache: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(TransferError, match=value):
        open_bundle("s3://models/some/where/", cache_dir=cache)


def test_request_is_retried_after_temporary_server_errors(served: FileServer, cache: Path) -> None:
    """The retry does not wait for the hour in the server's Retry-After header."""
    served.statuses["/compact/head.npz"] = [503, 429]
    open_bundle(f"{served.url}/compact", cache_dir=cache)
    assert served.requests.count("/compact/head.npz") == 3


def test_missing_file_is_reported_by_name(served: FileServer, cache: Path) -> None:
    (served.folder / "compact" / "head.npz").unlink()
    with pytest.raises(RemoteNotFoundError, match=r"head\.npz: HTTP status 404"):
        open_bundle(f"{served.url}/compact", cache_dir=cache)
    assert_nothing_opens(cache)


def test_uri_without_manifest_raises_bundle_not_found(served: FileServer, s3: Any, cache: Path) -> None:
    for uri in (f"{served.url}/nothing", "s3://models/nothing/", "s3://no-such-bucket/"):
        with pytest.raises(BundleNotFoundError, match=f"no model bundle at {uri}"):
            open_bundle(uri, cache_dir=cache)


def test_manifest_that_is_not_json_or_too_long_is_refused(served: FileServer, cache: Path) -> None:
    manifest = served.folder / "compact" / "manifest.json"
    manifest.write_text("<html>")
    with pytest.raises(BundleInvalidError, match="is invalid"):
        open_bundle(f"{served.url}/compact", cache_dir=cache)
    manifest.write_bytes(b" " * (2 << 20))
    with pytest.raises(BundleCorruptError, match="longer than"):
        open_bundle(f"{served.url}/compact", cache_dir=cache)


def test_manifest_with_path_outside_the_cache_is_refused(served: FileServer, cache: Path) -> None:
    manifest = served.folder / "compact" / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"path": "head.npz"', '"path": "../../head.npz"'))
    with pytest.raises(BundleInvalidError, match="plain file name"):
        open_bundle(f"{served.url}/compact", cache_dir=cache)


@pytest.mark.parametrize(
    "uri", ["http://localhost/x", "ftp://localhost/x", "file:///etc", "s3://", "https://"]
)
def test_uri_of_another_scheme_or_without_host_is_refused(uri: str, cache: Path) -> None:
    with pytest.raises(InvalidParameterError, match=f"must be an https:// or s3:// URI, got '{uri}'"):
        open_bundle(uri, cache_dir=cache)


def test_redirect_to_unencrypted_url_is_refused(served: FileServer, cache: Path) -> None:
    served.redirects["/compact/manifest.json"] = "http://127.0.0.1:1/manifest.json"
    with pytest.raises(TransferError, match="not encrypted"):
        open_bundle(f"{served.url}/compact", cache_dir=cache)


def test_redirect_to_encrypted_url_is_followed(served: FileServer, cache: Path) -> None:
    for name in NAMES:
        served.redirects[f"/latest/{name}"] = f"/compact/{name}"
    assert open_bundle(f"{served.url}/latest", cache_dir=cache).manifest.name == "compact"


def test_redirect_loop_ends_with_an_error(served: FileServer, cache: Path) -> None:
    served.redirects["/compact/manifest.json"] = "/compact/manifest.json"
    with pytest.raises(TransferError, match="more than 5 times"):
        open_bundle(f"{served.url}/compact", cache_dir=cache)


def test_server_with_untrusted_certificate_is_refused(
    served: FileServer, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SSL_CERT_FILE")
    with pytest.raises(TransferError, match="certificate"):
        open_bundle(f"{served.url}/compact", cache_dir=cache)


def test_s3_connection_error_raises_transfer_error(
    s3: Any, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    with pytest.raises(TransferError, match="Could not connect"):
        open_bundle("s3://models/some/where/", cache_dir=cache)


def open_in_subprocess(
    url: str, cache: Path, *, deadline_s: float | None = None, before: str = "", stderr: int | None = None
) -> subprocess.Popen[bytes]:
    """Open a bundle in another process."""
    code = f"""{before}
from pathlib import Path
from audio_classifier.hub.bundles import open_bundle
open_bundle({url!r}, cache_dir=Path({str(cache)!r}), deadline_s={deadline_s!r})
"""
    return subprocess.Popen([sys.executable, "-c", code], env=os.environ, stderr=stderr)


def test_concurrent_processes_download_once_and_all_succeed(served: FileServer, cache: Path) -> None:
    served.delay_s = 0.005
    processes = [open_in_subprocess(f"{served.url}/compact", cache) for _ in range(4)]
    assert [process.wait() for process in processes] == [0, 0, 0, 0]
    assert served.requests.count("/compact/embedding.tflite") == 1


def test_killed_process_leaves_no_bundle_and_does_not_block_others(served: FileServer, cache: Path) -> None:
    served.delay_s = 0.2
    process = open_in_subprocess(f"{served.url}/compact", cache)
    while "/compact/embedding.tflite" not in served.requests:
        time.sleep(0.01)
        assert process.poll() is None
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert_nothing_opens(cache)

    served.delay_s = 0
    bundle = open_bundle(f"{served.url}/compact", cache_dir=cache)
    left = [path.name for path in bundle.directory.parent.iterdir() if path.is_dir()]
    assert left == [bundle.digest], "files of the killed process are deleted"


@pytest.mark.parametrize("name", ["manifest.json", "head.npz"])
@pytest.mark.parametrize("part", ["header", "body"])
def test_server_that_sends_byte_by_byte_delays_until_the_deadline(
    served: FileServer, cache: Path, name: str, part: Literal["header", "body"]
) -> None:
    served.drip[f"/compact/{name}"] = part
    begin = time.monotonic()
    with pytest.raises(TransferError, match="took longer than 2 s: the server sends too slowly") as caught:
        open_bundle(f"{served.url}/compact", cache_dir=cache, deadline_s=2)
    assert 2 <= time.monotonic() - begin < 10
    assert "AUDIO_CLASSIFIER_DOWNLOAD_DEADLINE_S" in caught.value.hint
    assert_nothing_opens(cache)
    served.drip.clear()
    open_bundle(f"{served.url}/compact", cache_dir=cache, deadline_s=60)


def test_download_that_is_abandoned_at_the_deadline_does_not_keep_the_process_from_ending(
    served: FileServer, cache: Path
) -> None:
    served.drip["/compact/head.npz"] = "header"
    process = open_in_subprocess(f"{served.url}/compact", cache, deadline_s=1)
    assert process.wait(timeout=60) == 1


def test_wait_for_another_download_ends_at_the_deadline(served: FileServer, cache: Path) -> None:
    bundle = open_bundle(f"{served.url}/compact", cache_dir=cache)
    shutil.rmtree(bundle.directory)
    with (
        FileLock(f"{bundle.directory}.lock"),
        pytest.raises(TransferError, match="took longer than 1 s: another process holds"),
    ):
        open_bundle(f"{served.url}/compact", cache_dir=cache, deadline_s=1)
    open_bundle(f"{served.url}/compact", cache_dir=cache, deadline_s=60)


def test_file_in_place_of_the_cache_directory_is_reported(served: FileServer, cache: Path) -> None:
    cache.write_text("a file")
    with pytest.raises(BundleCacheError, match=f"cannot be stored in the cache {cache}") as caught:
        open_bundle(f"{served.url}/compact", cache_dir=cache)
    assert "AUDIO_CLASSIFIER_CACHE_DIR" in caught.value.hint


def test_file_in_place_of_the_lock_or_a_directory_that_is_not_writable_is_reported(
    served: FileServer, cache: Path
) -> None:
    bundle = open_bundle(f"{served.url}/compact", cache_dir=cache)
    shutil.rmtree(bundle.directory)
    Path(f"{bundle.directory}.lock").unlink(missing_ok=True)
    Path(f"{bundle.directory}.lock").mkdir()
    with pytest.raises(BundleCacheError):
        open_bundle(f"{served.url}/compact", cache_dir=cache, deadline_s=60)
    with pytest.raises(BundleCacheError):
        open_bundle(f"{served.url}/compact", cache_dir=Path("/proc/self"))


def test_full_disk_is_reported_and_leaves_no_files(served: FileServer, cache: Path) -> None:
    """A limit on the size of files stands for the disk: both fail in `write`."""
    limit = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))\n"
    process = open_in_subprocess(f"{served.url}/compact", cache, before=limit, stderr=subprocess.PIPE)
    _, errors = process.communicate(timeout=60)
    assert b"BundleCacheError: the bundle cannot be stored in the cache" in errors
    assert [path for path in (cache / "bundles").iterdir() if path.is_dir()] == []


@pytest.mark.parametrize("size", ["-1", "3000000000", "1" + "0" * 400, "1e300", "1.5", "NaN", "null"])
def test_manifest_with_a_false_size_is_refused_before_a_file_is_downloaded(
    served: FileServer, cache: Path, size: str
) -> None:
    manifest = served.folder / "compact" / "manifest.json"
    text, count = re.subn(r'"size": \d+', f'"size": {size}', manifest.read_text(), count=1)
    assert count == 1
    manifest.write_text(text)
    with pytest.raises(BundleInvalidError, match="files"):
        open_bundle(f"{served.url}/compact", cache_dir=cache)
    assert served.requests == ["/compact/manifest.json"]


def assert_nothing_opens(cache: Path) -> None:
    for manifest in cache.rglob("manifest.json"):
        with pytest.raises(BundleCorruptError):
            Bundle.open(manifest.parent)
