"""Open audio files: find out what they contain, and who decodes it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from audio_classifier.audio.caf import check_packet_table
from audio_classifier.audio.formats import EBML_MARK, audio_head, check_format, is_mpeg_audio, is_unknown
from audio_classifier.audio.mpeg_file import open_mpeg
from audio_classifier.audio.ogg import open_ogg
from audio_classifier.audio.pcm_headers import repaired_file
from audio_classifier.audio.sndfile import SampleType, SndfileStream
from audio_classifier.audio.source import SeekableFile, size_of
from audio_classifier.audio.streams import FrameStream
from audio_classifier.audio.views import FileRange, FileView
from audio_classifier.audio.warnings import AudioWarning
from audio_classifier.audio.webm import open_webm
from audio_classifier.errors import EmptyAudioError


@dataclass(frozen=True, slots=True)
class OpenAudio:
    """The audio of a file.

    Attributes
    ----------
    streams
        At least one.  Most files contain a single stream; those in chained files follow one another.
    warnings
        What was found while the file was opened.
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
    check_format(head)
    if begin:
        file = FileView([FileRange(file, begin, size_of(file))])
    check_packet_table(file, head)
    if head.startswith(b"OggS"):
        return OpenAudio(*open_ogg(file, dtype=dtype))
    if head.startswith(EBML_MARK):
        return OpenAudio([open_webm(file, dtype=dtype)])
    file, warnings = repaired_file(file, head)
    return OpenAudio([SndfileStream(file, dtype=dtype)], warnings)
