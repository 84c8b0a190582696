"""Call FFmpeg through PyAV (the extra ``formats``) for one file, without losing the file's exceptions.

FFmpeg reads nothing but this file: the caller chooses the demuxer instead of FFmpeg's probing, and any other
file or address that the file names is refused.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from importlib.util import find_spec
from types import ModuleType
from typing import TYPE_CHECKING, Final

from audio_classifier.audio.demuxers import DECODERS, Demuxer
from audio_classifier.audio.source import GuardedFile, ReadLimitError, T
from audio_classifier.errors import MissingExtraError

if TYPE_CHECKING:
    from av.container import InputContainer

PROBE_BYTES: Final = 1 << 20  # to find the streams; FFmpeg's default is 5 MB


@cache
def is_ffmpeg_installed() -> bool:
    """Return whether the extra ``formats`` is installed; PyAV is not imported."""
    return find_spec("av") is not None


class FFmpegError(Exception):
    """A call of FFmpeg failed; the message is its reason."""


class FFmpegLimitError(FFmpegError):
    """FFmpeg reads more of the file than it may."""


class FFmpegLibrary:
    """PyAV for one file.

    Parameters
    ----------
    source
        The file.  Its exceptions are raised unchanged.
    demuxer
        The format of the container.

    Attributes
    ----------
    av
        The module.

    Raises
    ------
    MissingExtraError
        If PyAV is not installed.
    """

    def __init__(self, source: GuardedFile, demuxer: Demuxer) -> None:
        self.av = _load_av(demuxer)
        self._source = source
        self._demuxer = demuxer

    def open(self) -> InputContainer:
        """Open the file at its beginning."""
        self._source.seek(0)
        return self.call(self._open)

    def call(self, call: Callable[[], T]) -> T:
        """Call PyAV, and raise its failures as `FFmpegError`."""

        def translated() -> T:
            try:
                return call()
            except self.av.FFmpegError as error:
                raise FFmpegError(error.strerror or type(error).__name__) from error
            except (MemoryError, OverflowError, RuntimeError, ValueError) as error:
                raise FFmpegError(str(error) or type(error).__name__) from error

        try:
            return self._source.guard(translated)
        except ReadLimitError as error:
            raise FFmpegLimitError("the file contains too much data without audio") from error

    def _open(self) -> InputContainer:
        container: InputContainer = self.av.open(
            _ReadableFile(self._source),
            "r",
            format=self._demuxer.name,
            container_options={
                "codec_whitelist": ",".join(DECODERS),
                "format_whitelist": self._demuxer.name,
                "probesize": str(PROBE_BYTES),
                "protocol_whitelist": "none",
            },
            metadata_errors="replace",
            io_open=_refuse,
        )
        return container


class _ReadableFile:
    """A `GuardedFile` with the interface that PyAV needs."""

    def __init__(self, source: GuardedFile) -> None:
        self._source = source
        self.seek = source.seek
        self.tell = source.tell

    def read(self, size: int) -> bytes:
        data = bytearray(size)
        return bytes(data[: self._source.readinto(data)])


def _load_av(demuxer: Demuxer) -> ModuleType:
    try:
        import av
        import av.stream
    except ImportError as error:
        raise MissingExtraError(f"reading {demuxer.format} files", "formats") from error
    return av


def _refuse(address: str, *_: object) -> None:
    """Refuse to open a file or address that a container names."""
    raise ValueError(f"it refers to another file, {address!r}, which is not read")
