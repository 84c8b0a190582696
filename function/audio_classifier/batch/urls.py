"""Files on web servers as inputs of a batch."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, BinaryIO, Final, TypeAlias
from urllib.parse import SplitResult, urlsplit

from audio_classifier.audio.source import AudioSource
from audio_classifier.batch.contents import content_identity
from audio_classifier.errors import InvalidParameterError

WEB_SCHEMES: Final = ("http://", "https://")
SHOWN_DIGITS: Final = 16  # of the hash that stands for the query of a URL
MAX_SHOWN_CHARACTERS: Final = 200

Fetch: TypeAlias = Callable[[str], AbstractContextManager[BinaryIO]]
"""Downloads a file by its URL, and opens it.  Raises `TransferError` and OSError."""


@dataclass(frozen=True, slots=True)
class UrlInput:
    """A file on a web server, which is downloaded as a whole.

    Reports and results contain a hash instead of the URL's query, because that may be a signature.
    """

    url: str
    fetch: Fetch

    @property
    def name(self) -> str:
        parts = urlsplit(self.url)
        address = f"{parts.scheme}://{parts.netloc}{parts.path}"
        return f"{address}?sha256={_hash(parts.query)}" if parts.query else address

    @property
    def result_key(self) -> str:
        """The address below ``_url``, a folder for each scheme and server."""
        parts = urlsplit(self.url)
        key = f"_url/{parts.scheme}/{parts.netloc}{parts.path or '/'}"
        return f"{key}~{_hash(parts.query)}" if parts.query else key

    def open(self) -> AbstractContextManager[AudioSource]:
        return self.fetch(self.url)

    def identify(self, source: AudioSource) -> dict[str, Any]:
        return {"url": self.name, **content_identity(source)}


def is_url(name: str) -> bool:
    """Return whether a name is the URL of a file on a web server."""
    return name.lower().startswith(WEB_SCHEMES)


def url_input(name: str, fetch: Fetch | None) -> UrlInput:
    """Return the input of a URL; raises `InvalidParameterError` if it is invalid or cannot be fetched."""
    try:
        parts = urlsplit(name)
        is_valid = bool(parts.hostname) and parts.port != 0 and name.isprintable()
    except ValueError:  # brackets without an IPv6 address, or a port that is not a number
        parts, is_valid = SplitResult("", "", "", "", ""), False
    if parts.username is not None:
        raise InvalidParameterError(
            "FILE",
            "a URL must not contain a user name or password",
            hint="Download the file, or pipe it: curl --user NAME URL | audio-classifier classify -",
        )
    if not is_valid or fetch is None:
        shown = name.partition("?")[0][:MAX_SHOWN_CHARACTERS]
        raise InvalidParameterError("FILE", f"{shown!r} is not a URL that can be downloaded")
    return UrlInput(parts._replace(fragment="").geturl(), fetch)


def _hash(query: str) -> str:
    return hashlib.sha256(query.encode(errors="surrogatepass")).hexdigest()[:SHOWN_DIGITS]
