"""Open audio files: recognise their format, and choose their decoder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

from audio_classifier.audio.caf import check_packet_table
from audio_classifier.audio.demuxers import Demuxer, find_demuxer
from audio_classifier.audio.ffmpeg import FFmpegStream
from audio_classifier.audio.flac import open_flac
from audio_classifier.audio.flac_frames import MARK as FLAC_MARK
from audio_classifier.audio.formats import EBML_MARK, audio_head, check_format, is_mpeg_audio, is_unknown
from audio_classifier.audio.links import open_links
from audio_classifier.audio.mpeg_file import open_mpeg
from audio_classifier.audio.ogg import open_ogg
from audio_classifier.audio.pcm_headers import repaired_files
from audio_classifier.audio.sndfile import SampleType, SndfileStream
from audio_classifier.audio.source import SeekableFile, size_of
from audio_classifier.audio.streams import FrameStream
from audio_classifier.audio.views import FileRange, FileView
from audio_classifier.audio.warnings import AudioWarning, unread_files
from audio_classifier.audio.webm import open_webm
from audio_classifier.errors import EmptyAudioError, MissingExtraError, UnsupportedFormatError

CONVERSION: Final = "ffmpeg -i in.m4a out.wav"


@dataclass(frozen=True, slots=True)
class OpenAudio:
    """The audio of a file.

    Attributes
    ----------
    streams
        At least one.  Most files contain a single stream; those in chained files follow one another.
    warnings
        Those that were found while the file was opened.
    """

    streams: Sequence[FrameStream]
    warnings: Sequence[AudioWarning] = ()


def open_audio(file: SeekableFile, *, dtype: SampleType = "float32") -> OpenAudio:
    """Open the streams of an audio file, which must stay open.

    Parameters
    ----------
    dtype
        The data type of samples that are not stored as 16-bit integers.

    Raises
    ------
    UnsupportedFormatError, UnreadableAudioError, UnsupportedAudioError, EmptyAudioError
        If the header alone shows that the file cannot be used.
    """
    begin, head = audio_head(file)
    if not head:
        raise EmptyAudioError("the file contains an ID3 tag, but no audio" if begin else "the file is empty")
    if (is_mpeg_audio(head) or is_unknown(head)) and (mpeg := open_mpeg(file, dtype=dtype)):
        return OpenAudio(*mpeg)
    if begin:
        file = FileView([FileRange(file, begin, size_of(file))])
    try:
        return _open_without_ffmpeg(file, head, dtype)
    except UnsupportedFormatError as error:
        demuxer = find_demuxer(head)
        if demuxer is None:
            raise
        refusal = error
    return OpenAudio([_ffmpeg_stream(file, demuxer, dtype, refusal)])


def _open_without_ffmpeg(file: SeekableFile, head: bytes, dtype: SampleType) -> OpenAudio:
    check_format(head)
    check_packet_table(file, head)
    if head.startswith(b"OggS"):
        return OpenAudio(*open_ogg(file, dtype=dtype))
    if head.startswith(EBML_MARK):
        return OpenAudio([open_webm(file, dtype=dtype)])
    if head.startswith(FLAC_MARK):
        return OpenAudio(*open_flac(file, dtype=dtype))
    files, warnings = repaired_files(file, head)
    if len(files) == 1:
        return OpenAudio([SndfileStream(files[0], dtype=dtype)], warnings)
    streams, failures = open_links(partial(SndfileStream, part, dtype=dtype) for part in files)
    return OpenAudio(streams, [*unread_files("WAV", len(streams), failures), *warnings])


def _ffmpeg_stream(
    file: SeekableFile, demuxer: Demuxer, dtype: SampleType, refusal: UnsupportedFormatError
) -> FFmpegStream:
    """Open a file with FFmpeg, or refuse it with a hint at the extra and a conversion."""
    try:
        return FFmpegStream(file, demuxer, dtype=dtype)
    except MissingExtraError as missing:
        hint = f"The extra {missing.extra} reads it. {missing.hint}. Or convert the recording: {CONVERSION}"
        raise UnsupportedFormatError(str(refusal), hint=hint) from missing
