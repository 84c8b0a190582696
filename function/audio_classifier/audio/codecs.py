"""Name the codec in an accepted container that libsndfile cannot decode."""

from __future__ import annotations

import struct
from typing import Final

# Registered format tags of WAV files that libsndfile decodes.
DECODED_TAGS: Final = frozenset((0x01, 0x02, 0x03, 0x06, 0x07, 0x11, 0x31, 0x38, 0x40, 0x45, 0x55))
UNKNOWN_CODEC: Final = "an unknown codec"
EXTENSIBLE_TAG: Final = 0xFFFE
TAG_NAMES: Final = {
    0x000A: "Windows Media Voice",
    0x0010: "OKI ADPCM",
    0x0014: "G.723 ADPCM",
    0x0022: "TrueSpeech",
    0x0042: "G.723.1",
    0x0050: "MPEG Layer 1 or 2",
    0x0057: "AMR-NB",
    0x0058: "AMR-WB",
    0x0064: "G.726",
    0x0065: "G.722",
    0x0083: "G.729",
    0x0092: "AC-3 (S/PDIF)",
    0x00FF: "AAC",
    0x0130: "ACELP.net",
    0x0160: "Windows Media Audio 1",
    0x0161: "Windows Media Audio 2",
    0x0162: "Windows Media Audio 9 Professional",
    0x0163: "Windows Media Audio 9 Lossless",
    0x0270: "ATRAC3",
    0x028F: "G.722",
    0x1600: "AAC (ADTS)",
    0x1610: "AAC",
    0x2000: "AC-3",
    0x2001: "DTS",
    0x566F: "Vorbis",
    0x674F: "Vorbis",
    0x6750: "Vorbis",
    0x6751: "Vorbis",
    0x676F: "Vorbis",
    0xA106: "AAC",
    0xA109: "Speex",
    0xF1AC: "FLAC",
}
# The first packets of streams in Ogg that libsndfile does not decode.
OGG_NAMES: Final = {
    b"Speex   ": "Speex",
    b"\x80theora": "Theora video",
    b"fishead": "a skeleton stream",
    b"CELT    ": "CELT",
    b"PCM     ": "PCM",
    b"BBCD": "Dirac video",
    b"\x01video": "video",
    b"OVP80": "VP8 video",
}
# Compression types of AIFF-C and CAF files.
FOURCC_NAMES: Final = {
    b"aac ": "AAC",
    b"ac-3": "AC-3",
    b".mp1": "MPEG Layer 1",
    b".mp2": "MPEG Layer 2",
    b".mp3": "MP3",
    b"MAC3": "MACE 3:1",
    b"MAC6": "MACE 6:1",
    b"QDM2": "QDesign Music 2",
    b"QDMC": "QDesign Music",
    b"Qclp": "Qualcomm PureVoice",
    b"opus": "Opus",
    b"flac": "FLAC",
    b"samr": "AMR",
    b"ilbc": "iLBC",
    b"ima4": "IMA ADPCM",
}
DECODED_FOURCCS: Final = frozenset(
    (
        *(b"NONE", b"none", b"sowt", b"twos", b"raw ", b"in24", b"in32", b"42ni", b"23ni", b"fl32", b"FL32"),
        *(b"fl64", b"FL64", b"ulaw", b"ULAW", b"alaw", b"ALAW", b"lpcm", b"alac", b"DWVW", b"GSM "),
    )
)


def undecodable_codec(head: bytes) -> str:
    """Name the codec from the first bytes of a file, or return "" if libsndfile decodes it or it is unknown.

    Parameters
    ----------
    head
        The first kilobytes of a file in an accepted container.
    """
    if head.startswith((b"RIFF", b"RF64")):
        return _wave_codec(head, "<")
    if head.startswith(b"RIFX"):
        return _wave_codec(head, ">")
    if head.startswith(b"OggS"):
        return ogg_codec(head[27 + head[26] :] if len(head) > 26 else b"")
    if head.startswith(b"FORM") and head[8:12] == b"AIFC":
        return _fourcc_codec(_chunk(head, b"COMM", ">")[18:22])
    if head.startswith(b"caff"):
        return _fourcc_codec(head[28:32])
    return ""


def ogg_codec(packet: bytes) -> str:
    """Name the codec of a stream in Ogg from its first packet, or return "" if it is decoded or unknown."""
    return next((name for start, name in OGG_NAMES.items() if packet.startswith(start)), "")


def _wave_codec(head: bytes, order: str) -> str:
    header = _chunk(head, b"fmt ", order)
    if len(header) < 2:
        return ""
    (tag,) = struct.unpack_from(f"{order}H", header)
    if tag == EXTENSIBLE_TAG and len(header) >= 26:  # the sub-format's GUID begins with the tag
        (tag,) = struct.unpack_from(f"{order}H", header, 24)
    if tag in DECODED_TAGS or tag == EXTENSIBLE_TAG:
        return ""
    return f"{TAG_NAMES.get(tag, UNKNOWN_CODEC)} (format tag 0x{tag:04X})"


def _fourcc_codec(fourcc: bytes) -> str:
    if len(fourcc) < 4 or fourcc in DECODED_FOURCCS:
        return ""
    return f"{FOURCC_NAMES.get(fourcc, UNKNOWN_CODEC)} (type {fourcc.decode('latin-1')!a})"


def _chunk(head: bytes, name: bytes, order: str) -> bytes:
    """Return the content of a RIFF or IFF chunk, as far as it lies in the head."""
    position = 12
    while position + 8 <= len(head):
        (size,) = struct.unpack_from(f"{order}I", head, position + 4)
        if head.startswith(name, position):
            return head[position + 8 : position + 8 + size]
        position += 8 + size + size % 2
    return b""
