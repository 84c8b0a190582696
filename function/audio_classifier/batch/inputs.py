"""What the command line is given -> the sounds in it: files, folders, standard input, objects in S3.

They are found while they are worked on: what is held at a time is one folder's list, or one page of a
bucket's.
"""

from __future__ import annotations

import hashlib
import io
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final, Protocol, TypeAlias

from audio_classifier.audio.source import AudioSource
from audio_classifier.errors import (
    InvalidParameterError,
    ObjectChangedError,
    RemoteNotFoundError,
    TransferError,
)
from audio_classifier.inference.record import source_of
from audio_classifier.s3.client import http_status
from audio_classifier.s3.objects import ObjectRef, S3File

S3_SCHEME: Final = "s3://"
# What a folder or a bucket is searched for; what is named itself is tried whatever it is called.
AUDIO_SUFFIXES: Final = (
    *(".aif", ".aifc", ".aiff", ".au", ".caf", ".flac", ".mp3", ".oga", ".ogg", ".opus"),
    *(".rf64", ".snd", ".w64", ".wav", ".wave"),
)

Facts: TypeAlias = dict[str, Any]
"""Which sound it is, in which state, as it stands in a stored result."""


class Sound(Protocol):
    """One input; nothing of it is read before it is opened."""

    @property
    def name(self) -> str:
        """As people are told."""

    @property
    def place(self) -> str:
        """A path of its own, with slashes, for its result."""

    def opened(self) -> AbstractContextManager[AudioSource]:
        """To classify it: all that is read of it meanwhile is of one state of it.

        Raises
        ------
        OSError, TransferError
            If it cannot be opened, or changed meanwhile.
        """

    def facts(self, source: AudioSource) -> Facts:
        """Of what was opened.  May read all of it."""


@dataclass(frozen=True, slots=True)
class FileSound:
    """A file, a folder without sounds, or standard input (``-``)."""

    name: str

    @property
    def place(self) -> str:
        """Relative to the working folder; what lies outside of it stands below ``_root``."""
        if self.name == "-":
            return "-"
        absolute, here = os.path.abspath(self.name), os.getcwd()
        inside = absolute.removeprefix(here.rstrip(os.sep) + os.sep)
        return Path(inside if inside != absolute else f"_root{os.path.splitdrive(absolute)[1]}").as_posix()

    @contextmanager
    def opened(self) -> Iterator[AudioSource]:
        if self.name == "-":
            yield standard_input()
            return
        if os.path.isdir(self.name):
            os.listdir(self.name)  # says so itself if it may not be read
            raise FileNotFoundError(None, "there are no sound files in this folder")
        with open(self.name, "rb") as file:
            if not file.seekable():
                yield file.read()
                return
            state = _state(file)
            try:
                yield file
            finally:
                if _state(file) != state:
                    raise ObjectChangedError("it was written to while it was read", hint="Try again later.")

    def facts(self, source: AudioSource) -> Facts:
        file: Any = io.BytesIO(source) if isinstance(source, bytes) else source
        file.seek(0)
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        return {"file": self.place, "size": file.seek(0, os.SEEK_END), "sha256": sha256}


@dataclass(frozen=True, slots=True)
class ObjectSound:
    """An object in S3, of which only the window is fetched."""

    ref: ObjectRef
    client: Any

    @property
    def name(self) -> str:
        return str(self.ref)

    @property
    def place(self) -> str:
        return f"{self.ref.bucket}/{self.ref.key}"

    def opened(self) -> AbstractContextManager[AudioSource]:
        return S3File(self.client, self.ref)

    def facts(self, source: AudioSource) -> Facts:
        assert isinstance(source, S3File)
        return source_of(source)


@dataclass(frozen=True, slots=True)
class EmptyPrefix:
    """A prefix in S3 below which there is no sound: stands for itself, and cannot be opened."""

    name: str
    place: str = ""

    def opened(self) -> AbstractContextManager[AudioSource]:
        raise RemoteNotFoundError("there are no sound files below this prefix")

    def facts(self, source: AudioSource) -> Facts:
        raise NotImplementedError(source)


def is_single(name: str) -> bool:
    """Whether this names one sound, rather than a place with any number of them."""
    if name.startswith(S3_SCHEME):
        return not _is_prefix(name)
    return name == "-" or not os.path.isdir(name)


def find_sounds(names: Iterable[str], client: Callable[[], Any]) -> Iterator[Sound]:
    """The sounds named, and those below the folders and prefixes named, each one's in order.

    A folder or prefix that holds none stands for itself, as does a folder that may not be read.

    Parameters
    ----------
    client
        Gives a client of S3; called if there is an address in S3.

    Raises
    ------
    InvalidParameterError, TransferError
        When it gets there: an address that is none, a bucket that cannot be listed.
    """
    for name in names:
        if name.startswith(S3_SCHEME):
            if _is_prefix(name):
                yield from _below_prefix(name, client())
            else:
                yield ObjectSound(ObjectRef.parse(name), client())
        elif is_single(name):
            yield FileSound(name)
        else:
            yield from _below_folder(name)


def standard_input() -> BinaryIO | bytes:
    """Standard input, read to its end if it is a pipe."""
    return sys.stdin.buffer if sys.stdin.buffer.seekable() else sys.stdin.buffer.read()


def _state(file: BinaryIO) -> tuple[int, int]:
    status = os.fstat(file.fileno())
    return status.st_size, status.st_mtime_ns


def _is_sound(name: str) -> bool:
    return name.lower().endswith(AUDIO_SUFFIXES)


def _is_prefix(uri: str) -> bool:
    return uri.endswith("/") or "/" not in uri.removeprefix(S3_SCHEME)


def _below_folder(folder: str) -> Iterator[Sound]:
    """Sound files at any depth, in the order of their whole paths."""
    found = False
    waiting = [folder]
    while waiting:
        path = waiting.pop()
        if not path.endswith(os.sep) and path != folder:
            found = True
            yield FileSound(path)
            continue
        try:
            with os.scandir(path) as entries:
                names = sorted(name for entry in entries if (name := _searched(entry)))
        except OSError:
            found = True
            yield FileSound(path.rstrip(os.sep) or path)
            continue
        waiting.extend(os.path.join(path, name) for name in reversed(names))
    if not found:
        yield FileSound(folder)


def _searched(entry: os.DirEntry[str]) -> str:
    """The name of a sound file, or of a folder with a slash behind it, which is how they are sorted."""
    if entry.is_dir(follow_symlinks=False):
        return entry.name + os.sep
    if not _is_sound(entry.name) or entry.name.startswith("."):
        return ""
    # A pipe or a device may never end; a link to nowhere is tried, so that it is said.
    return entry.name if os.path.isfile(entry.path) or not os.path.exists(entry.path) else ""


def _below_prefix(uri: str, client: Any) -> Iterator[Sound]:
    from botocore.exceptions import BotoCoreError, ClientError

    bucket, _, prefix = uri.removeprefix(S3_SCHEME).partition("/")
    if not bucket:
        raise InvalidParameterError("FILE", f"{uri!r} is not s3://bucket/prefix/")
    found = False
    try:
        for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
            for item in page.get("Contents", ()):
                if _is_sound(item["Key"]):
                    found = True
                    yield ObjectSound(ObjectRef(bucket, item["Key"]), client)
    except (BotoCoreError, ClientError) as error:
        kind = RemoteNotFoundError if http_status(error) == 404 else TransferError
        raise kind(f"{uri} cannot be listed: {error}") from error
    if not found:
        yield EmptyPrefix(uri)
