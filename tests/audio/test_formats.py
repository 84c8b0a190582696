from __future__ import annotations

import base64
import io
import re
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from audio_classifier.audio.demuxers import DEMUXERS
from audio_classifier.audio.formats import FOREIGN_FORMATS
from audio_classifier.audio.reader import read_window
from audio_classifier.errors import (
    AudioError,
    EmptyAudioError,
    InvalidParameterError,
    UnreadableAudioError,
    UnsupportedFormatError,
)
from tests.support.sounds import busy, encode

SIGNAL = busy(1.5, 16_000)
ACCEPTED = [
    *[("WAV", subtype) for subtype in soundfile.available_subtypes("WAV")],
    *[("W64", subtype) for subtype in soundfile.available_subtypes("W64")],
    *[("RF64", subtype) for subtype in soundfile.available_subtypes("RF64")],
    *[("AIFF", subtype) for subtype in soundfile.available_subtypes("AIFF")],
    *[("AU", subtype) for subtype in soundfile.available_subtypes("AU")],
    *[("CAF", subtype) for subtype in soundfile.available_subtypes("CAF")],
    *[("FLAC", subtype) for subtype in soundfile.available_subtypes("FLAC")],
    *[("WAVEX", "PCM_24"), ("OGG", "VORBIS"), ("OGG", "OPUS"), ("MP3", "MPEG_LAYER_III")],
]
FOREIGN = [
    (b"\xf0\x7e\x00\x01" + bytes(24), r"MIDI sample dump \(SDS\)"),
    (b"Creative Voice File\x1a" + bytes(60), "VOC"),
    (b"MThd\x00\x00\x00\x06" + bytes(60), "MIDI"),
    (b"\x00\x00\x00\x20ftypM4A " + bytes(60), "M4A"),
    (b"\x00\x00\x00\x20ftypisom" + bytes(60), "MP4"),
    (b"\xff\xf1\x50\x80\x02\x1f\xfc" + bytes(60), "AAC"),
    (b"\xff\xf9\x50\x80\x02\x1f\xfc" + bytes(60), "AAC"),
    (b"#!AMR\n" + bytes(60), "AMR"),
    (bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c") + bytes(60), "WMA"),
    (b"BW64" + bytes(60), "BW64"),
    (b"RIFF\x00\x01\x00\x00AVI LIST" + bytes(60), "AVI"),
    (b"RIFF\x00\x01\x00\x00ACONLIST" + bytes(60), "RIFF file of type 'ACON'"),
    (b"FORM\x00\x01\x00\x008SVXVHDR" + bytes(60), "8SVX"),
    (b"%PDF-1.7\n" + bytes(60), "PDF"),
    (b"PK\x03\x04" + bytes(60), "ZIP"),
    (b"\x89PNG\r\n\x1a\n" + bytes(60), "PNG"),
    (b"\xff\xd8\xff\xe0" + bytes(60), "JPEG"),
    (b"<!DOCTYPE html>\n<html></html>", "HTML"),
    (b"\xef\xbb\xbf  <html lang=en>", "HTML"),
    ("grüß Gott\n".encode(), r"text \(UTF-8\)"),
    (b'{"status": "ok"}', r"text \(UTF-8\)"),
    ("not a recording\r\n".encode("utf-16"), r"text \(UTF-16\)"),
    (b"\xfe\xff" + "not a recording\r\n".encode("utf-16-be") * 500, r"text \(UTF-16\)"),
    (bytes(300), "begins with the bytes 00 00 00 00 00 00 00 00"),
    (b"\x00", "begins with the bytes 00"),
]
# Formats that libsndfile reads, but that are not accepted.
UNWRITABLE = {("WAV", "MPEG_LAYER_III"), ("AIFF", "DWVW_12")}
REFUSED_CONTAINERS = sorted(
    set(soundfile.available_formats())
    - {"WAV", "WAVEX", "RF64", "W64", "AIFF", "AU", "CAF", "FLAC", "OGG", "MP3", "RAW", "SD2"}
)


def id3_tag(size: int) -> bytes:
    return b"ID3\x03\x00\x00" + bytes(size >> shift & 127 for shift in (21, 14, 7, 0)) + bytes(size)


@pytest.mark.parametrize(("container", "subtype"), [each for each in ACCEPTED if each not in UNWRITABLE])
def test_accepted_format_is_read(container: str, subtype: str) -> None:
    mono = read_window(encode(SIGNAL, 16_000, container, subtype))
    assert len(mono) == pytest.approx(len(SIGNAL), rel=0.05)
    expected = SIGNAL[: len(mono), 0]
    assert np.corrcoef(mono[: len(expected)], expected)[0, 1] > 0.85


@pytest.mark.parametrize(("container", "endian"), [("WAV", "BIG"), ("AU", "LITTLE"), ("AIFF", "LITTLE")])
def test_both_byte_orders_are_read(container: str, endian: str) -> None:
    file = io.BytesIO()
    soundfile.write(file, SIGNAL, 16_000, format=container, subtype="PCM_16", endian=endian)
    assert len(read_window(file)) == len(SIGNAL)


@pytest.mark.parametrize(("content", "name"), FOREIGN)
@pytest.mark.usefixtures("without_formats")
def test_foreign_file_is_refused_by_name(content: bytes, name: str) -> None:
    with pytest.raises(UnsupportedFormatError, match=name) as error:
        read_window(content)
    assert re.search("FLAC|ffmpeg -i", error.value.hint)


@pytest.mark.usefixtures("without_formats")
@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"\x00\x00\x00\x20ftypM4A " + bytes(60), r"it is an M4A file \(MPEG-4 audio\)"),
        (b"\x0bw\x00\x00\x00\x80" + bytes(60), "it is an E-AC-3 stream"),
        ((b"G" + bytes(187)) * 4, "it is an MPEG transport stream"),
        (encode(SIGNAL, 16_000).replace(b"\x01\x00\x01\x00", b"\x8f\x02\x01\x00", 1), "it contains G.722"),
    ],
)
def test_without_the_extra_the_error_names_format_extra_and_conversion(content: bytes, found: str) -> None:
    with pytest.raises(UnsupportedFormatError, match=found) as error:
        read_window(content)
    assert "The extra formats" in error.value.hint
    assert "pip install 'serverless-audio-classifier[formats]'" in error.value.hint
    assert "ffmpeg -i in.m4a out.wav" in error.value.hint


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"RIFF\x00\x01\x00\x00ACONLIST" + bytes(60), "RIFF file of type 'ACON'"),
        (b"FORM\x00\x01\x00\x008SVXVHDR" + bytes(60), "8SVX"),
        (b"MThd\x00\x00\x00\x06" + bytes(60), "MIDI"),
        (b"\x00\x00\x00\x20ftypheic" + bytes(60), "HEIC"),
        (encode(SIGNAL, 16_000).replace(b"\x01\x00\x01\x00", b"\x34\x12\x01\x00", 1), "0x1234"),
    ],
)
def test_other_formats_are_refused_by_name_with_the_extra_too(content: bytes, found: str) -> None:
    with pytest.raises(UnsupportedFormatError, match=found) as error:
        read_window(content)
    assert "extra" not in error.value.hint


def test_every_demuxer_belongs_to_the_name_of_a_format() -> None:
    names = {name for _, _, name in FOREIGN_FORMATS} | {
        *("an AAC stream (ADTS)", "an AC-3 stream", "an E-AC-3 stream", "an MPEG transport stream"),
    }
    assert {*DEMUXERS} <= names


@pytest.mark.parametrize("container", REFUSED_CONTAINERS)
@pytest.mark.usefixtures("without_formats")
def test_format_outside_the_list_is_refused_although_libsndfile_reads_it(container: str) -> None:
    subtype = next(iter(soundfile.available_subtypes(container)))
    content = encode(busy(1, 8_000), 8_000, container, subtype)
    soundfile.SoundFile(io.BytesIO(content)).close()
    with pytest.raises(UnsupportedFormatError):
        read_window(content)


def test_refused_files_write_nothing_to_standard_output(tmp_path: Path) -> None:
    """Libsndfile's reader of MIDI sample dumps prints a line for each sample that it does not find."""
    dump = encode(SIGNAL[:200], 16_000, "SDS")
    for number, content in enumerate(
        [dump, dump[:28], id3_tag(10) + dump, *(content for content, _ in FOREIGN)]
    ):
        (tmp_path / f"{number:03}").write_bytes(content)
    code = f"""
import pathlib, sys
sys.modules["av"] = None
from audio_classifier.audio.reader import read_window
from audio_classifier.errors import UnsupportedFormatError
for path in sorted(pathlib.Path({str(tmp_path)!r}).iterdir()):
    try:
        read_window(path)
    except UnsupportedFormatError:
        continue
    raise SystemExit(f"{{path}} was read")
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (run.returncode, run.stdout, run.stderr) == (0, "", "")


@pytest.mark.parametrize("container", ["WAV", "AIFF", "AU", "CAF", "W64", "RF64", "FLAC", "OGG", "MP3"])
@pytest.mark.parametrize("tags", [(0,), (100,), (200_000,), (5, 300)])
def test_file_after_id3_tags_equals_the_file_without(container: str, tags: tuple[int, ...]) -> None:
    content = encode(SIGNAL, 16_000, container)
    tagged = b"".join(id3_tag(size) for size in tags) + content
    for start_s in (0.0, 1.0):
        np.testing.assert_array_equal(
            read_window(tagged, start_s=start_s, patches=1), read_window(content, start_s=start_s, patches=1)
        )


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (id3_tag(100), EmptyAudioError),
        (id3_tag(100)[:50], EmptyAudioError),
        (id3_tag(10) + b"Creative Voice File\x1a" + bytes(60), UnsupportedFormatError),
        (id3_tag(10) * 1000 + encode(SIGNAL, 16_000), UnsupportedFormatError),
    ],
)
@pytest.mark.usefixtures("without_formats")
def test_id3_tag_without_audio_is_refused(content: bytes, error: type[AudioError]) -> None:
    with pytest.raises(error):
        read_window(content)


WAV_START = b"RIFF\0\0\0\0WAVEfmt " + bytes(range(256))


@pytest.mark.parametrize(
    ("content", "name"),
    [
        (base64.b64encode(WAV_START), "the base64 text of an audio file"),
        (base64.encodebytes(WAV_START), "the base64 text of an audio file"),
        (b'"' + base64.urlsafe_b64encode(WAV_START).rstrip(b"=") + b'"', "the base64 text of an audio file"),
        (base64.b64encode(b"\xff\xfb\x90\x64" + bytes(100)), "the base64 text of an audio file"),
        (base64.b64encode(b"\0\0\0\x20ftypM4A " + bytes(100)), "the base64 text of an M4A file"),
        (b"data:audio/wav;base64," + base64.b64encode(WAV_START), "a data: URL"),
    ],
)
def test_base64_text_of_a_file_is_named(content: bytes, name: str) -> None:
    with pytest.raises(UnsupportedFormatError, match=name) as caught:
        read_window(content)
    assert "Decode it" in caught.value.hint


@pytest.mark.parametrize("content", [b"a" * 100, b"// a comment in a program, and more text", b"UklGRgAA"])
def test_other_text_is_not_taken_for_base64(content: bytes) -> None:
    with pytest.raises(UnsupportedFormatError, match=r"text \(UTF-8\)"):
        read_window(content)


def test_mpeg_audio_is_not_taken_for_text() -> None:
    """The header FF FE of MPEG-1 Layer I is also the byte order mark of UTF-16."""
    frame = b"\xff\xfe\x68\x00" + np.random.default_rng(0).bytes(2000)
    with pytest.raises(AudioError) as error:
        read_window(frame)
    assert not isinstance(error.value, UnsupportedFormatError)


@pytest.mark.parametrize("content", [b"RIFF", b"RIFF\x00\x00\x00\x00WAV", b"FORM", b"caff\x00\x01"])
def test_file_that_ends_within_its_first_bytes_is_unreadable(content: bytes) -> None:
    with pytest.raises(UnreadableAudioError, match="ends within its header") as error:
        read_window(content)
    assert not isinstance(error.value, UnsupportedFormatError)


def test_damaged_header_in_accepted_container_is_not_a_matter_of_format() -> None:
    content = bytearray(encode(SIGNAL, 16_000))
    content[22:24] = struct.pack("<H", 0)  # no channels
    with pytest.raises(UnreadableAudioError) as error:
        read_window(bytes(content))
    assert not isinstance(error.value, UnsupportedFormatError)


def test_signature_is_read_with_one_read_of_the_beginning() -> None:
    class Reads(io.BytesIO):
        positions: list[int]

        def read(self, size: int | None = -1) -> bytes:
            self.positions.append(self.tell())
            return super().read(size)

    file = Reads(b"%PDF" + bytes(10_000_000))
    file.positions = []
    with pytest.raises(UnsupportedFormatError):
        read_window(file)
    assert file.positions == [0]


def test_text_file_object_is_refused() -> None:
    class Text(io.BytesIO):
        def read(self, size: int | None = -1) -> str:  # type: ignore[override]
            return "RIFF"

    with pytest.raises(InvalidParameterError, match="source") as error:
        read_window(Text())  # type: ignore[arg-type]
    assert "binary" in error.value.hint
