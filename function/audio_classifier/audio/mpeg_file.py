"""Open MPEG audio files."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from audio_classifier.audio.mpeg import DECODER_DELAY, MAX_FRAME_BYTES, StreamTag, stream_tag
from audio_classifier.audio.mpeg_constant import ConstantFrames
from audio_classifier.audio.mpeg_frames import FrameSource, FrameTable, ScannedFrames
from audio_classifier.audio.mpeg_scan import Chain, FrameScan
from audio_classifier.audio.mpeg_stream import MpegStream
from audio_classifier.audio.sndfile import SampleType
from audio_classifier.audio.source import SeekableFile, size_of
from audio_classifier.audio.streams import FrameStream
from audio_classifier.audio.warnings import TRUNCATED, AudioWarning
from audio_classifier.errors import EmptyAudioError

# Shorter files are read as a whole, because that costs no more than to look at their end.
MIN_COMPUTED_BYTES: Final = 256 << 10


def open_mpeg(
    file: SeekableFile, *, dtype: SampleType = "float32"
) -> tuple[list[FrameStream], list[AudioWarning]] | None:
    """Open the streams of an MPEG audio file, which must stay open.

    The whole file is read once to find its frames, unless a verified tag states their number, or they have a
    constant bit rate up to the end.

    Returns
    -------
    One stream for each run of frames of one sample rate and number of channels, and warnings about the end of
    the file; None if no frames begin in the first mebibyte, apart from tags.  Free format is not supported.

    Raises
    ------
    EmptyAudioError
        If its frames contain no audio.
    """
    size = size_of(file)
    first = next(FrameScan(file, size).chains(), None)
    if first is None:
        return None
    tag = stream_tag(bytes(first.data[: _first_length(first)]), first.kind)
    sources, warnings = _locate(file, size, first, tag)
    streams: list[FrameStream] = []
    for number, source in enumerate(sources):
        delay, frames = _recording(source, tag if number == 0 else None)
        stream = MpegStream(source, delay=delay, frames=frames, dtype=dtype)
        if frames > 0 and stream.info.samples:
            streams.append(stream)
    if not streams:
        raise EmptyAudioError(
            "the MP3 file contains no audio: its frames are shorter than its encoder's delay"
        )
    return streams, warnings


def _locate(
    file: SeekableFile, size: int, first: Chain, tag: StreamTag | None
) -> tuple[Sequence[FrameSource], list[AudioWarning]]:
    """Return the sources of frames, and what will not be read."""
    begin = first.begins[0] + (_first_length(first) if tag else 0)
    confirmed = _confirmed_count(file, size, first.begins[0], tag)
    bit_rate = _constant_bit_rate(first, tag)
    if bit_rate and size - begin >= MIN_COMPUTED_BYTES:
        constant = ConstantFrames(file, size, begin, first.kind, bit_rate, count=confirmed)
        if confirmed or constant.count_frames():
            return [constant], _end_warnings(constant.count, constant.cut_bytes, first, tag)
    table = FrameTable(file, size, begin, first.kind)
    if confirmed:
        return [ScannedFrames(table, stated_count=confirmed)], []
    table.extend()
    sources = [ScannedFrames(table, run) for run in range(len(table.runs))]
    return sources, _end_warnings(sum(run.count for run in table.runs), table.cut_bytes, first, tag)


def _first_length(chain: Chain) -> int:
    return (chain.begins[1] if len(chain.begins) > 1 else chain.end) - chain.begins[0]


def _constant_bit_rate(chain: Chain, tag: StreamTag | None) -> int:
    """Return the bit rate of the first frames, or 0 if it varies."""
    if tag is not None and not tag.is_constant:
        return 0
    begin = chain.begins[0]
    rates = {chain.kind.bit_rate(chain.data[frame - begin + 2]) for frame in chain.begins[1 if tag else 0 :]}
    return rates.pop() if len(rates) == 1 else 0


def _confirmed_count(file: SeekableFile, size: int, begin: int, tag: StreamTag | None) -> int:
    """Return the number of frames if the tag is as its encoder wrote it and states the file's size, or 0."""
    if tag is None or not tag.is_verified or tag.size is None or begin + tag.size > size:
        return 0
    rest = FrameScan(file, size, begin + tag.size)
    is_end = next(rest.chains(), None) is None and rest.unread_bytes <= MAX_FRAME_BYTES
    return tag.frames or 0 if is_end else 0


def _recording(source: FrameSource, tag: StreamTag | None) -> tuple[int, int]:
    """Return the samples before the recording, and its length."""
    decoded = source.count * source.kind.samples
    if tag is None:
        return 0, decoded
    padding = max(0, tag.padding - DECODER_DELAY) if source.count == tag.frames else 0
    return tag.delay, decoded - tag.delay - padding


def _end_warnings(frames: int, cut_bytes: int, first: Chain, tag: StreamTag | None) -> list[AudioWarning]:
    stated = tag.frames if tag else None
    seconds = first.kind.samples / first.kind.rate_hz
    if stated is not None and stated > frames:
        message = f"the file ends after {frames * seconds:.4g} s of {stated * seconds:.4g} s"
        details = {"end_s": round(frames * seconds, 3), "stated_s": round(stated * seconds, 3)}
        return [AudioWarning(TRUNCATED, message, details)]
    if cut_bytes:
        message = f"the file ends at {frames * seconds:.4g} s, within a frame"
        return [AudioWarning(TRUNCATED, message, {"end_s": round(frames * seconds, 3)})]
    return []
