"""Decode streams with libsndfile.

Headers are not trusted: what libsndfile may read is bounded, and the end of the data is found by reading.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final, Literal, TypeAlias

import numpy as np
import soundfile
from numpy.typing import NDArray

from audio_classifier.audio.codecs import undecodable_codec
from audio_classifier.audio.formats import HEAD_BYTES
from audio_classifier.audio.info import AudioInfo, checked_info
from audio_classifier.audio.source import GuardedFile, ReadLimitError, SeekableFile, T, read_at
from audio_classifier.audio.warnings import TRUNCATED, AudioWarning
from audio_classifier.errors import (
    DamagedAudioError,
    StartBeyondEndError,
    UnreadableAudioError,
    UnsupportedFormatError,
)

SampleType: TypeAlias = Literal["float32", "float64"]

# Bytes to open a file, and beyond a block to reach it; pictures in tags are the largest legitimate part.
MAX_EXTRA_BYTES: Final = 32 << 20
MAX_SAMPLE_BYTES: Final = 8
# Seeking in MP3 reads every frame before, in two calls for each, of at least 24 bytes.
MAX_MP3_READS: Final = 96
# libsndfile cannot seek in these.
UNSEEKABLE_SUBTYPES: Final = (
    *("GSM610", "G721_32", "G723_24", "G723_40", "NMS_ADPCM_16", "NMS_ADPCM_24", "NMS_ADPCM_32"),
    *("DWVW_12", "DWVW_16", "DWVW_24"),
)
SKIPPED_AT_ONCE: Final = 1 << 16
VORBIS_LEAD_S: Final = 2  # more than encoders put into a page
# FLAC's longest frame, 65,535 samples, takes more than 8 bytes; Vorbis and Opus pack less.
MAX_FRAMES_PER_BYTE: Final = 8192
PIECES_FRAMES: Final = (4096, 256, 16)  # read at once near the end of a truncated file


class SndfileStream:
    """A `FrameStream` that libsndfile decodes.

    Parameters
    ----------
    file
        The file, which must stay open.
    dtype
        The data type of samples that are not stored as 16-bit integers.
    can_seek
        Whether libsndfile seeks correctly in this file; otherwise, everything before a window is decoded.

    Raises
    ------
    UnsupportedFormatError, UnreadableAudioError, UnsupportedAudioError, EmptyAudioError
        If the header alone shows that the file cannot be used.
    """

    def __init__(self, file: SeekableFile, *, dtype: SampleType = "float32", can_seek: bool = True) -> None:
        self._plain_file = file
        self._source = GuardedFile(file)
        self._source.limit(MAX_EXTRA_BYTES)
        self._file = self._open()
        self.info: AudioInfo = checked_info(self._file)
        self._can_seek = can_seek and self.info.subtype not in UNSEEKABLE_SUBTYPES
        self.warnings: list[AudioWarning] = []
        # libsndfile reads 16-bit samples in one piece, but in pieces of 8 kB if it converts them to floats.
        self._sample_type: Literal["int16", "float32", "float64"] = (
            "int16" if self.info.subtype == "PCM_16" else dtype
        )
        self._position = 0  # libsndfile's, in frames
        self._started = False  # whether a frame was decoded
        self._ended = False  # whether a truncated file was read to its end

    def close(self) -> None:
        self._file.close()

    def expect(self, count: int) -> None:
        self._source.expect(count * self.info.frame_bytes)

    def read(self, count: int) -> NDArray[Any]:
        if self._ended:
            return self._empty()
        left = (self.info.frames or 0) - self._position
        if self.info.format == "FLAC" and left > 0:
            count = min(count, left)  # a tag may follow, which fails to decode
        self._limit(count)
        try:
            block = self._decode(count)
        except DamagedAudioError as error:
            if self.info.format != "FLAC":
                raise
            block = self._empty() if self.info.frames and left <= 0 else self._decode_end(count, error)
            self._ended = True
        self._position += len(block)
        self._started = self._started or len(block) > 0
        return block

    def seek(self, frame: int) -> None:
        self._limit(0)
        self._ended = False
        if frame > self._source.size * MAX_FRAMES_PER_BYTE:  # libsndfile would search for minutes
            raise StartBeyondEndError(
                f"there is no audio at {self._time(frame)}: the file has only {self._source.size} bytes",
                hint="Use an earlier start time.",
            )
        if not self._can_seek:
            self._skip_to(frame)
            return
        if self.info.format == "OGG":
            self._reopen()
        target = frame - self._seek_lead(frame)
        try:
            self._position = self._native(lambda: self._file.seek(target))
        except _NativeError as error:
            raise self._beyond_end(frame) from error
        self._skip_to(frame)

    def _seek_lead(self, frame: int) -> int:
        """Return how many frames to decode before the target of a seek.

        The last page of Vorbis states where the recording ends, which is mostly within a packet.  libsndfile
        counts back from there, as if it were the end of the packet, and misses targets in this page.
        """
        lead = VORBIS_LEAD_S * self.info.sample_rate_hz
        is_near_end = self.info.frames is not None and frame > self.info.frames - lead
        return min(frame, lead) if self.info.subtype == "VORBIS" and is_near_end else 0

    def _skip_to(self, frame: int) -> None:
        if frame < self._position:
            self._file.close()
            self._file = self._open()
            self._position = 0
        while self._position < frame:
            if not len(self.read(min(SKIPPED_AT_ONCE, frame - self._position))):
                raise self._beyond_end(frame) if self._started else self._without_audio()

    def _without_audio(self) -> DamagedAudioError:
        return DamagedAudioError(f"the {self.info.format} file contains no audio that can be decoded")

    def _beyond_end(self, frame: int) -> StartBeyondEndError:
        return StartBeyondEndError(
            f"there is no audio at {self._time(frame)}, although the file's header allows for it",
            hint="Use an earlier start time; if there should be audio, the file is damaged.",
        )

    def _open(self) -> soundfile.SoundFile:
        self._source.seek(0)
        try:
            return self._native(lambda: ForwardSoundFile(self._source, mode="r"))
        except _NativeError as error:
            head = read_at(self._plain_file, 0, HEAD_BYTES)
            if codec := undecodable_codec(head):
                raise UnsupportedFormatError(
                    f"not a readable audio file: it contains {codec}, which cannot be decoded"
                ) from error
            raise UnreadableAudioError(f"not a readable audio file: {error}") from error

    def _reopen(self) -> None:
        """Prepare an Ogg file for a seek.

        libsndfile's seek ends the process with SIGSEGV if the file holds no frame, so one is decoded first.
        The seek misses its target by part of a block if anything was decoded, so the file is opened again.
        """
        if not self._started and not len(self._decode(1)):
            raise self._without_audio()
        self._started = True
        self._file.close()
        self._file = self._open()

    def _decode_end(self, count: int, error: DamagedAudioError) -> NDArray[Any]:
        """Decode the frames before the end of a truncated file, in smaller and smaller pieces."""
        start, blocks = self._position, [self._empty()]
        for piece_frames in PIECES_FRAMES:
            with suppress(DamagedAudioError, UnreadableAudioError, _NativeError):
                self._restart(start)
                while count > 0 and len(block := self._decode(min(count, piece_frames))):
                    blocks.append(block)
                    count -= len(block)
                    start += len(block)
        if not self._source.reached_end:
            raise error
        message = f"the file ends at {self._time(start)}, within a frame"
        self.warnings.append(AudioWarning(TRUNCATED, message, {"end_s": self._seconds(start)}))
        return np.concatenate(blocks)

    def _restart(self, frame: int) -> None:
        self._file.close()
        self._file = self._open()
        self._native(lambda: self._file.seek(frame))

    def _empty(self) -> NDArray[Any]:
        return np.empty((0, self.info.channels), self._sample_type)

    def _limit(self, count: int) -> None:
        """Bound what libsndfile may read for a call."""
        self._source.limit(
            MAX_EXTRA_BYTES
            + count * self.info.channels * MAX_SAMPLE_BYTES
            + (self._source.size * MAX_MP3_READS if self.info.format == "MP3" else 0)
        )

    def _decode(self, count: int) -> NDArray[Any]:
        def read() -> NDArray[Any]:
            block: NDArray[Any] = self._file.read(count, self._sample_type, always_2d=True)
            return block

        try:
            return self._native(read)
        except _NativeError as error:
            raise DamagedAudioError(
                f"the {self.info.format} data cannot be decoded at {self._time(self._position)}: {error}"
            ) from error

    def _native(self, call: Callable[[], T]) -> T:
        """Call libsndfile, and raise its own failures as `_NativeError`; those of the file are unchanged."""

        def translated() -> T:
            try:
                return call()
            except soundfile.LibsndfileError as error:
                raise _NativeError(_reason(error)) from error
            except (soundfile.SoundFileError, MemoryError, OverflowError, UnicodeError) as error:
                raise _NativeError(str(error) or type(error).__name__) from error

        try:
            return self._source.guard(translated)
        except ReadLimitError as error:
            raise _NativeError(f"{MAX_EXTRA_BYTES >> 20} MiB of data contain no audio") from error

    def _time(self, frame: int) -> str:
        return f"{frame / self.info.sample_rate_hz:.4g} s"

    def _seconds(self, frame: int) -> float:
        return round(frame / self.info.sample_rate_hz, 3)


class _NativeError(Exception):
    """A call of libsndfile failed; the message is its reason."""


class ForwardSoundFile(soundfile.SoundFile):  # type: ignore[misc]  # untyped base class
    """An audio file without the seek that soundfile performs after every read of a seekable file.

    It seeks to the position where libsndfile already is.  At the end of a FLAC file of unknown length, as
    encoders write it to a pipe, this seek fails.
    """

    def seekable(self) -> bool:
        return False


def _reason(error: soundfile.LibsndfileError) -> str:
    text = str(error.error_string).strip().rstrip(".")
    return text or f"libsndfile error {error.code}"
