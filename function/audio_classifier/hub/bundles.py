"""Where bundles come from: built in, a directory, https or S3.  Remote ones are checked and cached."""

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
from audio_classifier.model.bundle import MANIFEST, MAX_MANIFEST_BYTES, Bundle, FileEntry, Manifest, appearing

COMPACT: Final = "compact"


def open_bundle(
    place: str | os.PathLike[str], *, cache_dir: Path | None = None, progress: Progress | None = None
) -> Bundle:
    """Open a bundle, verified, wherever it is.

    Parameters
    ----------
    place
        ``"compact"``, which is built in; a directory; ``https://...`` or ``s3://bucket/prefix/``, below
        which the manifest and the files are (S3 needs the extra ``aws``).
    cache_dir
        Where remote bundles are kept, by the digest of their manifest; the user's cache directory if left
        out.
    progress
        Told of every piece that is downloaded.

    Raises
    ------
    BundleNotFoundError, BundleInvalidError, BundleCorruptError
        If there is no bundle, or what is there must not be loaded.
    TransferError
        If a remote place cannot be read now.
    """
    place = os.fspath(place)
    if place == COMPACT:
        return Bundle.open(asset_path(f"bundles/{COMPACT}"))
    if not is_remote(place):
        return Bundle.open(Path(place))
    cache = cache_dir or user_cache_path("audio-classifier", appauthor=False)
    return _open_remote_bundle(open_remote(place), cache / "bundles", progress)


def _open_remote_bundle(remote: Remote, cache: Path, progress: Progress | None) -> Bundle:
    from filelock import FileLock

    # The manifest is read anew each time, so that a changed bundle is noticed.
    data = _read_manifest(remote)
    manifest, digest = Manifest.parse(data, remote.uri), hashlib.sha256(data).hexdigest()
    directory = cache / digest
    try:
        return Bundle.open(directory)
    except BundleNotFoundError:
        cache.mkdir(parents=True, exist_ok=True)
    except BundleError:
        pass  # damaged since it was stored: replaced below
    with FileLock(cache / f"{digest}.lock"):  # one process fetches, the others wait for it
        try:
            return Bundle.open(directory)
        except BundleError:
            for leftover in (directory, *cache.glob(f".{digest}.*")):  # of processes that were killed
                shutil.rmtree(leftover, ignore_errors=True)
        with appearing(directory) as partial:
            _fetch(remote, manifest, partial, progress)
            (partial / MANIFEST).write_bytes(data)
    return Bundle(directory, manifest, digest)  # every file was hashed as it arrived


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
        raise BundleNotFoundError(f"{remote.uri} holds no model bundle: {error}", hint=error.hint) from error
    return data


def _fetch(remote: Remote, manifest: Manifest, directory: Path, progress: Progress | None) -> None:
    failed = threading.Event()

    def advance(name: str, count: int, size: int | None) -> None:
        if failed.is_set():
            raise TransferError(f"{name}: given up, because another file failed")
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
                f"{entry.path} from {remote.uri}: SHA-256 is {digest}, not {entry.sha256} as {MANIFEST} says",
                hint="It was damaged on the way or at its source, or is being replaced just now: try again.",
            )

    with ThreadPoolExecutor(CONNECTIONS) as pool:
        downloads = [pool.submit(fetch, entry) for entry in manifest.files]
        try:
            for finished in as_completed(downloads):
                finished.result()
        except BaseException:
            failed.set()  # the pool waits for the others, so they must stop
            raise
