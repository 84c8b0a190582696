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


@pytest.mark.parametrize("size", [0, 0xFFFFFFFF])
def test_last_data_chunk_of_unknown_size_is_joined(size: int) -> None:
    content = encode(SIGNAL, 16_000)
    audio = content[44:]
    last = b"data" + struct.pack("<I", size) + audio[100_000:]
    samples, codes = read(content[:36] + chunk(b"data", audio[:100_000]) + last)
    np.testing.assert_array_equal(samples, read(content)[0])
    assert codes == ["repaired"]


@pytest.mark.parametrize("second", [encode(SIGNAL, 16_000), encode(busy(2, 44_100), 44_100, "RF64")])
def test_files_that_follow_one_another_are_read(second: bytes) -> None:
    first = encode(SIGNAL, 16_000)
    samples, codes = read(first + chunk(b"LIST", b"INFO") + second)
    np.testing.assert_array_equal(samples, np.concatenate([read(first)[0], read(second)[0]]))
    assert codes == ["repaired"]
    with AudioReader(first + second) as reader:
        np.testing.assert_array_equal(reader.read(50_000, 3_000), read(second)[0][2_000:5_000])


def test_second_file_that_cannot_be_read_is_reported() -> None:
    first = encode(SIGNAL, 16_000)
    samples, codes = read(first + first[:12] + chunk(b"fmt ", bytes(16)) + chunk(b"data", bytes(5_000)))
    np.testing.assert_array_equal(samples, read(first)[0])
    assert codes == ["partly_read", "repaired"]


@pytest.mark.parametrize("name", [b"LIST", b"odd "])
def test_missing_byte_behind_chunk_of_odd_length_is_noticed(name: bytes) -> None:
    content = encode(SIGNAL, 16_000)
    odd = name + struct.pack("<I", 5) + b"INFOx"
    samples, codes = read(content[:36] + odd + content[36:])
    np.testing.assert_array_equal(samples, read(content)[0])
    assert codes == ["repaired"]
    assert read(content[:36] + odd + b"\0" + content[36:])[1] == []


def test_audio_behind_large_chunk_is_read_when_it_was_never_finalised() -> None:
    content = encode(SIGNAL, 16_000)
    samples, codes = read(content[:36] + chunk(b"JUNK", bytes(2 << 20)) + b"data" + bytes(4) + content[44:])
    np.testing.assert_array_equal(samples, read(content)[0])
    assert codes == ["truncated"]


# What precedes the size of the audio, and how it is written.
SIZE_FIELDS = {
    "AU": (b".snd\0\0\0\x18", ">I"),
    "CAF": (b"data", ">q"),
    "W64": (b"data\xf3\xac\xd3\x11\x8c\xd1\x00\xc0\x4f\x8e\xdb\x8a", "<q"),
}


@pytest.mark.parametrize("container", SIZE_FIELDS)
@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24", "FLOAT", "ULAW"])
@pytest.mark.parametrize(("size", "codes"), [(0, ["truncated"]), (-1, []), (1 << 31, ["truncated"])])
def test_other_file_that_was_never_finalised_is_read_to_its_end(
    container: str, subtype: str, size: int, codes: list[str]
) -> None:
    content = encode(SIGNAL, 16_000, container, subtype)
    before, layout = SIZE_FIELDS[container]
    value = size & 0xFFFFFFFF if layout == ">I" else size
    samples, found = read(patched(content, content.index(before) + len(before), layout, value))
    np.testing.assert_array_equal(samples[: 3 * 16_000], read(content)[0])
    assert len(samples) - 3 * 16_000 < 2_000  # libsndfile writes further chunks behind the audio
    assert found == codes


@pytest.mark.parametrize("container", ["AIFF", "AU", "CAF", "W64", "RF64"])
@pytest.mark.parametrize("subtype", ["PCM_16", "FLOAT"])
def test_cut_file_is_read_to_its_end(container: str, subtype: str) -> None:
    content = encode(SIGNAL, 16_000, container, subtype)
    samples, codes = read(content[: len(content) // 2])
    assert len(samples) > 1.4 * 16_000
    np.testing.assert_array_equal(samples, read(content)[0][: len(samples)])
    assert codes == ["truncated"]


def test_bytes_behind_the_audio_of_au_are_reported() -> None:
    assert read(encode(SIGNAL, 16_000, "AU") + bytes(5_000))[1] == ["partly_read"]


@pytest.mark.parametrize("container", ["WAV", "RF64", "AIFF", "AU", "CAF", "W64"])
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
