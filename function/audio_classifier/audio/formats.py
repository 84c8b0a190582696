"""Accept audio files by their first bytes, before a decoder reads them.

libsndfile reads more formats than this package accepts, and its readers of the others write to standard
output, stop at the first block, or search the working directory for resource forks.
"""

from __future__ import annotations

import base64
import codecs
import re
import unicodedata
from typing import Final

from audio_classifier.audio.source import SeekableFile, read_at
from audio_classifier.errors import UnreadableAudioError, UnsupportedFormatError

HEAD_BYTES: Final = 4096
MAX_ID3_TAGS: Final = 8
ID3_HEADER_BYTES: Final = 10
# libsndfile's names of the accepted formats.
ACCEPTED_FORMATS: Final = frozenset(
    ("WAV", "WAVEX", "RF64", "W64", "AIFF", "AU", "CAF", "FLAC", "OGG", "MP3"),
)
MAGIC_BYTES: Final = 12  # with the type of the content, which follows the magic number and the size
CONTAINERS: Final = (b"RIFF", b"RIFX", b"RF64", b"FORM", b"caff")
W64_GUID: Final = bytes.fromhex("726966662e91cf11a5d628db04c10000")
EBML_MARK: Final = b"\x1aE\xdf\xa3"  # WebM and Matroska
MAX_AC3_ID: Final = 10  # version of the bit stream; E-AC-3 has later ones
TS_PACKET_BYTES: Final = 188  # each packet of an MPEG transport stream begins with "G"
UTF16_MARKS: Final = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
# Base64, in either alphabet, possibly in lines, in quotes or in a data: URL.
BASE64: Final = re.compile(rb"""["'\s]*(data:[^,\s]{0,200};base64,)?([A-Za-z0-9+/_\r\n-]{32,})""")
BASE64_HINT: Final = (
    "Decode it to bytes before it is sent or stored. "
    "In an event for Lambda, isBase64Encoded must state that the body is base64."
)
NO_TEXT: Final = frozenset(("Cc", "Cn", "Co", "Cs"))  # control, unassigned, private use, surrogate
# The names of other formats, by the bytes at an offset; the first match counts.
FOREIGN_FORMATS: Final[tuple[tuple[int, bytes, str], ...]] = (
    # audio
    (0, b"BW64", "a BW64 file"),
    (0, b"\xf0\x7e", "a MIDI sample dump (SDS)"),
    (0, b"Creative Voice File", "a Creative Voice file (VOC)"),
    (0, b"MThd", "a MIDI file"),
    (0, b"#!AMR", "an AMR recording"),
    (0, b"#!SILK", "a SILK recording"),
    (0, b"\x02#!SILK", "a SILK recording"),
    (0, bytes.fromhex("3026b2758e66cf11"), "a Windows Media file (WMA, ASF)"),
    (0, b"wvpk", "a WavPack file"),
    (0, b"MAC ", "a Monkey's Audio file"),
    (0, b"MPCK", "a Musepack file"),
    (0, b"MP+", "an old Musepack file"),
    (0, b"TTA1", "a True Audio file"),
    (0, b"DSD ", "a DSF file"),
    (0, b"FRM8", "a DSDIFF file"),
    (0, b"ajkg", "a Shorten file"),
    (0, b"NIST_1A", "a NIST SPHERE file"),
    (0, bytes.fromhex("7ffe8001"), "a DTS stream"),
    (0, b".RMF", "a RealMedia file"),
    (0, b".ra\xfd", "a RealAudio file"),
    (0, b"Extended Instrument", "a FastTracker 2 instrument (XI)"),
    (8, b"8SVX", "an Amiga 8SVX file"),
    (8, b"16SV", "an Amiga 16SV file"),
    (8, b"RMID", "a MIDI file"),
    # video and containers
    (4, b"ftypM4A", "an M4A file (MPEG-4 audio)"),
    (4, b"ftypM4B", "an M4B file (MPEG-4 audio)"),
    (4, b"ftyp3g", "a 3GP file"),
    (4, b"ftypqt", "a QuickTime file"),
    (4, b"ftypheic", "a HEIC image"),
    (4, b"ftypavif", "an AVIF image"),
    (4, b"ftyp", "an MP4 file"),
    (4, b"moov", "a QuickTime file"),
    (4, b"mdat", "a QuickTime file"),
    (0, b"FLV\x01", "a Flash video"),
    (8, b"AVI ", "an AVI video"),
    (0, bytes.fromhex("000001ba"), "an MPEG video"),
    # documents, images and archives
    (0, b"%PDF", "a PDF document"),
    (0, b"PK\x03\x04", "a ZIP archive or an office document"),
    (0, b"\x1f\x8b", "a gzip archive"),
    (0, b"BZh", "a bzip2 archive"),
    (0, b"\xfd7zXZ", "an XZ archive"),
    (0, b"7z\xbc\xaf", "a 7-Zip archive"),
    (0, b"Rar!", "a RAR archive"),
    (0, bytes.fromhex("28b52ffd"), "a Zstandard archive"),
    (257, b"ustar", "a tar archive"),
    (0, b"\x89PNG", "a PNG image"),
    (0, b"\xff\xd8\xff", "a JPEG image"),
    (0, b"GIF8", "a GIF image"),
    (0, b"II*\x00", "a TIFF image"),
    (0, b"MM\x00*", "a TIFF image"),
    (8, b"WEBP", "a WebP image"),
    (0, b"\x7fELF", "an executable"),
    (0, b"SQLite format 3", "an SQLite database"),
    (0, b"\x93NUMPY", "a NumPy array"),
    (0, b"MATLAB 5", "a MATLAB file"),
)


def audio_head(file: SeekableFile) -> tuple[int, bytes]:
    """Skip the ID3v2 tags at the beginning of a file.

    Returns
    -------
    The position after them, which may be beyond the end, and up to `HEAD_BYTES` from there.
    """
    position = 0
    head = read_at(file, 0, HEAD_BYTES)
    for _ in range(MAX_ID3_TAGS):
        if not head.startswith(b"ID3"):
            break
        position += _id3_bytes(head)
        head = read_at(file, position, HEAD_BYTES)
    return position, head


def check_format(head: bytes) -> None:
    """Accept or refuse a file by its first bytes.

    Parameters
    ----------
    head
        The first `HEAD_BYTES` after ID3v2 tags.

    Raises
    ------
    UnreadableAudioError
        If the file ends within its first bytes.
    UnsupportedFormatError
        If it is not in an accepted format; the message names its own if that is known.
    """
    if _is_accepted(head):
        return
    if len(head) < MAGIC_BYTES and head.startswith(CONTAINERS):
        raise UnreadableAudioError("not a readable audio file: it ends within its header")
    encoded = _base64_format(head)
    found = (
        encoded
        or foreign_format(head)
        or _text_format(head)
        or f"of an unknown format that begins with the bytes {head[:8].hex(' ')}"
    )
    raise UnsupportedFormatError(
        f"not a readable audio file: it is {found}", hint=BASE64_HINT if encoded else None
    )


def begins_like_audio(head: bytes) -> bool:
    """Return whether these are the first bytes of a file in an accepted format, or of an ID3 tag."""
    return head.startswith(b"ID3") or _is_accepted(head)


def is_unknown(head: bytes) -> bool:
    """Return whether the first bytes neither are those of an accepted format nor name another one."""
    return not (_is_accepted(head) or head.startswith(CONTAINERS) or foreign_format(head))


def foreign_format(head: bytes) -> str:
    """Name the binary format of a file that is not accepted, with its article; "" if it is unknown."""
    for offset, signature, name in FOREIGN_FORMATS:
        if head.startswith(signature, offset):
            return name
    if head.startswith((b"RIFF", b"RIFX", b"FORM")):
        return f"a {head[:4].decode()} file of type {head[8:12].decode('latin-1')!a}"
    if len(head) >= 2 and head[0] == 0xFF and head[1] & 0xF6 == 0xF0:
        return "an AAC stream (ADTS)"
    if head.startswith(b"\x0bw"):
        return "an E-AC-3 stream" if len(head) > 5 and head[5] >> 3 > MAX_AC3_ID else "an AC-3 stream"
    if len(head) > 2 * TS_PACKET_BYTES and head[: 2 * TS_PACKET_BYTES + 1 : TS_PACKET_BYTES] == b"GGG":
        return "an MPEG transport stream"
    return ""


def _is_accepted(head: bytes) -> bool:
    kind = head[8:12]
    return (
        (head[:4] in (b"RIFF", b"RIFX", b"RF64") and kind == b"WAVE")
        or (head[:4] == b"FORM" and kind in (b"AIFF", b"AIFC"))
        or (head[:4] == b"caff" and kind == b"desc")
        or head.startswith((W64_GUID, b".snd", b"dns.", b"fLaC", b"OggS", EBML_MARK))
        or is_mpeg_audio(head)
    )


def is_mpeg_audio(head: bytes) -> bool:
    """Return whether the first four bytes are the header of an MPEG-1 or MPEG-2 audio frame, and not text."""
    if len(head) < 4 or head[0] != 0xFF or head[1] & 0xE0 != 0xE0:
        return False
    version, layer = head[1] >> 3 & 3, head[1] >> 1 & 3
    bit_rate, sample_rate = head[2] >> 4, head[2] >> 2 & 3
    is_header = version != 1 and layer != 0 and bit_rate != 15 and sample_rate != 3
    return is_header and not _text_format(head)


def _id3_bytes(head: bytes) -> int:
    size = 0
    for byte in head[6:ID3_HEADER_BYTES]:
        size = size << 7 | byte & 0x7F
    return ID3_HEADER_BYTES + size


def _base64_format(head: bytes) -> str:
    """Return "base64 text ..." if the bytes are the base64 text of a file in a known format, otherwise ""."""
    match = BASE64.match(head)
    if match is None:
        return ""
    text = b"".join(match.group(2).split()).translate(bytes.maketrans(b"-_", b"+/"))
    decoded = base64.b64decode(text[: len(text) // 4 * 4])
    if match.group(1):
        return "a data: URL, whose content is base64 text"
    name = "an audio file" if _is_accepted(decoded) else foreign_format(decoded)
    return f"the base64 text of {name}" if name else ""


def _text_format(head: bytes) -> str:
    """Return "text (ENCODING)" or "an HTML page" if the bytes are printable text, otherwise ""."""
    encoding = "utf-16" if head.startswith(UTF16_MARKS) else "utf-8-sig"
    try:
        text = codecs.getincrementaldecoder(encoding)().decode(head, final=False)
    except UnicodeDecodeError:
        return ""
    if not text or any(unicodedata.category(char) in NO_TEXT and not char.isspace() for char in text):
        return ""
    if text.lstrip()[:14].lower().startswith(("<!doctype html", "<html")):
        return "an HTML page"
    return f"text ({'UTF-16' if encoding == 'utf-16' else 'UTF-8'})"
