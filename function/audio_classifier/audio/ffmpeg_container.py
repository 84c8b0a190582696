"""Decode the audio in a media file, packet by packet."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from audio_classifier.audio.demuxers import DECODERS, Demuxer
from audio_classifier.audio.ffmpeg_library import FFmpegError, FFmpegLibrary, FFmpegLimitError
from audio_classifier.audio.sndfile import SampleType
from audio_classifier.audio.source import GuardedFile
from audio_classifier.constants import SAMPLE_RATE_HZ
from audio_classifier.errors import (
    EmptyAudioError,
    UnreadableAudioError,
    UnsupportedFormatError,
)

if TYPE_CHECKING:
    from av.audio.frame import AudioFrame
    from av.audio.resampler import AudioResampler
    from av.audio.stream import AudioStream
    from av.container import InputContainer
    from av.packet import Packet

# libsndfile's names of FFmpeg's codecs.
SUBTYPES: Final = {"PCM_MULAW": "ULAW", "PCM_ALAW": "ALAW"}
MAX_DAMAGED_PACKETS: Final = 1000  # in succession; twenty seconds of AAC
# PyAV's `to_ndarray` ends the process with SIGSEGV for planar frames of eight channels.
MAX_PLANES: Final = 7


@dataclass(frozen=True, slots=True)
class DecodedFrame:
    """Consecutive samples.

    Attributes
    ----------
    samples
        ``(frames, channels)`` int16, or floats with a full scale of 1.
    rate_hz
        Their sample rate.
    pts
        The time of the first one in units of `FFmpegContainer.time_base_s`, or None if it is unknown.
    """

    samples: NDArray[Any]
    rate_hz: int
    pts: int | None


class FFmpegContainer:
    """A media file, of which one stream of audio is decoded.

    Parameters
    ----------
    source
        The file.  Its exceptions are raised unchanged.
    demuxer
        The format of the container.
    dtype
        The data type of samples that are not 16-bit integers.

    Attributes
    ----------
    damaged_packets
        The number of packets that could not be decoded so far.
    is_damaged
        Whether the container is damaged where reading ended.

    Raises
    ------
    MissingExtraError
        If PyAV is not installed.
    UnreadableAudioError
        If FFmpeg cannot open the file.
    EmptyAudioError
        If the file has no audio track.
    UnsupportedFormatError
        If the codec cannot be decoded.
    """

    def __init__(self, source: GuardedFile, demuxer: Demuxer, dtype: SampleType) -> None:
        self._library = FFmpegLibrary(source, demuxer)
        self._demuxer = demuxer
        self._dtype = np.dtype(dtype)
        self.damaged_packets = self._good_packets = 0
        self.is_damaged = False
        self._open()

    def rewind(self) -> None:
        """Continue with the beginning of the file."""
        self._container.close()
        self._open()

    def close(self) -> None:
        self._container.close()

    @property
    def codec(self) -> str:
        """The name of the codec; libsndfile's name if it has one."""
        name = self._stream.codec.canonical_name.upper()
        return SUBTYPES.get(name, name)

    @property
    def time_base_s(self) -> Fraction:
        """The unit of times, in seconds."""
        return self._stream.time_base or Fraction(1, SAMPLE_RATE_HZ)

    @property
    def duration_s(self) -> float | None:
        """The stated length of the audio, otherwise of all streams; None if neither is known."""
        if self._stream.duration is not None:
            return float(self._stream.duration * self.time_base_s)
        duration = self._container.duration
        return None if duration is None else duration / self._library.av.time_base

    @property
    def states_audio_length(self) -> bool:
        """Whether `duration_s` is that of the audio."""
        return self._stream.duration is not None or len(self._container.streams) == 1

    @property
    def packet_frames(self) -> int:
        """The number of frames in each packet, or 0 if it varies or is unknown."""
        return self._stream.codec_context.frame_size

    def seek(self, pts: int) -> None:
        """Continue with a packet at or before a time, or raise `FFmpegError`."""
        self._frames.clear()
        self._library.call(lambda: self._container.seek(pts, stream=self._stream))
        self._packets = self._container.demux(self._stream)

    def next_frame(self, skip_until: int | None = None) -> DecodedFrame | None:
        """Decode the next frame, or return None at the end.

        Parameters
        ----------
        skip_until
            Packets that end before this time are not decoded.

        Raises
        ------
        FFmpegError
            If many packets in succession, or most until the end, cannot be decoded.
        """
        damaged = 0
        while not self._frames:
            packet = self._next_packet()
            if packet is None:
                if self.damaged_packets > self._good_packets:
                    packets = self.damaged_packets + self._good_packets
                    raise FFmpegError(f"{self.damaged_packets} of {packets} packets are damaged")
                return None
            if skip_until is not None and _end(packet) < skip_until:
                continue
            try:
                self._frames.extend(frame for frame in self._library.call(packet.decode) if frame.samples)
                self._good_packets += 1
            except FFmpegError:
                damaged += 1
                self.damaged_packets += 1
                if damaged == MAX_DAMAGED_PACKETS:
                    raise
        return self._decoded(self._frames.popleft())

    def _next_packet(self) -> Packet[AudioStream] | None:
        """Return the next packet, or None at the end or where the container is damaged."""
        try:
            return self._library.call(lambda: next(self._packets, None))
        except FFmpegLimitError:
            raise
        except FFmpegError:
            if not self._good_packets:
                raise
            self.is_damaged = True
            return None

    def _open(self) -> None:
        try:
            self._container: InputContainer = self._library.open()
        except FFmpegError as error:
            raise UnreadableAudioError(f"not a readable {self._demuxer.format} file: {error}") from error
        self._stream = self._library.call(self._selected_stream)
        self._packets = self._container.demux(self._stream)
        self._frames: deque[AudioFrame] = deque()
        self._resampler: AudioResampler | None = None

    def _selected_stream(self) -> AudioStream:
        """Select the audio that a player selects, and let the demuxer skip all other streams."""
        streams = self._container.streams
        if not streams.audio:
            raise EmptyAudioError(
                f"the {self._demuxer.format} file contains no audio track",
                hint="Check that the recording has sound.",
            )
        best = streams.best("audio")
        selected = next((stream for stream in streams.audio if stream is best), streams.audio[0])
        context = selected.codec_context
        if context is None or context.name not in DECODERS:
            codec = "audio of an unknown codec" if context is None else context.name.upper()
            raise UnsupportedFormatError(
                f"the {self._demuxer.format} file contains {codec}, which cannot be decoded"
            )
        context.thread_count = 1
        for stream in streams:
            if stream is not selected:
                stream.discard = self._library.av.stream.Discard.all
        return selected

    def _decoded(self, frame: AudioFrame) -> DecodedFrame:
        return DecodedFrame(self._library.call(lambda: self._samples(frame)), frame.sample_rate, frame.pts)

    def _samples(self, frame: AudioFrame) -> NDArray[Any]:
        if frame.format.is_planar and frame.layout.nb_channels > MAX_PLANES:
            if self._resampler is None:
                self._resampler = self._library.av.AudioResampler(format=frame.format.packed.name)
            (frame,) = self._resampler.resample(frame)
        values = frame.to_ndarray()
        samples = values.T if frame.format.is_planar else values.reshape(-1, frame.layout.nb_channels)
        if samples.dtype == np.uint8:
            return (samples.astype(self._dtype) - 128) / 128
        if samples.dtype == np.int32:
            return samples.astype(self._dtype) / 2.0**31
        return samples if samples.dtype == np.int16 else samples.astype(self._dtype, copy=False)


def _end(packet: Packet[AudioStream]) -> float:
    """Return the time at which a packet ends; infinity for the packet without data that ends the stream."""
    return packet.pts + (packet.duration or 0) if packet.size and packet.pts is not None else math.inf
