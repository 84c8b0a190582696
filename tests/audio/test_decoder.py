from __future__ import annotations

import contextlib
import io
import os
import struct
import subprocess
import sys
import threading
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from audio_classifier.audio.containers import open_audio
from audio_classifier.audio.decoder import MonoDecoder
from audio_classifier.audio.levels import Levels
from audio_classifier.audio.reader import AudioReader, read_window
from audio_classifier.audio.sndfile import SndfileStream
from audio_classifier.audio.source import AudioSource, GuardedFile, opened
from audio_classifier.audio.views import FileView
from audio_classifier.errors import (
    AudioError,
    DamagedAudioError,
    EmptyAudioError,
    InvalidParameterError,
    InvalidSamplesError,
    StartBeyondEndError,
    UnreadableAudioError,
    UnsupportedAudioError,
    UnsupportedFormatError,
)
from tests.fuzz.checksums import ogg_page, ogg_pages
from tests.support.sounds import busy, encode

WAV = encode(busy(3, 16_000), 16_000)


def mono_decoder(content: bytes) -> MonoDecoder:
    return MonoDecoder(open_audio(io.BytesIO(content)).streams[0], Levels())


def with_header(content: bytes, offset: int, layout: str, value: int) -> bytes:
    """Change one number in the header of a file."""
    changed = bytearray(content)
    struct.pack_into(layout, changed, offset, value)
    return bytes(changed)


@pytest.mark.parametrize(
    ("content", "error", "match"),
    [
        pytest.param(b"", EmptyAudioError, "empty", id="empty"),
        pytest.param(WAV[:44], EmptyAudioError, "contains no audio", id="header only"),
        pytest.param(
            with_header(WAV[:44], 40, "<I", 0) + b"LIST\x04\0\0\0INFO",
            EmptyAudioError,
            "no audio",
            id="no frames",
        ),
        pytest.param(
            encode(busy(1, 384_000)[:20], 384_000), EmptyAudioError, "contains no audio", id="half a sample"
        ),
        pytest.param(WAV[:20], UnreadableAudioError, "not a readable audio file", id="cut in its header"),
        pytest.param(b"#!/usr/bin/python\nprint(1)\n", UnsupportedFormatError, "UTF-8", id="text"),
        pytest.param(bytes(range(256)) * 40, UnsupportedFormatError, "begins with", id="unknown format"),
        pytest.param(with_header(WAV, 24, "<I", 10**9), UnsupportedAudioError, "1000000000 Hz", id="1 GHz"),
        pytest.param(with_header(WAV, 24, "<I", 3_999), UnsupportedAudioError, "3999 Hz", id="below 4 kHz"),
        pytest.param(with_header(WAV, 24, "<I", 0), UnreadableAudioError, "not a readable", id="0 Hz"),
        pytest.param(with_header(WAV, 22, "<H", 0), UnreadableAudioError, "not a readable", id="no channels"),
    ],
)
def test_file_without_audio_is_refused_with_its_reason(
    content: bytes, error: type[AudioError], match: str
) -> None:
    with pytest.raises(error, match=match):
        read_window(content)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e30])
@pytest.mark.parametrize("channels", [1, 2])
def test_invalid_samples_are_refused_with_their_time_when_they_are_many(value: float, channels: int) -> None:
    signal = busy(3, 16_000, channels)
    signal[20_000:22_000, -1] = value
    with pytest.raises(
        InvalidSamplesError, match=r"\d % of the samples after 1.25 s|\d% of the samples after 1.25 s"
    ):
        read_window(encode(signal, 16_000, subtype="FLOAT"))


@pytest.mark.parametrize(
    ("container", "subtype", "size"),
    [
        *[("WAV", subtype, size) for size, subtype in ((1, "PCM_U8"), (2, "PCM_16"), (3, "PCM_24"))],
        *[("WAV", subtype, size) for size, subtype in ((4, "PCM_32"), (4, "FLOAT"), (8, "DOUBLE"))],
        *[("WAV", "ULAW", 1), ("AIFF", "PCM_S8", 1)],
        *[("FLAC", "PCM_16", 0), ("OGG", "VORBIS", 0), ("MP3", "MPEG_LAYER_III", 0)],
    ],
)
def test_frame_bytes_match_the_size_of_uncompressed_frames(container: str, subtype: str, size: int) -> None:
    content = encode(busy(1, 16_000, channels=2), 16_000, container, subtype)
    decoder = mono_decoder(content)
    assert decoder.info.frame_bytes == 2 * size
    if size:
        assert 0 <= len(content) - decoder.info.frame_bytes * 16_000 < 200
    decoder.close()


def test_invalid_samples_beyond_the_window_are_ignored() -> None:
    signal = busy(30, 16_000)
    signal[25 * 16_000] = np.nan
    assert len(read_window(encode(signal, 16_000, subtype="FLOAT"))) > 0


def test_wav_is_read_to_its_end_when_header_states_four_gigabytes() -> None:
    content = with_header(with_header(WAV, 4, "<I", 0xFFFFFFFF), 40, "<I", 0xFFFFFFFF)
    np.testing.assert_array_equal(read_window(content), read_window(WAV))


@pytest.mark.parametrize("container", ["WAV", "OGG", "MP3"])
def test_truncated_file_is_read_as_far_as_it_can_be_decoded(container: str) -> None:
    content = encode(busy(20, 16_000), 16_000, container)
    short = read_window(content[: len(content) // 4])
    assert 3 * 16_000 < len(short) < 6 * 16_000


def test_flac_of_unknown_length_is_read_to_its_end() -> None:
    content = bytearray(encode(busy(3, 16_000), 16_000, "FLAC"))
    expected = read_window(bytes(content))
    content[21] &= 0xF0  # STREAMINFO's count of samples, 36 bits: 0, as written to a pipe
    content[22:26] = bytes(4)
    np.testing.assert_array_equal(read_window(bytes(content)), expected)


def test_corrupt_flac_data_are_reported() -> None:
    content = bytearray(encode(busy(20, 16_000), 16_000, "FLAC"))
    middle = len(content) // 8
    content[middle : middle + 3000] = np.random.default_rng(0).bytes(3000)
    with pytest.raises(DamagedAudioError, match="cannot be decoded"):
        read_window(bytes(content))


def test_memory_is_bounded_for_file_with_a_thousand_channels() -> None:
    content = encode(np.zeros((8_000, 1_000), np.float32), 8_000)
    tracemalloc.start()
    read_window(memoryview(content))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak - len(content) < 8e6  # without BytesIO's copy; decoding at once would take 32 MB


def test_memory_is_bounded_by_the_window_for_flac_that_expands_a_thousandfold() -> None:
    content = encode(np.zeros((1200 * 44_100, 1), np.int16), 44_100, "FLAC")
    assert len(content) < 1200 * 44_100 * 2 / 500
    tracemalloc.start()
    read_window(content)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 12e6


class BrokenFile(io.BytesIO):
    """A file that cannot be read beyond its first kilobytes, as with a broken network."""

    def read(self, size: int | None = -1) -> bytes:
        if self.tell() > 10_000:
            raise ConnectionResetError("the peer went away")
        return super().read(size)


def test_read_error_of_the_file_is_raised_unchanged() -> None:
    with pytest.raises(ConnectionResetError, match="the peer went away"):
        read_window(BrokenFile(WAV))


def test_read_error_while_opening_is_raised_unchanged() -> None:
    broken = BrokenFile(WAV)
    broken.seekable = lambda: True  # type: ignore[method-assign]
    broken.tell = lambda: 1 << 20  # type: ignore[method-assign]
    with pytest.raises(ConnectionResetError, match="the peer went away"):
        read_window(broken)


def test_file_object_that_cannot_seek_is_refused() -> None:
    class Pipe(io.BytesIO):
        def seekable(self) -> bool:
            return False

    with pytest.raises(InvalidParameterError, match="binary and seekable"):
        read_window(Pipe(WAV))


def test_path_that_cannot_be_opened_raises_os_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_window(tmp_path / "nothing.wav")
    with pytest.raises(IsADirectoryError):
        read_window(tmp_path)


def test_frames_can_be_read_in_any_order() -> None:
    signal = busy(4, 16_000)
    decoder = mono_decoder(encode(signal, 16_000, subtype="FLOAT"))
    for start, stop in [(100, 200), (150, 400), (400, 500), (0, 50), (60_000, 70_000), (10, 20)]:
        np.testing.assert_array_equal(decoder.frames(start, stop), signal[start:stop, 0])
    decoder.close()


@pytest.mark.parametrize(("offset", "value"), [(38, 0xFF), (38, 0x80), (39, 0x00), (39, 0x7F)])
def test_header_that_points_before_the_beginning_is_refused(offset: int, value: int) -> None:
    content = bytearray(encode(busy(1, 16_000), 16_000, "AIFF"))
    content[offset] = value
    with pytest.raises(AudioError):
        read_window(bytes(content))


@pytest.mark.parametrize("container", ["WAV", "FLAC", "OGG", "MP3", "AIFF", "CAF", "W64", "AU"])
def test_damaged_file_is_read_or_raises_audio_error(container: str) -> None:
    """Bytes are changed at random, most of them in the header."""
    rng = np.random.default_rng(7)
    content = encode(busy(1.2, 8_000), 8_000, container)
    for _ in range(60):
        damaged = bytearray(content)
        for position in np.minimum(rng.geometric(0.01, 3), len(content)) - 1:
            damaged[position] = rng.integers(256)
        with contextlib.suppress(AudioError):
            read_window(bytes(damaged))


def test_start_beyond_flac_of_unknown_length_is_refused_with_the_length() -> None:
    content = bytearray(encode(busy(3, 16_000), 16_000, "FLAC"))
    content[21] &= 0xF0
    content[22:26] = bytes(4)
    with pytest.raises(StartBeyondEndError, match="the recording, which lasts 3 s"):
        read_window(bytes(content), start_s=50)


@pytest.mark.parametrize("source", [None, 3, io.StringIO("text"), "a\0b", memoryview(WAV)[::2]])
def test_source_that_is_not_a_file_is_refused(source: Any) -> None:
    with pytest.raises(InvalidParameterError, match="source: not a usable file"):
        read_window(source)


def test_closed_file_is_refused() -> None:
    file = io.BytesIO(WAV)
    file.close()
    with pytest.raises(InvalidParameterError, match="closed file"):
        read_window(file)


def test_pipe_is_read_to_its_end(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=lambda: pipe.write_bytes(WAV))
    writer.start()
    np.testing.assert_array_equal(read_window(pipe), read_window(WAV))
    writer.join()


@pytest.fixture
def ogg_without_frames() -> bytes:
    """An Ogg file with intact headers and a last page that states 2 s, but without a frame to decode."""
    pages = ogg_pages(encode(busy(2, 16_000), 16_000, "OGG"))
    return b"".join([*pages[:2], ogg_page(pages[-1], b"", b"")])


@pytest.mark.parametrize("kind", ["bytes", "path", "file"])
def test_ogg_without_frames_is_refused_before_a_seek(
    ogg_without_frames: bytes, tmp_path: Path, kind: str
) -> None:
    path = tmp_path / "a.ogg"
    path.write_bytes(ogg_without_frames)
    source: Any = {"bytes": ogg_without_frames, "path": path, "file": io.BytesIO(ogg_without_frames)}[kind]
    with pytest.raises(DamagedAudioError, match="no audio that can be decoded"):
        read_window(source, start_s=1)


@pytest.mark.parametrize("number", [1, 2000733, 2003693, 2017696])
@pytest.mark.parametrize("start_s", [0, 1, 1.05])
def test_ogg_file_that_crashes_a_seek_is_refused(golden_data: Path, number: int, start_s: float) -> None:
    """Run in a child process, because the fault ends the process with a signal."""
    path = golden_data / "inputs" / f"crash_seek_{number}.ogg"
    code = f"""
import io
from audio_classifier.audio.reader import AudioReader, read_window
from audio_classifier.audio.sndfile import SndfileStream
from audio_classifier.errors import DamagedAudioError
content = open({str(path)!r}, "rb").read()
for source in (content, {str(path)!r}, io.BytesIO(content)):
    try:
        read_window(source, start_s={start_s})
    except DamagedAudioError as error:
        print(error.code)
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (run.returncode, run.stdout.split()) == (0, ["damaged_audio"] * 3)


@pytest.mark.parametrize(
    ("container", "subtype"),
    [
        *[("OGG", "VORBIS"), ("OGG", "OPUS"), ("FLAC", "PCM_16"), ("CAF", "ALAC_16")],
        *[("WAV", subtype) for subtype in ("IMA_ADPCM", "MS_ADPCM", "GSM610", "G721_32", "NMS_ADPCM_32")],
        *[("AIFF", "DWVW_16"), ("AIFF", "GSM610"), ("W64", "GSM610"), ("AU", "G723_24"), ("AU", "G723_40")],
    ],
)
def test_frames_after_a_seek_equal_those_read_in_order(container: str, subtype: str) -> None:
    content = encode(busy(4, 16_000), 16_000, container, subtype)
    whole, sought = mono_decoder(content), mono_decoder(content)
    expected = whole.frames(0, 80_000)  # codecs of whole blocks add silence
    for start, stop in [(30_000, 40_000), (10_000, 12_000), (0, 64_000), (50_000, 64_000), (63_000, 70_000)]:
        np.testing.assert_array_equal(sought.frames(start, stop), expected[start:stop])
    whole.close()
    sought.close()


@pytest.mark.parametrize("container", ["WAV", "FLAC", "OGG", "MP3"])
def test_reading_continues_after_a_start_beyond_the_end(container: str) -> None:
    content = encode(busy(2, 16_000), 16_000, container)
    decoder = mono_decoder(content)
    expected = mono_decoder(content).frames(0, 1_000)
    for start in (10**7, 2**63, 2**80):
        with pytest.raises(StartBeyondEndError):
            decoder.frames(start, start + 1_000)
    np.testing.assert_allclose(decoder.frames(0, 1_000), expected, atol=1e-6)
    decoder.close()


@pytest.mark.parametrize("start_s", [1e15, 1e300, sys.float_info.max])
@pytest.mark.parametrize("unknown_length", [True, False])
def test_huge_start_is_refused(start_s: float, unknown_length: bool) -> None:
    content = bytearray(encode(busy(3, 16_000), 16_000, "FLAC"))
    if unknown_length:
        content[21] &= 0xF0
        content[22:26] = bytes(4)
    with pytest.raises(StartBeyondEndError, match="beyond the end of") as error:
        read_window(bytes(content), start_s=start_s)
    assert "Use a start time" in error.value.hint


def test_rf64_whose_sizes_overflow_a_seek_raises_no_foreign_exception(
    capfd: pytest.CaptureFixture[str],
) -> None:
    content = bytearray(encode(busy(1.1, 16_000), 16_000, "RF64"))
    fmt = content.index(b"fmt ")
    content[fmt:fmt] = b"junk" + struct.pack("<I", 0xFFFFFFFF)
    with contextlib.suppress(AudioError):
        read_window(bytes(content))
    struct.pack_into("<Q", content, 28, 2**63 - 1)
    with contextlib.suppress(AudioError):
        read_window(bytes(content))
    assert capfd.readouterr() == ("", "")  # cffi prints exceptions that it cannot pass on


@pytest.mark.parametrize("kind", ["bytes", "path", "view"])
def test_seek_out_of_range_leaves_the_position(kind: str, tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_bytes(WAV)
    # A view accepts positions beyond 64 bits, as a recording in another process does.
    sources: dict[str, AudioSource] = {"bytes": WAV, "path": tmp_path / "a.wav", "view": FileView([WAV])}
    with opened(sources[kind]) as content:
        file = GuardedFile(content)
        file.seek(10)
        for offset, whence in [
            (-1, os.SEEK_SET),
            (-11, os.SEEK_CUR),
            (-len(WAV) - 1, os.SEEK_END),
            (2**63 - 1, os.SEEK_CUR),
        ]:
            assert file.guard(lambda: file.seek(offset, whence)) == 10  # noqa: B023
        assert file.guard(lambda: file.seek(-len(WAV), os.SEEK_END)) == 0
        assert file.seek(0, os.SEEK_END) == len(WAV)


@pytest.mark.parametrize(
    "failure", [MemoryError(), OverflowError("too large"), soundfile.SoundFileRuntimeError("closed")]
)
def test_failures_of_the_library_become_audio_errors(
    monkeypatch: pytest.MonkeyPatch, failure: Exception
) -> None:
    def fail(*_: Any, **__: Any) -> Any:
        raise failure

    decoder = mono_decoder(WAV)
    with monkeypatch.context() as patch:
        patch.setattr(soundfile.SoundFile, "read", fail)
        with pytest.raises(DamagedAudioError, match=str(failure) or "MemoryError"):
            decoder.frames(0, 100)
        patch.setattr(soundfile.SoundFile, "__init__", fail)
        with pytest.raises(UnreadableAudioError, match="not a readable"):
            mono_decoder(WAV)


@pytest.mark.parametrize(
    ("container", "subtype", "channels"),
    [("OGG", "VORBIS", 16), ("OGG", "OPUS", 8), ("WAV", "PCM_16", 200), ("FLAC", "PCM_16", 8)],
)
def test_channels_within_the_limit_are_read(container: str, subtype: str, channels: int) -> None:
    content = encode(np.zeros((8_000, channels), np.float32), 8_000, container, subtype)
    assert len(read_window(content)) == 16_000


@pytest.mark.parametrize(("subtype", "channels"), [("VORBIS", 17), ("VORBIS", 255), ("OPUS", 255)])
def test_compressed_file_with_too_many_channels_is_refused(subtype: str, channels: int) -> None:
    content = encode(np.zeros((8_000, channels), np.float32), 8_000, "OGG", subtype)
    with pytest.raises(UnsupportedAudioError, match=f"at most 16 channels, got {channels}"):
        read_window(content)


def test_closing_blocks_ends_the_decoding(monkeypatch: pytest.MonkeyPatch) -> None:
    """An hour of silence in 0.4 MB of FLAC is not decoded further than it is used."""
    content = encode(np.zeros((3600 * 8_000, 1), np.int16), 8_000, "FLAC")
    decoded = 0
    read = SndfileStream.read

    def counting(stream: SndfileStream, count: int) -> Any:
        nonlocal decoded
        block = read(stream, count)
        decoded += len(block)
        return block

    monkeypatch.setattr(SndfileStream, "read", counting)
    with AudioReader(content) as reader:
        blocks = reader.blocks(10)
        next(blocks)
        next(blocks)
        blocks.close()
    assert 18 * 8_000 < decoded < 21 * 8_000


class ThenZeros(io.RawIOBase):
    """A file that continues with zeros up to a length, and counts what is read."""

    def __init__(self, content: bytes, size: int) -> None:
        self.content, self.size = content, size
        self.position = self.bytes_read = self.reads = 0

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self.position

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self.position = (0, self.position, self.size)[whence] + offset
        return self.position

    def read(self, size: int = -1) -> bytes:
        count = max(0, min(size, self.size - self.position))
        data = self.content[self.position : self.position + count].ljust(count, b"\0")
        self.position += count
        self.bytes_read += count
        self.reads += 1
        return data


@pytest.mark.parametrize("container", ["WAV", "W64", "AIFF", "CAF", "FLAC", "OGG", "MP3"])
@pytest.mark.parametrize("start_s", [0, 8])
@pytest.mark.parametrize("part", [1, 4])
def test_little_is_read_of_a_file_that_continues_with_zeros(
    container: str, start_s: float, part: int
) -> None:
    content = encode(busy(10, 16_000), 16_000, container)
    file = ThenZeros(content[: len(content) // part], 1 << 30)
    if container == "MP3":
        file.size = 1 << 20  # its reads are bounded in proportion to the size
    with contextlib.suppress(AudioError):
        read_window(file, start_s=start_s)
    assert file.bytes_read <= 2 * (32 << 20) + (4 << 20)
    assert file.reads < 200_000


def test_file_with_large_metadata_before_the_audio_is_read() -> None:
    """Metadata take 15 MB, as pictures in tags do."""
    flac = encode(busy(2, 16_000), 16_000, "FLAC")
    block = b"\x02" + (15_000_000).to_bytes(3, "big") + bytes(15_000_000)
    expected = read_window(flac, start_s=1)
    np.testing.assert_array_equal(read_window(flac[:42] + block + flac[42:], start_s=1), expected)


def test_start_that_the_size_of_the_file_excludes_is_refused_at_once() -> None:
    """The last page states 2^60 frames; libsndfile would search for the start for minutes."""
    pages = ogg_pages(encode(busy(2, 8_000), 8_000, "OGG", "OPUS"))
    last = pages[-1]
    first = 27 + last[26]
    header = last[:6] + struct.pack("<Q", 1 << 60) + last[14:22]
    content = b"".join([*pages[:-1], ogg_page(header, last[27:first], last[first:])])
    with pytest.raises(StartBeyondEndError, match=f"only {len(content)} bytes"):
        read_window(content, start_s=1e6)


@pytest.mark.parametrize("container", ["WAV", "RF64", "W64", "AIFF", "AU", "CAF", "FLAC", "OGG", "MP3"])
def test_reading_ends_when_the_file_fails_at_any_read(container: str) -> None:
    """Libsndfile reads chunks forever if reads fail and the position does not move."""

    class Failing(io.BytesIO):
        left = 0

        def read(self, size: int | None = -1) -> bytes:
            self.left -= 1
            if self.left < 0:
                raise ConnectionResetError("the peer went away")
            return super().read(size)

    file = Failing(encode(busy(0.5, 8_000), 8_000, container) + bytes(1000))
    for count in range(12):
        file.left = count
        with contextlib.suppress(ConnectionResetError, AudioError):
            read_window(file)
        assert file.left >= -1  # nothing is read after the failure
