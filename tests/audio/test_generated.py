from __future__ import annotations

import os

import pytest

from audio_classifier.audio.generated import SIZE_BYTES, GeneratedFile
from audio_classifier.errors import DamagedAudioError


def test_chunks_are_generated_when_they_are_read() -> None:
    generated = []

    def chunks() -> object:
        for number in range(100):
            generated.append(number)
            yield bytes([number]) * 1000

    file = GeneratedFile(chunks())  # type: ignore[arg-type]
    assert file.read(1500) == bytes(1000) + b"\1" * 500
    assert generated == [0, 1]
    assert file.seek(-600, os.SEEK_CUR) == 900
    assert file.read(200) == bytes(100) + b"\1" * 100
    assert file.seek(99_990) == 99_990
    assert file.read(100) == b"c" * 10
    assert file.read(100) == b""
    assert file.tell() == 100_000


def test_end_can_be_read_before_the_chunks() -> None:
    file = GeneratedFile(iter([b"beginning"]), b"the end")
    assert file.seek(0, os.SEEK_END) == SIZE_BYTES
    assert file.seek(-3, os.SEEK_END) == SIZE_BYTES - 3
    assert file.read(10) == b"end"
    file.seek(0)
    assert file.read(100) == b"beginning"


def test_only_the_last_chunks_are_kept() -> None:
    file = GeneratedFile(bytes(100_000) for _ in range(100))
    while file.read(100_000):
        pass
    assert file.tell() == 10_000_000
    file.seek(-1_000_000, os.SEEK_CUR)
    assert len(file.read(100_000)) == 100_000
    file.seek(0)
    with pytest.raises(DamagedAudioError, match="cannot be read again"):
        file.read(1)


def test_position_before_the_beginning_is_refused() -> None:
    with pytest.raises(ValueError, match="negative"):
        GeneratedFile(iter([b""])).seek(-1)


def test_position_far_ahead_generates_nothing() -> None:
    file = GeneratedFile(bytes(1) for _ in iter(int, 1))
    file.seek(1 << 39)
    assert file.read(1) == b""
