from __future__ import annotations

import struct
from typing import Any

import numpy as np
import pytest

from audio_classifier.audio.reader import AudioReader
from audio_classifier.errors import AudioError
from tests.support.sounds import busy, encode

SIGNAL = busy(3, 16_000, channels=2)


def read(content: bytes) -> tuple[Any, list[str]]:
    with AudioReader(content) as reader:
        return reader.read(0, 1 << 20), [warning.code for warning in reader.warnings]


def patched(content: bytes, offset: int, layout: str, value: int) -> bytes:
    changed = bytearray(content)
    struct.pack_into(layout, changed, offset, value)
    return bytes(changed)


def with_audio_size(content: bytes, value: int, chunk: bytes = b"data", layout: str = "<I") -> bytes:
    return patched(content, content.index(chunk) + 4, layout, value)


def chunk(name: bytes, content: bytes) -> bytes:
    return name + struct.pack("<I", len(content)) + content + bytes(len(content) % 2)


@pytest.mark.parametrize("size", [0, 0xFFFFFFFF])
@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_16", "PCM_24", "FLOAT", "ULAW", "IMA_ADPCM"])
def test_wav_that_was_never_finalised_is_read_to_its_end(subtype: str, size: int) -> None:
    content = encode(SIGNAL, 16_000, subtype=subtype)
    expected, _ = read(content)
    samples, codes = read(with_audio_size(patched(content, 4, "<I", 0), size))
    np.testing.assert_array_equal(samples, expected)
    assert codes == ["truncated"]


def test_big_endian_wav_that_was_never_finalised_is_read_to_its_end() -> None:
    little = encode(SIGNAL, 16_000)
    frames = np.frombuffer(little[44:], "<i2").astype(">i2").tobytes()
    header = (
        b"RIFX"
        + struct.pack(">I", 0)
        + b"WAVEfmt "
        + struct.pack(">IHHIIHH", 16, 1, 2, 16_000, 64_000, 4, 16)
    )
    samples, codes = read(header + b"data" + bytes(4) + frames)
    np.testing.assert_array_equal(samples, read(little)[0])
    assert codes == ["truncated"]


@pytest.mark.parametrize("size", [0, 0xFFFFFFFF, 2**63 - 1])
def test_rf64_that_was_never_finalised_is_read_to_its_end(size: int) -> None:
    content = encode(SIGNAL, 16_000, "RF64")
    expected, _ = read(content)
    samples, codes = read(patched(content, content.index(b"ds64") + 16, "<Q", size))
    np.testing.assert_array_equal(samples, expected)
    assert codes == ["truncated"]


@pytest.mark.parametrize("subtype", ["PCM_S8", "PCM_16", "PCM_24", "FLOAT"])
def test_aiff_that_was_never_finalised_is_read_to_its_end(subtype: str) -> None:
    content = encode(SIGNAL, 16_000, "AIFF", subtype)
    expected, _ = read(content)
    changed = with_audio_size(patched(content, 4, ">I", 0), 0, b"SSND", ">I")
    changed = patched(changed, changed.index(b"COMM") + 10, ">I", 0)
    samples, codes = read(changed)
    np.testing.assert_array_equal(samples, expected)
    assert codes == ["truncated"]


def test_data_chunks_are_joined() -> None:
    content = encode(SIGNAL, 16_000)
    audio = content[44:]
    parts = chunk(b"LIST", b"INFO") + chunk(b"data", audio[100_000:])
    samples, codes = read(content[:36] + chunk(b"data", audio[:100_000]) + parts)
    np.testing.assert_array_equal(samples, read(content)[0])
    assert codes == ["repaired"]


def test_window_of_joined_chunks_is_read_across_them() -> None:
    content = encode(SIGNAL, 16_000)
    audio = content[44:]
    joined = content[:36] + chunk(b"data", audio[:100_000]) + chunk(b"data", audio[100_000:])
    with AudioReader(joined) as reader, AudioReader(content) as whole:
        np.testing.assert_array_equal(reader.read(24_000, 16_000), whole.read(24_000, 16_000))


def test_file_that_is_cut_is_read_with_its_sizes_in_the_warning() -> None:
    content = encode(SIGNAL, 16_000)
    with AudioReader(content[: 44 + 64_000]) as reader:
        assert len(reader.read(0, 1 << 20)) == 16_000
        (warning,) = reader.warnings
    assert (warning.code, warning.details) == (
        "truncated",
        {"stated_bytes": 192_000, "present_bytes": 64_000},
    )


def test_bytes_behind_the_chunks_are_reported() -> None:
    _, codes = read(encode(SIGNAL, 16_000) + bytes(5_000))
    assert codes == ["partly_read"]
    assert read(encode(SIGNAL, 16_000) + bytes(500))[1] == []


def test_chunks_behind_the_audio_cause_no_warning() -> None:
    content = encode(SIGNAL, 16_000)
    for size in (10, 11, 20_000):
        assert read(content + chunk(b"LIST", bytes(size)))[1] == []


def test_empty_data_chunk_before_other_chunks_contains_no_audio() -> None:
    with pytest.raises(AudioError, match="contains no audio"):
        read(encode(SIGNAL, 16_000)[:36] + chunk(b"data", b"") + chunk(b"LIST", bytes(3_000)))


@pytest.mark.parametrize("container", ["WAV", "RF64", "AIFF"])
def test_damaged_headers_raise_audio_errors_or_are_read(container: str) -> None:
    rng = np.random.default_rng(3)
    content = encode(busy(0.3, 8_000), 8_000, container)
    for _ in range(300):
        damaged = bytearray(content)
        for position in rng.integers(0, 120, 3):
            damaged[position] = rng.choice([0, 1, 0x7F, 0x80, 0xFF, int(rng.integers(256))])
        try:
            read(bytes(damaged))
        except AudioError as error:
            assert str(error)  # noqa: PT017
