from __future__ import annotations

import contextlib
import io
import os
import struct
import threading
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from audio_classifier.audio.decoder import MonoDecoder
from audio_classifier.audio.reader import read_window
from audio_classifier.errors import (
    AudioError,
    DamagedAudioError,
    EmptyAudioError,
    InvalidParameterError,
    InvalidSamplesError,
    StartBeyondEndError,
    UnreadableAudioError,
    UnsupportedAudioError,
)
from tests.support.sounds import busy, encode

WAV = encode(busy(3, 16_000), 16_000)


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
        pytest.param(with_header(WAV, 40, "<I", 0), EmptyAudioError, "contains no audio", id="zero frames"),
        pytest.param(
            encode(busy(1, 384_000)[:20], 384_000), EmptyAudioError, "contains no audio", id="half a sample"
        ),
        pytest.param(WAV[:20], UnreadableAudioError, "not a readable audio file", id="cut in its header"),
        pytest.param(b"#!/usr/bin/python\nprint(1)\n", UnreadableAudioError, "not a readable", id="text"),
        pytest.param(bytes(range(256)) * 40, UnreadableAudioError, "not a readable", id="unknown format"),
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
def test_samples_that_are_not_finite_or_too_large_are_refused(value: float, channels: int) -> None:
    signal = busy(3, 16_000, channels)
    signal[20_000, -1] = value
    with pytest.raises(InvalidSamplesError, match="NaN, infinite or larger"):
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
    decoder = MonoDecoder(content)
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


def test_damage_within_the_window_is_reported_with_its_time() -> None:
    content = encode(busy(20, 16_000), 16_000, "FLAC")
    with pytest.raises(DamagedAudioError, match="FLAC data cannot be decoded at"):
        read_window(content[: len(content) // 4])
    assert len(read_window(content[: len(content) * 3 // 4])) > 0  # the window ends before


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
    decoder = MonoDecoder(encode(signal, 16_000, subtype="FLOAT"))
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


def test_infinities_of_both_signs_in_one_frame_are_refused() -> None:
    signal = busy(1, 16_000, channels=2)
    signal[100] = np.inf, -np.inf
    with pytest.raises(InvalidSamplesError):
        read_window(encode(signal, 16_000, subtype="FLOAT"))


def test_start_beyond_flac_of_unknown_length_is_refused() -> None:
    content = bytearray(encode(busy(3, 16_000), 16_000, "FLAC"))
    content[21] &= 0xF0
    content[22:26] = bytes(4)
    assert MonoDecoder(bytes(content)).info.duration_s is None
    with pytest.raises(StartBeyondEndError, match="no audio at"):
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
