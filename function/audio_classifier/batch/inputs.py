"""Find the inputs of a batch: files, folders, standard input, objects in S3 and files on web servers.

They are found while the batch runs; only one folder's list, or one page of a bucket's, is held in memory.
"""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final, Protocol, TypeAlias

from audio_classifier.audio.source import AudioSource
from audio_classifier.batch.contents import content_identity
from audio_classifier.batch.suffixes import is_audio
from audio_classifier.batch.urls import Fetch, is_url, url_input
from audio_classifier.errors import (
    AudioClassifierError,
    InvalidParameterError,
    NoInputError,
    ObjectChangedError,
)
from audio_classifier.s3.errors import s3_errors
from audio_classifier.s3.location import S3Location
from audio_classifier.s3.objects import S3File

S3_SCHEME: Final = "s3://"
OUTSIDE: Final = "_root"  # the folder for results of files outside of the working folder


class AudioInput(Protocol):
    """A recording to classify; nothing of it is read before it is opened."""

    @property
    def name(self) -> str:
        """The name in messages and reports."""

    @property
    def result_key(self) -> str:
        """The path of the result, with slashes; unique among inputs."""

    def open(self) -> AbstractContextManager[AudioSource]:
        """Open the recording; all reads within the block are of one state of it.

        Raises
        ------
        OSError, TransferError
            If it cannot be opened, or changes meanwhile.
        """

    def identify(self, source: AudioSource) -> dict[str, Any]:
        """Identify the recording and its state, for a stored result.  May read all of the opened source."""


@dataclass(frozen=True, slots=True)
class UnusableInput:
    """A folder or prefix that holds no audio files or cannot be listed."""

    name: str
    error: AudioClassifierError | OSError


FoundInput: TypeAlias = AudioInput | UnusableInput


@dataclass(frozen=True, slots=True)
class FileInput:
    """A file, or standard input (``-``)."""

    name: str

    @property
    def result_key(self) -> str:
        """The path relative to the working folder; files outside of it are below `OUTSIDE`."""
        if self.name == "-":
            return "-"
        absolute, here = os.path.abspath(self.name), os.getcwd()
        inside = absolute.removeprefix(here.rstrip(os.sep) + os.sep)
        return Path(
            inside if inside != absolute else f"{OUTSIDE}{os.path.splitdrive(absolute)[1]}"
        ).as_posix()

    @contextmanager
    def open(self) -> Iterator[AudioSource]:
        if self.name == "-":
            yield standard_input()
            return
        with open(self.name, "rb") as file:
            if not file.seekable():
                yield file.read()
                return
            state = _state(file)
            try:
                yield file
            finally:
                if _state(file) != state:
                    raise ObjectChangedError(
                        "the file was modified while it was read",
                        hint="Try again when it is completely written.",
                    )

    def identify(self, source: AudioSource) -> dict[str, Any]:
        return {"file": self.result_key, **content_identity(source)}


@dataclass(frozen=True, slots=True)
class ObjectInput:
    """An object in S3, of which only the clip is downloaded."""

    location: S3Location
    client: Any

    @property
    def name(self) -> str:
        return self.location.uri

    @property
    def result_key(self) -> str:
        return f"{self.location.bucket}/{self.location.key}"

    def open(self) -> AbstractContextManager[AudioSource]:
        return S3File(self.client, self.location)

    def identify(self, source: AudioSource) -> dict[str, Any]:
        assert isinstance(source, S3File)
        return source.identity()


def path_of_key(result_key: str) -> str:
    """Return the path of a file, relative to the working folder or absolute, by the key of its result."""
    return result_key.removeprefix(OUTSIDE) if result_key.startswith(f"{OUTSIDE}/") else result_key


def is_single(name: str) -> bool:
    """Return whether a name refers to one input, instead of a folder or prefix."""
    if name.startswith(S3_SCHEME):
        return not _is_prefix(name)
    return name == "-" or not os.path.isdir(name)


def find_inputs(
    names: Iterable[str],
    client: Callable[[], Any],
    *,
    fetch: Fetch | None = None,
    skipped: Counter[str] | None = None,
) -> Iterator[FoundInput]:
    """Yield the inputs that are named, and those below the folders and prefixes that are named, in order.

    Parameters
    ----------
    names
        Files, folders, ``s3://bucket/key``, ``s3://bucket/prefix/``, URLs of files on web servers, or ``-``
        for standard input.
    client
        Returns a client of S3; called if a name is in S3.
    fetch
        Downloads a file by its URL; None if URLs are not accepted.
    skipped
        Counts the files that probably contain audio, but are not accepted, by suffix.

    Raises
    ------
    InvalidParameterError, TransferError
        When the iteration reaches an invalid URI, or a bucket that cannot be listed.
    """
    skipped = Counter() if skipped is None else skipped
    for name in names:
        if name.startswith(S3_SCHEME):
            if _is_prefix(name):
                yield from _below_prefix(name, client(), skipped)
            else:
                yield ObjectInput(S3Location.parse(name), client())
        elif is_url(name):
            yield url_input(name, fetch)
        elif is_single(name):
            yield FileInput(name)
        else:
            yield from _below_folder(name, skipped)


def standard_input() -> BinaryIO | bytes:
    """Return standard input; a pipe is read to its end."""
    return sys.stdin.buffer if sys.stdin.buffer.seekable() else sys.stdin.buffer.read()


def _state(file: BinaryIO) -> tuple[int, int]:
    status = os.fstat(file.fileno())
    return status.st_size, status.st_mtime_ns


def _is_prefix(uri: str) -> bool:
    return uri.endswith("/") or "/" not in uri.removeprefix(S3_SCHEME)


def _below_folder(folder: str, skipped: Counter[str]) -> Iterator[FoundInput]:
    """Yield audio files at any depth, in the order of their whole paths."""
    found = False
    waiting = [folder]  # files, and folders, which end with a separator
    while waiting:
        path = waiting.pop()
        if not path.endswith(os.sep) and path != folder:
            found = True
            yield FileInput(path)
            continue
        try:
            with os.scandir(path) as entries:
                names = sorted(name for entry in entries if (name := _audio_name(entry, skipped)))
        except OSError as error:
            found = True
            yield UnusableInput(path.rstrip(os.sep) or path, error)
            continue
        waiting.extend(os.path.join(path, name) for name in reversed(names))
    if not found:
        yield UnusableInput(folder, NoInputError("there are no audio files in this folder"))


def _audio_name(entry: os.DirEntry[str], skipped: Counter[str]) -> str:
    """Return the name of an audio file, or of a folder with a separator; empty for anything else."""
    if entry.is_dir(follow_symlinks=False):
        return entry.name + os.sep
    if entry.name.startswith(".") or not is_audio(entry.name, skipped):
        return ""
    # A pipe or a device may never end; a broken link is kept, so that it is reported.
    return entry.name if os.path.isfile(entry.path) or not os.path.exists(entry.path) else ""


def _below_prefix(uri: str, client: Any, skipped: Counter[str]) -> Iterator[FoundInput]:
    bucket, _, prefix = uri.removeprefix(S3_SCHEME).partition("/")
    if not bucket:
        raise InvalidParameterError("FILE", f"{uri!r} is not s3://bucket/prefix/")
    found = False
    for key in _list_keys(client, bucket, prefix):
        if is_audio(key, skipped):
            found = True
            yield ObjectInput(S3Location(bucket, key), client)
    if not found:
        yield UnusableInput(uri, NoInputError("there are no audio files below this prefix"))


def _list_keys(client: Any, bucket: str, prefix: str) -> Iterator[str]:
    pages = iter(client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix))
    while True:
        with s3_errors(f"{S3_SCHEME}{bucket}/"):
            page = next(pages, None)
        if page is None:
            return
        yield from (item["Key"] for item in page.get("Contents", ()))
