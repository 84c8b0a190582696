"""Small valid files of every accepted container and codec, as a start for the fuzzer."""

from __future__ import annotations

import struct
from typing import Final

import numpy as np
import soundfile

from tests.fuzz.checksums import ogg_page, ogg_pages
from tests.support.mpeg import ID3V1, ID3V2, mp3, without_tag
from tests.support.sounds import busy, encode

CONTAINERS: Final = ("WAV", "W64", "RF64", "AIFF", "AU", "CAF", "FLAC", "OGG", "MP3")
# libsndfile decodes these, but cannot write them.
UNWRITABLE: Final = frozenset(
    (
        *(("WAV", "MPEG_LAYER_III"), ("AIFF", "DWVW_12")),
        *(("MP3", "MPEG_LAYER_I"), ("MP3", "MPEG_LAYER_II")),
    )
)
STEREO: Final = frozenset(("PCM_16", "FLOAT", "VORBIS", "OPUS", "MPEG_LAYER_III", "ALAC_16"))
DURATION_S: Final = 1.1


def seed_files() -> dict[str, bytes]:
    """Encode the files, by name; equal in every run."""
    files: dict[str, bytes] = {}
    for container in CONTAINERS:
        for subtype in soundfile.available_subtypes(container):
            if (container, subtype) in UNWRITABLE:
                continue
            channels = 2 if subtype in STEREO else 1
            content = encode(busy(DURATION_S, 8_000, channels), 8_000, container, subtype)
            files[f"{container}-{subtype}"] = _with_serial(content, 1) if container == "OGG" else content
    files["WAVEX-PCM_16"] = encode(busy(DURATION_S, 8_000, 2), 8_000, "WAVEX", "PCM_16")
    files["FLAC-silence"] = encode(np.zeros((40_000, 1), np.float32), 8_000, "FLAC")
    files["OGG-silence"] = _with_serial(encode(np.zeros((400_000, 1), np.float32), 8_000, "OGG"), 1)
    files["OGG-chained"] = files["OGG-VORBIS"] + _with_serial(files["OGG-VORBIS"], 2)
    files["OGG-mixed"] = files["OGG-OPUS"] + _with_serial(files["OGG-VORBIS"], 2)
    files["OGG-multiplexed"] = _multiplexed(files["OGG-VORBIS"], _with_serial(files["OGG-OPUS"], 2))
    variable = mp3(busy(DURATION_S, 8_000), 8_000, "VARIABLE")
    files["MP3-without-tag"] = without_tag(variable)
    files["MP3-concatenated"] = variable + ID3V1 + ID3V2 + files["MP3-MPEG_LAYER_III"] + bytes(100) + variable
    for name in ("MP3-MPEG_LAYER_III", "FLAC-PCM_16"):
        files[f"{name}-ID3"] = b"ID3\x03\x00\x00\x00\x00\x00\x20" + bytes(32) + files[name]
    return files


def _with_serial(content: bytes, serial: int) -> bytes:
    """Replace the serial number, which the encoder draws at random."""
    pages = []
    for page in ogg_pages(content):
        first = 27 + page[26]
        header = page[:14] + struct.pack("<I", serial) + page[18:22]
        pages.append(ogg_page(header, page[27:first], page[first:]))
    return b"".join(pages)


def _multiplexed(first: bytes, second: bytes) -> bytes:
    """Interleave the pages of two streams, as in files with several tracks."""
    one, two = ogg_pages(first), ogg_pages(second)
    count = max(len(one), len(two))
    return b"".join(page for number in range(count) for page in (*one[number:][:1], *two[number:][:1]))
