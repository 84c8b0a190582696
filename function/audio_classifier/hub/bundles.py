"""Open the built-in bundle, one in a directory, or one from https or S3, which is verified and cached."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Final

from platformdirs import user_cache_path

from audio_classifier.assets import asset_path
from audio_classifier.errors import (
    BundleCacheError,
    BundleCorruptError,
    BundleError,
    BundleNotFoundError,
    InvalidParameterError,
    RemoteNotFoundError,
    TransferError,
)
from audio_classifier.hub.deadline import Deadline, run_until
from audio_classifier.hub.remote import CONNECTIONS, Progress, Remote, download, is_remote, open_remote
from audio_classifier.model.bundle import Bundle, atomic_directory, require_manifest
from audio_classifier.model.manifest import MANIFEST, MAX_MANIFEST_BYTES, FileEntry, Manifest

COMPACT: Final = "compact"
DIGEST_SEPARATOR: Final = "#sha256="


def open_bundle(
    uri: str | os.PathLike[str],
    *,
    cache_dir: Path | None = None,
    progress: Progress | None = None,
    deadline_s: float | None = None,
) -> Bundle:
    """Open a bundle by its URI, and verify it.

    Parameters
    ----------
    uri
        ``"compact"`` for the built-in bundle; a directory; or ``https://...`` or ``s3://bucket/prefix/``,
        below which the manifest and the files are stored (S3 needs the extra ``aws``).  A remote URI may end
        with ``#sha256=`` and the bundle's digest, the SHA-256 of its manifest: another bundle is refused.
    cache_dir
        Directory for remote bundles, each stored under the digest of its manifest; by default the user's
        cache directory.
    progress
        Called for every downloaded piece.
    deadline_s
        Within how many seconds a remote bundle must be downloaded, including the wait for another process
        that downloads it; None for no limit as long as the server sends something every 60 s.

    Raises
    ------
    InvalidParameterError
        If a remote URI, or the digest in it, is invalid.
    BundleNotFoundError, BundleInvalidError, BundleCorruptError
        If there is no bundle, it fails the verification, or it has another digest than the URI.
    BundleCacheError
        If a remote bundle cannot be stored in the cache.
    TransferError
        If a remote bundle cannot be read now, or not before the deadline.
    """
    uri = os.fspath(uri)
    if uri == COMPACT:
        return Bundle.open(asset_path(f"bundles/{COMPACT}"))
    if not is_remote(uri):
        return Bundle.open(Path(uri))
    uri, digest = _without_digest(uri)
    cache = cache_dir or user_cache_path("audio-classifier", appauthor=False)
    deadline = Deadline(f"the download of {uri}", deadline_s)
    return _open_remote_bundle(open_remote(uri), digest, cache / "bundles", progress, deadline)


def require_local_bundle(uri: str) -> None:
    """Check that a bundle exists, without reading its files; a remote one is not looked up.

    Raises
    ------
    BundleNotFoundError
        If it is the path of a directory without a manifest.
    """
    if uri != COMPACT and not is_remote(uri):
        require_manifest(Path(uri))


def _without_digest(uri: str) -> tuple[str, str | None]:
    """Split a URI into the address of a bundle and the digest that the bundle must have."""
    uri, separator, digest = uri.partition(DIGEST_SEPARATOR)
    if not separator:
        return uri, None
    if not re.fullmatch("[0-9a-fA-F]{64}", digest):
        raise InvalidParameterError(
            "uri",
            f"{DIGEST_SEPARATOR} must be followed by 64 hexadecimal digits, got {digest!r:.80}",
            hint="`audio-classifier bundle show` prints the digest of a bundle.",
        )
    return uri, digest.lower()


def _open_remote_bundle(
    remote: Remote, digest: str | None, cache: Path, progress: Progress | None, deadline: Deadline
) -> Bundle:
    # The manifest is read every time, so that a changed bundle is noticed.
    stop = threading.Event()
    (data,) = run_until(deadline, [lambda: _read_manifest(remote, stop)], threads=1, stop=stop)
    actual = hashlib.sha256(data).hexdigest()
    if digest not in (None, actual):
        raise BundleCorruptError(
            f"the bundle at {remote.uri} must have the digest {digest}, got {actual}",
            hint="The bundle was replaced: check it, then change the digest in its URI.",
        )
    with _cache_errors(cache):
        return _open_cached(remote, data, cache, progress, deadline)


@contextmanager
def _cache_errors(cache: Path) -> Iterator[None]:
    """Translate errors of the file system; those of servers are translated already."""
    try:
        yield
    except OSError as error:
        raise BundleCacheError(
            f"the bundle cannot be stored in the cache {cache}: {error.strerror or error}"
        ) from error


def _open_cached(
    remote: Remote, data: bytes, cache: Path, progress: Progress | None, deadline: Deadline
) -> Bundle:
    """Open the bundle with this manifest from the cache; download it before if it is not there."""
    manifest, digest = Manifest.parse(data, remote.uri), hashlib.sha256(data).hexdigest()
    directory = cache / digest
    try:
        return Bundle.open(directory)
    except BundleNotFoundError:
        cache.mkdir(parents=True, exist_ok=True)
    except BundleError:
        pass  # damaged after it was stored; replaced below
    with _lock(cache / f"{digest}.lock", deadline):  # one process downloads, the others wait
        try:
            return Bundle.open(directory)
        except BundleError:
            for leftover in (directory, *cache.glob(f".{digest}.*")):  # left by killed processes
                shutil.rmtree(leftover, ignore_errors=True)
        with atomic_directory(directory) as incomplete:
            _fetch(remote, manifest, incomplete, progress, deadline)
            (incomplete / MANIFEST).write_bytes(data)
    return Bundle(directory, manifest, digest)  # every file was verified while it was downloaded


@contextmanager
def _lock(path: Path, deadline: Deadline) -> Iterator[None]:
    from filelock import FileLock, Timeout

    lock, remaining_s = FileLock(path), deadline.remaining_s
    try:
        lock.acquire(timeout=-1 if remaining_s is None else remaining_s)
    except Timeout as error:
        raise deadline.error(f"another process holds {path}") from error
    try:
        yield
    finally:
        lock.release()


def _read_manifest(remote: Remote, stop: threading.Event) -> bytes:
    data = b""
    try:
        with remote.open(MANIFEST) as content:
            for chunk in content.chunks:
                data += chunk
                if stop.is_set():
                    raise TransferError(f"{remote.uri}: the download of {MANIFEST} was cancelled")
                if len(data) > MAX_MANIFEST_BYTES:
                    raise BundleCorruptError(
                        f"{remote.uri}: {MANIFEST} is longer than {MAX_MANIFEST_BYTES} bytes"
                    )
    except RemoteNotFoundError as error:
        raise BundleNotFoundError(f"no model bundle at {remote.uri}: {error}", hint=error.hint) from error
    return data


def _fetch(
    remote: Remote, manifest: Manifest, directory: Path, progress: Progress | None, deadline: Deadline
) -> None:
    stop = threading.Event()

    def advance(name: str, count: int, size: int | None) -> None:
        if stop.is_set():
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

    tasks: list[Callable[[], None]] = [partial(fetch, entry) for entry in manifest.files]
    run_until(deadline, tasks, threads=CONNECTIONS, stop=stop)
