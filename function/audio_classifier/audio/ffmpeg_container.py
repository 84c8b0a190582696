"""Open a media file with FFmpeg through PyAV (the extra ``formats``), and decode its packets of audio.

FFmpeg reads nothing but the given file: the caller chooses the demuxer instead of FFmpeg's probing, and any
other file or address that the container names is refused.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from audio_classifier.audio.source import GuardedFile, ReadLimitError, T
from audio_classifier.errors import MissingExtraError, UnreadableAudioError, UnsupportedFormatError

if TYPE_CHECKING:
    from av.audio.frame import AudioFrame
    from av.audio.stream import AudioStream
    from av.container import InputContainer

# FFmpeg's decoders that may run.  Decoders of video are not among them.
CODECS: Final = frozenset(
    (
        *("aac", "aac_latm", "ac3", "alac", "amrnb", "amrwb", "ape", "dca", "eac3", "flac", "opus", "vorbis"),
        *("mp1", "mp1float", "mp2", "mp2float", "mp3", "mp3float", "mpc7", "mpc8", "speex", "tta", "wavpack"),
        *("wmav1", "wmav2", "wmapro", "wmalossless", "wmavoice", "gsm", "gsm_ms", "g722", "g723_1", "g726"),
        *("g726le", "g729", "ilbc", "nellymoser", "truespeech", "mace3", "mace6", "qdm2", "qdmc"),
        *("adpcm_ct", "adpcm_ima_oki", "adpcm_ima_qt", "adpcm_ima_wav", "adpcm_ms", "adpcm_sbpro_2"),
        *("adpcm_sbpro_3", "adpcm_sbpro_4", "adpcm_swf", "adpcm_yamaha", "pcm_alaw", "pcm_mulaw", "pcm_s8"),
        *("pcm_u8", "pcm_s16le", "pcm_s16be", "pcm_s24le", "pcm_s24be", "pcm_s32le", "pcm_s32be"),
        *("pcm_f32le", "pcm_f32be", "pcm_f64le", "pcm_f64be", "pcm_bluray", "pcm_dvd"),
    )
)
PROBE_BYTES: Final = 1 << 20  # to find the streams; FFmpeg's default is 5 MB
MAX_DAMAGED_PACKETS: Final = 32  # in succession
# PyAV's `to_ndarray` ends the process with SIGSEGV for planar frames of eight channels.
MAX_PLANES: Final = 7


class FFmpegError(Exception):
    """A call of FFmpeg failed; the message is its reason."""


class DecodedFrame:
    """Consecutive samples.

    Attributes
    ----------
    samples
        ``(frames, channels)`` int16, or floats with full scale 1.
    rate_hz
        Their sample rate.
    pts
        The time of the first one in units of the stream's time base, or None if it is unknown.
    """

    __slots__ = ("pts", "rate_hz", "samples")

    def __init__(self, samples: NDArray[Any], rate_hz: int, pts: int | None) -> None:
        self.samples = samples
        self.rate_hz = rate_hz
        self.pts = pts


class FFmpegContainer:
    """A media file, of which one stream of audio is decoded.

    Parameters
    ----------
    source
        The file.  Its exceptions are raised unchanged.
    demuxer
        FFmpeg's name of the container format.
    name
        The container's name for messages.

    Raises
    ------
    MissingExtraError
        If PyAV is not installed.
    UnreadableAudioError
        If FFmpeg cannot open the file, or finds no audio in it.
    UnsupportedFormatError
        If the codec cannot be decoded.
    """

    def __init__(self, source: GuardedFile, demuxer: str, name: str) -> None:
        try:
            import av
            import av.stream
        except ImportError as error:
            raise MissingExtraError(f"reading {name} files", "formats") from error
        self._av = av
        self._source = source
        self._demuxer = demuxer
        self._name = name
        self.damaged_packets = 0
        self.rewind()

    def rewind(self) -> None:
        """Open the file, again if it is open, and continue with its beginning."""
        try:
            self._source.seek(0)
            self._container = self._call(self._open)
        except FFmpegError as error:
            raise UnreadableAudioError(f"not a readable audio file: FFmpeg reads no {self._name}: {error}") from error
        self._stream = self._select_stream()
        self._packets = self._container.demux(self._stream)
        self._frames: deque[AudioFrame] = deque()
        self._resampler: Any = None

    def close(self) -> None:
        self._container.close()

    @property
    def codec(self) -> str:
        """The name of the codec."""
        return self._stream.codec.canonical_name.upper()

    @property
    def time_base_s(self) -> Fraction:
        """The unit of times, in seconds."""
        return self._stream.time_base or Fraction(1, self._stream.sample_rate)

    @property
    def duration_s(self) -> float | None:
        """The length that the container states, or None."""
        if self._stream.duration is not None:
            return float(self._stream.duration * self.time_base_s)
        duration = self._container.duration
        return None if duration is None else duration / self._av.time_base

    @property
    def packet_frames(self) -> int:
        """The number of frames in each packet, or 0 if it varies or is unknown."""
        return self._stream.codec_context.frame_size

    def seek(self, pts: int) -> None:
        """Continue with a packet at or before a time, or raise `FFmpegError`."""
        self._frames.clear()
        self._call(lambda: self._container.seek(pts, stream=self._stream))
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
            If many packets in succession cannot be decoded.
        """
        damaged = 0
        while not self._frames:
            packet = self._call(lambda: next(self._packets, None))
            if packet is None:
                return None
            if skip_until is not None and packet.pts is not None and packet.size:
                if packet.pts + (packet.duration or 0) < skip_until:
                    continue
            try:
                self._frames.extend(self._call(packet.decode))
            except FFmpegError:
                damaged += 1
                self.damaged_packets += 1
                if damaged == MAX_DAMAGED_PACKETS:
                    raise
        return self._decoded(self._frames.popleft())

    def _open(self) -> InputContainer:
        return self._av.open(
            _ReadableFile(self._source),
            "r",
            format=self._demuxer,
            container_options={
                "codec_whitelist": ",".join(CODECS),
                "format_whitelist": self._demuxer,
                "probesize": str(PROBE_BYTES),
                "protocol_whitelist": "none",
            },
            metadata_errors="replace",
            io_open=_refuse,
        )

    def _select_stream(self) -> AudioStream:
        """Select the audio that a player selects, and let the demuxer skip all other streams."""
        streams = self._container.streams
        selected = streams.best("audio") or next(iter(streams.audio), None)
        if selected is None:
            raise UnreadableAudioError(f"not a readable audio file: the {self._name} file contains no audio")
        context = selected.codec_context
        if context is None or context.name not in CODECS:
            codec = "audio of an unknown codec" if context is None else context.name.upper()
            raise UnsupportedFormatError(
                f"not a readable audio file: the {self._name} file contains {codec}, which cannot be decoded"
            )
        context.thread_count = 1
        for stream in streams:
            if stream is not selected:
                stream.discard = self._av.stream.Discard.all
        return selected

    def _decoded(self, frame: AudioFrame) -> DecodedFrame:
        return DecodedFrame(self._call(lambda: self._samples(frame)), frame.sample_rate, frame.pts)

    def _samples(self, frame: AudioFrame) -> NDArray[Any]:
        if frame.format.is_planar and frame.layout.nb_channels > MAX_PLANES:
            if self._resampler is None:
                self._resampler = self._av.AudioResampler(format=frame.format.packed.name)
            (frame,) = self._resampler.resample(frame)
        values = frame.to_ndarray()
        samples = values.T if frame.format.is_planar else values.reshape(-1, frame.layout.nb_channels)
        if samples.dtype == np.uint8:
            return (samples.astype(np.float32) - 128) / 128
        return samples / 2.0**31 if samples.dtype == np.int32 else samples

    def _call(self, call: Callable[[], T]) -> T:
        """Call PyAV, and raise its failures as `FFmpegError`; those of the file are raised unchanged."""

        def translated() -> T:
            try:
                return call()
            except self._av.FFmpegError as error:
                raise FFmpegError(error.strerror or type(error).__name__) from error
            except (MemoryError, OverflowError, RuntimeError, ValueError) as error:
                raise FFmpegError(str(error) or type(error).__name__) from error

        try:
            return self._source.guard(translated)
        except ReadLimitError as error:
            raise FFmpegError("the file contains too much data without audio") from error


class _ReadableFile:
    """A `GuardedFile` with the interface that PyAV needs."""

    def __init__(self, source: GuardedFile) -> None:
        self._source = source
        self.seek = source.seek
        self.tell = source.tell

    def read(self, size: int) -> bytes:
        data = bytearray(size)
        return bytes(data[: self._source.readinto(data)])


def _refuse(address: str, flags: int, options: dict[str, str]) -> None:
    """Refuse to open a file or address that a container names."""
    raise PermissionError(f"the file refers to another one, {address!r}, which is not read")
