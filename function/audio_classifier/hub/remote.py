"""Stream remote files from web servers or S3, and hash them and limit their size while they arrive."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeAlias
from urllib.parse import quote, urljoin, urlsplit, urlunsplit

from audio_classifier.errors import (
    AccessDeniedError,
    InvalidParameterError,
    RemoteNotFoundError,
    RemoteTooLongError,
    TransferError,
)
from audio_classifier.s3.client import s3_client
from audio_classifier.s3.errors import s3_errors

if TYPE_CHECKING:
    import urllib3

Progress: TypeAlias = Callable[[str, int, int | None], None]
"""Called with a file's name, the number of bytes that arrived, and the file's size if it is known."""

CHUNK_BYTES: Final = 1 << 20
CONNECT_TIMEOUT_S: Final = 10
READ_TIMEOUT_S: Final = 60  # between two pieces; `deadline.run_until` bounds the whole
CONNECTIONS: Final = 4
RETRIES: Final = 3
MAX_REDIRECTS: Final = 5


@dataclass(frozen=True, slots=True)
class Content:
    """The pieces of a remote file, and its size in bytes if the server states it."""

    chunks: Iterator[bytes]
    size: int | None


class Remote(Protocol):
    """A remote location that contains files under relative paths."""

    uri: str

    def open(self, path: str) -> AbstractContextManager[Content]:
        """Open one file; the path ``""`` refers to the URI itself.

        Raises
        ------
        RemoteNotFoundError, TransferError
            Also while the pieces are read.
        """


def is_remote(uri: str) -> bool:
    """Return whether this is a URI instead of a path."""
    return "://" in uri


def open_remote(uri: str) -> Remote:
    """Return the remote location of an ``https://`` or ``s3://`` URI.

    Raises
    ------
    InvalidParameterError
        If the URI is invalid or has another scheme.
    """
    try:
        parts = urlsplit(uri)
    except ValueError:  # invalid IPv6 address in brackets
        parts = urlsplit("")
    if parts.scheme == "https" and parts.hostname:
        return WebRemote(uri)
    if parts.scheme == "s3" and parts.netloc:
        return S3Remote(uri)
    raise InvalidParameterError(
        "uri",
        f"must be an https:// or s3:// URI, got {uri!r}",
        hint="Use https://... or s3://bucket/prefix/.",
    )


def download(
    remote: Remote,
    path: str,
    target: Path,
    *,
    algorithm: str,
    max_bytes: int,
    progress: Progress | None = None,
) -> str:
    """Download a remote file to ``target`` and return its hash in hexadecimal.

    Raises
    ------
    TransferError
        If it cannot be read; `RemoteTooLongError` if it is longer than ``max_bytes``.
    """
    digest, count = hashlib.new(algorithm), 0
    with target.open("wb") as file, remote.open(path) as content:
        for chunk in content.chunks:
            count += len(chunk)
            if max(count, content.size or 0) > max_bytes:
                raise RemoteTooLongError(
                    f"{target.name} from {remote.uri} must have at most {max_bytes} bytes"
                )
            digest.update(chunk)
            file.write(chunk)
            if progress is not None:
                progress(target.name, len(chunk), content.size)
    return digest.hexdigest()


class WebRemote:
    """Files below an ``https://`` or ``http://`` URI; proxies are taken from the environment.

    Messages contain URLs without user names, passwords and queries, which may be signatures.
    """

    def __init__(self, uri: str) -> None:
        from urllib.request import getproxies, proxy_bypass

        import urllib3

        self._uri = uri
        self.uri = _public(uri)
        parts = urlsplit(uri)
        settings: dict[str, Any] = {
            "maxsize": CONNECTIONS,
            "timeout": urllib3.Timeout(connect=CONNECT_TIMEOUT_S, read=READ_TIMEOUT_S),
            "retries": urllib3.Retry(
                RETRIES,
                backoff_factor=0.3,
                status_forcelist=(429, 500, 502, 503, 504),
                respect_retry_after_header=False,  # a server must not delay a cold start
            ),
        }
        proxy = None if proxy_bypass(parts.hostname or "") else getproxies().get(parts.scheme)
        self._pool = urllib3.ProxyManager(proxy, **settings) if proxy else urllib3.PoolManager(**settings)

    @contextmanager
    def open(self, path: str) -> Iterator[Content]:
        import urllib3

        url = _join(self._uri, quote(path))
        shown = _public(url)
        try:
            with self._get(url) as response:
                if response.status in (401, 403, 404, 410):
                    raise RemoteNotFoundError(f"{shown}: HTTP status {response.status}")
                if response.status != 200:
                    raise TransferError(f"{shown}: HTTP status {response.status}")
                # `read1` returns what has arrived: a slow server cannot delay the check for cancellation.
                yield Content(iter(partial(response.read1, CHUNK_BYTES), b""), response.length_remaining)
        except urllib3.exceptions.LocationParseError as error:
            raise TransferError(f"{shown} is not a valid URL, or redirects to one that is not") from error
        except urllib3.exceptions.HTTPError as error:
            reason = getattr(error, "reason", None) or error  # the cause of the last attempt's failure
            raise TransferError(
                f"{shown}: {re.sub(r'^HTTPS?Connection.*?[)]: ', '', str(reason))}"
            ) from error

    def _get(self, url: str) -> urllib3.BaseHTTPResponse:
        """Request a URL, following redirects, but not from an encrypted to an unencrypted URL."""
        target, shown = url, _public(url)
        for _ in range(MAX_REDIRECTS + 1):
            response = self._pool.request(
                "GET", target, redirect=False, preload_content=False, headers={"Accept-Encoding": "identity"}
            )
            location = response.get_redirect_location()
            if not location:
                return response
            response.close()
            scheme = urlsplit(target).scheme
            try:
                target = urljoin(target, location)
                new_scheme = urlsplit(target).scheme
            except ValueError as error:
                raise TransferError(f"{shown} redirects to something that is not a valid URL") from error
            if new_scheme not in (scheme, "https"):
                raise TransferError(f"{shown} redirects to {_public(target)}, which is not encrypted")
        raise TransferError(f"{shown} redirects more than {MAX_REDIRECTS} times")


class S3Remote:
    """Objects below ``s3://bucket/prefix/``; credentials and endpoint are taken from the environment."""

    def __init__(self, uri: str) -> None:
        self.uri = uri
        parts = urlsplit(uri)
        self._bucket, self._prefix = parts.netloc, parts.path.lstrip("/")
        self._client = s3_client()

    @contextmanager
    def open(self, path: str) -> Iterator[Content]:
        key = _join(self._prefix, path)
        uri = f"s3://{self._bucket}/{key}"
        try:
            with s3_errors(uri):
                response = self._client.get_object(Bucket=self._bucket, Key=key)
        except AccessDeniedError as error:
            raise RemoteNotFoundError(f"{uri} may not be read", hint=error.hint) from error
        with closing(response["Body"]) as body:
            yield Content(_chunks(body, uri), response["ContentLength"])


def _chunks(body: Any, uri: str) -> Iterator[bytes]:
    """Yield an object's pieces; only errors of S3 are translated, not those of the consumer."""
    chunks = iter(body.iter_chunks(CHUNK_BYTES))
    while True:
        with s3_errors(uri):
            chunk = next(chunks, None)
        if chunk is None:
            return
        yield chunk


def _public(url: str) -> str:
    """Return a URL without the parts that may be secrets."""
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def _join(base: str, path: str) -> str:
    if not path:
        return base
    return f"{base.rstrip('/')}/{path}" if base else path
