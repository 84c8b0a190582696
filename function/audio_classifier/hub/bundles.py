"""Open the built-in bundle, one in a directory, or one from https or S3, which is verified and cached."""

from __future__ import annotations

import hashlib
import os
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Final

from platformdirs import user_cache_path

from audio_classifier.assets import asset_path
from audio_classifier.errors import (
    BundleCorruptError,
    BundleError,
    BundleNotFoundError,
    RemoteNotFoundError,
    TransferError,
)
from audio_classifier.hub.remote import CONNECTIONS, Progress, Remote, download, is_remote, open_remote
from audio_classifier.model.bundle import (
    MANIFEST,
    MAX_MANIFEST_BYTES,
    Bundle,
    FileEntry,
    Manifest,
    atomic_directory,
)

COMPACT: Final = "compact"


def open_bundle(
    uri: str | os.PathLike[str], *, cache_dir: Path | None = None, progress: Progress | None = None
) -> Bundle:
    """Open a bundle by its URI, and verify it.

    Parameters
    ----------
    uri
        ``"compact"`` for the built-in bundle; a directory; or ``https://...`` or ``s3://bucket/prefix/``,
        below which the manifest and the files are stored (S3 needs the extra ``aws``).
    cache_dir
        Directory for remote bundles, each stored under the digest of its manifest; by default the user's
        cache directory.
    progress
        Called for every downloaded piece.

    Raises
    ------
    BundleNotFoundError, BundleInvalidError, BundleCorruptError
        If there is no bundle, or it fails the verification.
    TransferError
        If a remote bundle cannot be read now.
    """
    uri = os.fspath(uri)
    if uri == COMPACT:
        return Bundle.open(asset_path(f"bundles/{COMPACT}"))
    if not is_remote(uri):
        return Bundle.open(Path(uri))
    cache = cache_dir or user_cache_path("audio-classifier", appauthor=False)
    return _open_remote_bundle(open_remote(uri), cache / "bundles", progress)


def _open_remote_bundle(remote: Remote, cache: Path, progress: Progress | None) -> Bundle:
    from filelock import FileLock

    # The manifest is read every time, so that a changed bundle is noticed.
    data = _read_manifest(remote)
    manifest, digest = Manifest.parse(data, remote.uri), hashlib.sha256(data).hexdigest()
    directory = cache / digest
    try:
        return Bundle.open(directory)
    except BundleNotFoundError:
        cache.mkdir(parents=True, exist_ok=True)
    except BundleError:
        pass  # damaged after it was stored; replaced below
    with FileLock(cache / f"{digest}.lock"):  # one process downloads, the others wait
        try:
            return Bundle.open(directory)
        except BundleError:
            for leftover in (directory, *cache.glob(f".{digest}.*")):  # left by killed processes
                shutil.rmtree(leftover, ignore_errors=True)
        with atomic_directory(directory) as partial:
            _fetch(remote, manifest, partial, progress)
            (partial / MANIFEST).write_bytes(data)
    return Bundle(directory, manifest, digest)  # every file was verified while it was downloaded


def _read_manifest(remote: Remote) -> bytes:
    data = b""
    try:
        with remote.open(MANIFEST) as content:
            for chunk in content.chunks:
                data += chunk
                if len(data) > MAX_MANIFEST_BYTES:
                    raise BundleCorruptError(
                        f"{remote.uri}: {MANIFEST} is longer than {MAX_MANIFEST_BYTES} bytes"
                    )
    except RemoteNotFoundError as error:
        raise BundleNotFoundError(f"no model bundle at {remote.uri}: {error}", hint=error.hint) from error
    return data


def _fetch(remote: Remote, manifest: Manifest, directory: Path, progress: Progress | None) -> None:
    failed = threading.Event()

    def advance(name: str, count: int, size: int | None) -> None:
        if failed.is_set():
            raise TransferError(f"{name}: cancelled because the download of another file failed")
        if progress is not None:
            progress(name, count, size)

    def fetch(entry: FileEntry) -> None:
        digest = download(
            remote,
            entry.path,
            directory / entry.path,
            algorithm="sha256",
            max_bytes=entry.size,
            progress=advance,
        )
        if digest != entry.sha256:
            raise BundleCorruptError(
                f"{entry.path} from {remote.uri}: expected SHA-256 {entry.sha256} according to {MANIFEST}, "
                f"got {digest}",
                hint="It was damaged in transfer or at its source, or is being replaced: try again.",
            )

    with ThreadPoolExecutor(CONNECTIONS) as pool:
        downloads = [pool.submit(fetch, entry) for entry in manifest.files]
        try:
            for finished in as_completed(downloads):
                finished.result()
        except BaseException:
            failed.set()  # the pool waits for the other downloads, so they must stop
            raise
