from __future__ import annotations

import struct

import numpy as np
import pytest

from audio_classifier.audio.reader import read_window
from audio_classifier.errors import AudioError, UnreadableAudioError
from tests.support.sounds import busy, encode

CAF = encode(busy(3, 16_000), 16_000, "CAF", "ALAC_16")
TABLE = CAF.index(b"pakt") + 12 + 24  # of the first packet's size
PACKETS_END = TABLE - 24 + struct.unpack_from(">q", CAF, TABLE - 32)[0]


def with_table(offset: int, values: bytes) -> bytes:
    return CAF[: TABLE + offset] + values + CAF[TABLE + offset + len(values) :]


@pytest.mark.parametrize("subtype", ["ALAC_16", "ALAC_20", "ALAC_24", "ALAC_32"])
def test_packet_table_of_the_encoder_is_accepted(subtype: str) -> None:
    signal = busy(3, 16_000)
    samples = read_window(encode(signal, 16_000, "CAF", subtype))
    np.testing.assert_allclose(samples, signal[: len(samples), 0], atol=1e-3)


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(with_table(0, b"\xff" * 6), id="size of six bytes"),
        pytest.param(with_table(2, b"\x80" * 5 + b"\x01"), id="size of six bytes, with zeros"),
        pytest.param(CAF[: PACKETS_END - 1] + b"\x81" + CAF[PACKETS_END:], id="ends within a size"),
        pytest.param(CAF[: TABLE + 4], id="truncated"),
        pytest.param(CAF[: TABLE - 32] + struct.pack(">q", 1 << 60) + CAF[TABLE - 24 :], id="huge"),
    ],
)
def test_damaged_packet_table_is_refused_without_output(
    content: bytes, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(UnreadableAudioError, match="packet table"):
        read_window(content)
    assert capfd.readouterr() == ("", "")


def test_chunk_sizes_beyond_any_file_are_refused_or_ignored() -> None:
    desc_size = 8 + 4
    for size in (-(1 << 63), -1, 0, (1 << 63) - 1):
        content = CAF[:desc_size] + struct.pack(">q", size) + CAF[desc_size + 8 :]
        with pytest.raises(AudioError):
            read_window(content)
