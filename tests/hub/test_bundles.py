"""Remote bundles, fetched over a real TLS server and from a real S3."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from audio_classifier import AudioClassifier
from audio_classifier.errors import (
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
    """A server with the built-in bundle below ``/compact``."""
    shutil.copytree(compact, https_server.folder / "compact")
    return https_server


def test_a_bundle_is_fetched_once_and_then_kept(served: FileServer, cache: Path, compact: Path) -> None:
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


def test_a_bundle_from_s3_classifies(s3: Any, cache: Path, compact: Path, assets: Path) -> None:
    for name in NAMES:
        s3.upload_file(str(compact / name), "models", f"some/where/{name}")
    classifier = AudioClassifier.open("s3://models/some/where/", cache_dir=cache)
    assert "Rain" in [prediction.label for prediction in classifier.predict(assets / "rain.wav")]


def test_a_changed_bundle_is_noticed(served: FileServer, cache: Path) -> None:
    first = open_bundle(f"{served.url}/compact", cache_dir=cache)
    manifest = served.folder / "compact" / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"name": "compact"', '"name": "renamed"'))
    second = open_bundle(f"{served.url}/compact", cache_dir=cache)
    assert second.manifest.name == "renamed"
    assert first.directory.exists()


def test_a_damaged_copy_is_fetched_anew(served: FileServer, cache: Path) -> None:
    bundle = open_bundle(f"{served.url}/compact", cache_dir=cache)
    bundle.path("head.npz").write_bytes(b"damaged")
    assert open_bundle(f"{served.url}/compact", cache_dir=cache).arrays("head.npz")


def test_a_wrong_hash_names_the_file_and_the_source(served: FileServer, cache: Path) -> None:
    path = served.folder / "compact" / "head.npz"
    data = bytearray(path.read_bytes())
    data[1000] ^= 1
    path.write_bytes(data)
    with pytest.raises(BundleCorruptError, match=rf"head\.npz from {served.url}/compact: SHA-256"):
        open_bundle(f"{served.url}/compact", cache_dir=cache)
    assert_nothing_opens(cache)


def test_a_file_longer_than_listed_is_cut_short(served: FileServer, cache: Path) -> None:
    with (served.folder / "compact" / "labels.csv").open("ab") as file:
        file.write(b"x" * 1000)
    with pytest.raises(RemoteTooLongError, match=r"labels\.csv from .* is longer than"):
        open_bundle(f"{served.url}/compact", cache_dir=cache)
    assert_nothing_opens(cache)


def test_a_dropped_connection_leaves_nothing(served: FileServer, cache: Path) -> None:
    served.cut_after["/compact/embedding.tflite"] = 100_000
    with pytest.raises(TransferError, match=r"embedding\.tflite"):
        open_bundle(f"{served.url}/compact", cache_dir=cache)
    assert_nothing_opens(cache)
    served.cut_after.clear()
    open_bundle(f"{served.url}/compact", cache_dir=cache)


def test_files_are_fetched_side_by_side(served: FileServer, cache: Path) -> None:
    served.delay_s = 0.05
    open_bundle(f"{served.url}/compact", cache_dir=cache)
    assert served.most_at_once >= 2


def test_when_one_file_fails_the_others_are_given_up(served: FileServer, cache: Path) -> None:
    (served.folder / "compact" / "labels.csv").write_text("another")
    served.delay_s = 0.2
    begin = time.monotonic()
    with pytest.raises(BundleCorruptError, match=r"labels\.csv"):
        open_bundle(f"{served.url}/compact", cache_dir=cache)
    assert time.monotonic() - begin < 5, "the whole would take twenty seconds"


@pytest.mark.parametrize("place", ["https://[::1", "s3://[bad"])
def test_addresses_that_make_no_sense_are_refused(place: str, cache: Path) -> None:
    with pytest.raises(InvalidParameterError, match="not an address"):
        open_bundle(place, cache_dir=cache)


def test_a_redirect_that_makes_no_sense_is_refused(served: FileServer, cache: Path) -> None:
    served.redirects["/compact/manifest.json"] = "https://[bad/"
    with pytest.raises(TransferError, match="no address"):
        open_bundle(f"{served.url}/compact", cache_dir=cache)


@pytest.mark.parametrize(("name", "value"), [("AWS_PROFILE", "nobody"), ("AWS_ENDPOINT_URL", "nowhere")])
def test_settings_of_aws_that_make_no_sense_are_named(
    s3: Any, cache: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(TransferError, match=value):
        open_bundle("s3://models/some/where/", cache_dir=cache)


def test_a_server_that_stumbles_is_asked_again(served: FileServer, cache: Path) -> None:
    """Soon, whatever it says in Retry-After: an hour."""
    served.statuses["/compact/head.npz"] = [503, 429]
    open_bundle(f"{served.url}/compact", cache_dir=cache)
    assert served.requests.count("/compact/head.npz") == 3


def test_a_missing_file_is_named(served: FileServer, cache: Path) -> None:
    (served.folder / "compact" / "head.npz").unlink()
    with pytest.raises(RemoteNotFoundError, match=r"head\.npz: HTTP status 404"):
        open_bundle(f"{served.url}/compact", cache_dir=cache)
    assert_nothing_opens(cache)


def test_a_place_without_a_manifest_is_no_bundle(served: FileServer, s3: Any, cache: Path) -> None:
    for place in (f"{served.url}/nothing", "s3://models/nothing/", "s3://no-such-bucket/"):
        with pytest.raises(BundleNotFoundError, match="holds no model bundle"):
            open_bundle(place, cache_dir=cache)


def test_a_manifest_must_be_one_and_small(served: FileServer, cache: Path) -> None:
    manifest = served.folder / "compact" / "manifest.json"
    manifest.write_text("<html>")
    with pytest.raises(BundleInvalidError, match="is invalid"):
        open_bundle(f"{served.url}/compact", cache_dir=cache)
    manifest.write_bytes(b" " * (2 << 20))
    with pytest.raises(BundleCorruptError, match="longer than"):
        open_bundle(f"{served.url}/compact", cache_dir=cache)


def test_paths_of_a_manifest_cannot_leave_the_cache(served: FileServer, cache: Path) -> None:
    manifest = served.folder / "compact" / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"path": "head.npz"', '"path": "../../head.npz"'))
    with pytest.raises(BundleInvalidError, match="plain name"):
        open_bundle(f"{served.url}/compact", cache_dir=cache)


@pytest.mark.parametrize(
    "place", ["http://localhost/x", "ftp://localhost/x", "file:///etc", "s3://", "https://"]
)
def test_other_addresses_are_refused(place: str, cache: Path) -> None:
    with pytest.raises(InvalidParameterError, match="not an address that can be read"):
        open_bundle(place, cache_dir=cache)


def test_a_redirect_to_an_unencrypted_place_is_refused(served: FileServer, cache: Path) -> None:
    served.redirects["/compact/manifest.json"] = "http://127.0.0.1:1/manifest.json"
    with pytest.raises(TransferError, match="not encrypted"):
        open_bundle(f"{served.url}/compact", cache_dir=cache)


def test_a_redirect_to_an_encrypted_place_is_followed(served: FileServer, cache: Path) -> None:
    for name in NAMES:
        served.redirects[f"/latest/{name}"] = f"/compact/{name}"
    assert open_bundle(f"{served.url}/latest", cache_dir=cache).manifest.name == "compact"


def test_redirects_in_a_circle_end(served: FileServer, cache: Path) -> None:
    served.redirects["/compact/manifest.json"] = "/compact/manifest.json"
    with pytest.raises(TransferError, match="more than 5 times"):
        open_bundle(f"{served.url}/compact", cache_dir=cache)


def test_a_server_that_is_not_trusted_is_refused(
    served: FileServer, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SSL_CERT_FILE")
    with pytest.raises(TransferError, match="certificate"):
        open_bundle(f"{served.url}/compact", cache_dir=cache)


def test_s3_errors_that_may_pass_say_so(s3: Any, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    with pytest.raises(TransferError, match="Could not connect"):
        open_bundle("s3://models/some/where/", cache_dir=cache)


def fetch_elsewhere(url: str, cache: Path) -> subprocess.Popen[bytes]:
    """Fetch in a process of its own."""
    code = f"""
from pathlib import Path
from audio_classifier.hub.bundles import open_bundle
open_bundle({url!r}, cache_dir=Path({str(cache)!r}))
"""
    return subprocess.Popen([sys.executable, "-c", code], env=os.environ)


def test_processes_at_once_fetch_once_and_all_succeed(served: FileServer, cache: Path) -> None:
    served.delay_s = 0.005
    processes = [fetch_elsewhere(f"{served.url}/compact", cache) for _ in range(4)]
    assert [process.wait() for process in processes] == [0, 0, 0, 0]
    assert served.requests.count("/compact/embedding.tflite") == 1


def test_a_killed_process_leaves_nothing_and_blocks_nobody(served: FileServer, cache: Path) -> None:
    served.delay_s = 0.2
    process = fetch_elsewhere(f"{served.url}/compact", cache)
    while "/compact/embedding.tflite" not in served.requests:
        time.sleep(0.01)
        assert process.poll() is None
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert_nothing_opens(cache)

    served.delay_s = 0
    bundle = open_bundle(f"{served.url}/compact", cache_dir=cache)
    left = [path.name for path in bundle.directory.parent.iterdir() if path.is_dir()]
    assert left == [bundle.digest], "what the killed process had fetched should be gone"


def assert_nothing_opens(cache: Path) -> None:
    for manifest in cache.rglob("manifest.json"):
        with pytest.raises(BundleCorruptError):
            Bundle.open(manifest.parent)
