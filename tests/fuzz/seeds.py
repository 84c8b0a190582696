"""Small valid files of every accepted container and codec, as a start for the fuzzer."""

from __future__ import annotations

from typing import Final

import numpy as np
import soundfile

from tests.support.media import FORMATS, encode_media
from tests.support.mpeg import ID3V1, ID3V2, mp3, without_tag
from tests.support.ogg import flac_in_ogg, multiplexed, ogg_packets, with_serial
from tests.support.sounds import busy, encode
from tests.support.webm import Webm, laced

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
            files[f"{container}-{subtype}"] = with_serial(content, 1) if container == "OGG" else content
    files["WAVEX-PCM_16"] = encode(busy(DURATION_S, 8_000, 2), 8_000, "WAVEX", "PCM_16")
    files["FLAC-silence"] = encode(np.zeros((40_000, 1), np.float32), 8_000, "FLAC")
    files["OGG-silence"] = with_serial(encode(np.zeros((400_000, 1), np.float32), 8_000, "OGG"), 1)
    files["OGG-chained"] = files["OGG-VORBIS"] + with_serial(files["OGG-VORBIS"], 2)
    files["OGG-mixed"] = files["OGG-OPUS"] + with_serial(files["OGG-VORBIS"], 2)
    files["OGG-multiplexed"] = multiplexed(files["OGG-VORBIS"], with_serial(files["OGG-OPUS"], 2))
    flac = encode(busy(DURATION_S, 8_000), 8_000, "FLAC")
    files["OGG-FLAC"] = flac_in_ogg(flac, 3)
    files["OGG-FLAC-former"] = flac_in_ogg(flac, 4, former_mapping=True, packets_per_page=2)
    files["OGG-three"] = files["OGG-FLAC"] + files["OGG-OPUS"] + files["OGG-FLAC-former"]
    head, _, *packets = ogg_packets(files["OGG-OPUS"])
    files["WEBM-OPUS"] = Webm(packets, head, cluster_ms=300).content()
    files["WEBM-OPUS-laced"] = Webm(
        packets, head, is_live=False, in_groups=True, lacing="ebml", laced_packets=3, discard_ns=7_000_000
    ).content()
    headers, packets = ogg_packets(files["OGG-VORBIS"])[:3], ogg_packets(files["OGG-VORBIS"])[3:]
    private = b"\x02" + laced(headers, "xiph")[1][1:]
    files["WEBM-VORBIS"] = Webm(packets, private, "A_VORBIS", 40, picture_bytes=90).content()
    variable = mp3(busy(DURATION_S, 8_000), 8_000, "VARIABLE")
    files["MP3-without-tag"] = without_tag(variable)
    files["MP3-concatenated"] = variable + ID3V1 + ID3V2 + files["MP3-MPEG_LAYER_III"] + bytes(100) + variable
    for name in ("MP3-MPEG_LAYER_III", "FLAC-PCM_16"):
        files[f"{name}-ID3"] = b"ID3\x03\x00\x00\x00\x00\x00\x20" + bytes(32) + files[name]
    for name, media in FORMATS.items():
        files[f"FFmpeg-{name.replace(' ', '-')}"] = encode_media(busy(DURATION_S, 8_000), 8_000, media)
    files["FFmpeg-surround"] = encode_media(busy(DURATION_S, 8_000, 8), 8_000, FORMATS["M4A"])
    return files
