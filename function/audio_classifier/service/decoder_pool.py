"""Decode untrusted recordings in processes of their own, so that a crash is an error of one recording."""

from __future__ import annotations

import weakref
from collections.abc import Generator
from contextlib import closing, suppress
from dataclasses import asdict
from multiprocessing.connection import Connection
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from audio_classifier import errors
from audio_classifier.audio.channels import Channel
from audio_classifier.audio.front_end import VGGISH, FrontEnd
from audio_classifier.audio.info import AudioInfo
from audio_classifier.audio.source import AudioSource, FetchingFile, SeekableFile, opened, read_at, size_of
from audio_classifier.audio.warnings import AudioWarning
from audio_classifier.errors import (
    AudioClassifierError,
    BusyError,
    DecoderCrashError,
    DecodingLimitError,
    InvalidParameterError,
)
from audio_classifier.inference.blocks import Block, BlockObserver
from audio_classifier.inference.clip import PreparedClip
from audio_classifier.service.cancellation import CheckedFile
from audio_classifier.service.decoder_process import receive, send
from audio_classifier.service.decoder_workers import WorkerProcesses

HEAD_BYTES: Final = 4 << 20  # sent with the request, so that short recordings need no further messages
CHECK_S: Final = 0.1
MAX_READ_BYTES: Final = 8 << 20
ERRORS: Final[dict[str, type[AudioClassifierError]]] = {
    cls.code: cls
    for cls in vars(errors).values()
    if isinstance(cls, type) and issubclass(cls, AudioClassifierError)
}


class DecoderPool:
    """A `Decoder` whose recordings are decoded in worker processes.

    Parameters
    ----------
    max_idle
        How many workers wait for their next recording; more are forked while they are needed.
    """

    def __init__(self, max_idle: int) -> None:
        self._workers = WorkerProcesses(max_idle)
        self.close = weakref.finalize(self, self._workers.close)
        """End the processes, at the latest when the pool is garbage or the program ends."""

    def start(self) -> None:
        """Start the processes before the first recording arrives; do nothing if they were ended."""
        with suppress(BusyError), self._workers.worker():
            pass

    def clip(
        self,
        source: AudioSource,
        *,
        front_end: FrontEnd = VGGISH,
        start_s: float,
        channel: Channel = None,
        on_block: BlockObserver | None = None,
    ) -> PreparedClip:
        request = {
            "front_end": asdict(front_end),
            "kind": "clip",
            "start_s": start_s,
            "channel": channel,
            "with_samples": on_block is not None,
        }
        clip: PreparedClip | None = None
        for header, *parts in self._messages(source, request):
            if "audio" in header:
                clip = _clip(header, parts, front_end)
            elif on_block is not None:
                on_block(_block(header, parts, front_end))
        if clip is None:
            raise _crash("sent no clip")
        return clip

    def blocks(
        self, source: AudioSource, *, front_end: FrontEnd = VGGISH, channel: Channel = None
    ) -> Generator[Block | AudioWarning, None, None]:
        request = {"kind": "blocks", "front_end": asdict(front_end), "channel": channel}
        with closing(self._messages(source, request)) as messages:
            for header, *parts in messages:
                if "warning" in header:
                    yield _warning(header["warning"])
                else:
                    yield _block(header, parts, front_end)

    def _messages(
        self, source: AudioSource, request: dict[str, Any]
    ) -> Generator[tuple[Any, ...], None, None]:
        """Yield what a worker sends about a recording, and serve its reads."""
        with opened(source) as file, self._workers.worker() as worker:
            connection = worker.connection
            size = size_of(file)
            head = b"" if isinstance(file, FetchingFile) else read_at(file, 0, min(size, HEAD_BYTES))
            reads = _Reads(connection, file)
            try:
                worker.is_idle = False
                send(connection, {**request, "size": size}, head)
                while True:
                    header, *parts = _receive(connection, file)
                    if "read" in header:
                        reads.serve(header)
                    elif "failed" in header:
                        worker.is_idle = True
                        raise reads.failure or _error(header)
                    elif "done" in header:
                        worker.is_idle = True
                        return
                    else:
                        yield header, *parts
            except (EOFError, ConnectionError) as error:
                raise _crash("ended") from error
            except (KeyError, ValueError) as error:
                raise _crash("sent a malformed message") from error


class _Reads:
    """Reads a recording for a worker, and keeps the exception of a failed read."""

    def __init__(self, connection: Connection, file: SeekableFile) -> None:
        self._connection = connection
        self._file = file
        self.failure: Exception | None = None

    def serve(self, header: dict[str, Any]) -> None:
        position, size = map(int, header["read"])
        try:
            if isinstance(self._file, FetchingFile):
                self._file.seek(position)
                self._file.expect(int(header["expect"]))
            data = read_at(self._file, position, min(size, MAX_READ_BYTES))
        except Exception as error:  # noqa: BLE001  # raised when the worker has stopped
            self.failure = error
            send(self._connection, {"failed": True})
        else:
            send(self._connection, {}, data)


def _receive(connection: Connection, file: SeekableFile) -> tuple[Any, ...]:
    """Receive the next message; meanwhile, check whether the work may continue."""
    if isinstance(file, CheckedFile):
        file.check()
        while not connection.poll(CHECK_S):
            file.check()
    return receive(connection)


def _clip(header: dict[str, Any], parts: list[bytes], front_end: FrontEnd) -> PreparedClip:
    try:
        found = list(map(_warning, header["warnings"]))
        return PreparedClip(
            _log_mel(parts[0], front_end),
            AudioInfo(**header["audio"]),
            float(header["analyzed_s"]),
            dict(header["seconds"]),
            found,
        )
    except (IndexError, KeyError, TypeError, ValueError) as error:
        raise _crash("sent a malformed clip") from error


def _warning(fields: dict[str, Any]) -> AudioWarning:
    try:
        return AudioWarning(str(fields["code"]), str(fields["message"]), dict(fields["details"]))
    except (KeyError, TypeError, ValueError) as error:
        raise _crash("sent a malformed warning") from error


def _block(header: dict[str, Any], parts: list[bytes], front_end: FrontEnd) -> Block:
    try:
        log_mel, samples = parts
        start_s = float(header["start_s"])
        return Block(start_s, np.frombuffer(samples, np.float32), _log_mel(log_mel, front_end), front_end)
    except (KeyError, TypeError, ValueError) as error:
        raise _crash("sent a malformed block") from error


def _log_mel(content: bytes, front_end: FrontEnd) -> NDArray[np.float32]:
    return np.frombuffer(content, np.float32).reshape(-1, front_end.mel_bands)


def _crash(what: str) -> DecoderCrashError:
    return DecoderCrashError(f"the decoder {what} while it read the recording")


def _error(header: dict[str, Any]) -> AudioClassifierError:
    """Rebuild the error that a worker reports."""
    if header["failed"] == "memory":
        return DecodingLimitError("decoding takes more memory than is allowed")
    cls = ERRORS.get(header["failed"], DecoderCrashError)
    if issubclass(cls, InvalidParameterError):
        return cls(header["parameter"], header["message"], hint=header["hint"])
    return cls(header.get("message", "the decoder failed"), hint=header.get("hint"))
