"""Change the structure of audio files, and repair the checksums that a decoder compares."""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from random import Random
from typing import Final, TypeAlias

from tests.fuzz.checksums import crc8, crc16, ogg_page, ogg_pages

Mutation: TypeAlias = Callable[[bytes, Random], bytes]

NUMBERS: Final = (0, 1, 2, 3, 7, 8, 127, 128, 255, 256, 4095, 32767, 32768, 65535, 65536, (1 << 24) - 1)
LARGE_NUMBERS: Final = tuple(
    (1 << bits) + delta for bits in (30, 31, 32, 40, 62, 63, 64) for delta in (-1, 0, 1)
)
MAGIC_BYTES: Final = 4  # without which a file is only refused
CLUSTER: Final = b"\x1fC\xb6u"
EBML_NAMES: Final = (
    *("1a45dfa3", "18538067", "1549a966", "1654ae6b", "1f43b675", "2ad7b1", "63a2", "75a2"),
    *("a0", "a1", "a3", "ae", "d7", "83", "86", "e7"),
)
# Elements of WebM whose sizes take eight bytes, as in the seeds.
EBML_IDS: Final = re.compile(
    b"(?:%s)(?=\x01)" % b"|".join(re.escape(bytes.fromhex(name)) for name in EBML_NAMES)
)
FLAC_METADATA_TYPES: Final = (0, 1, 2, 3, 4, 5, 6, 126, 127)
# Bytes per frame of MPEG-1/2 Layer III, by version and bit rate.
MPEG_BITRATES_KBPS: Final = {
    3: (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 0),
    2: (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160, 0),
}
MPEG_RATES_HZ: Final = {
    3: (44_100, 48_000, 32_000, 1),
    2: (22_050, 24_000, 16_000, 1),
    0: (11_025, 12_000, 8_000, 1),
}


def mutate(content: bytes, others: list[bytes], random: Random) -> bytes:
    """Return a file with one to four changes, most of them to the structure of its container."""
    magic = content[:MAGIC_BYTES]
    for _ in range(random.choice((1, 1, 1, 2, 3))):
        if random.random() < 0.05:
            content = _splice(content, random.choice(others), random)
            continue
        structural = _structural(content)
        content = random.choice((structural, structural, structural, _bytes))(content, random)
    return magic + content[MAGIC_BYTES:] if random.random() < 0.9 else content


def number(random: Random, size: int) -> int:
    """Draw a number of ``size`` bytes, often one at a limit."""
    value = random.choice(
        (random.choice(NUMBERS), random.choice(LARGE_NUMBERS), random.getrandbits(8 * size))
    )
    return (value if random.random() < 0.8 else -value) & (1 << 8 * size) - 1


def _structural(content: bytes) -> Mutation:
    if content.startswith(b"OggS"):
        return _ogg
    if content.startswith(b"fLaC"):
        return _flac
    if content.startswith((b"RIFF", b"RF64", b"FORM", b"caff")):
        return _chunks
    if content.startswith(b"\xff"):
        return _mpeg
    if content.startswith(b"\x1aE\xdf\xa3"):
        return _ebml
    return _header


def _position(length: int, random: Random) -> int:
    """Draw a position, a third of the time near the beginning."""
    near = int(random.expovariate(1 / 60))
    return min(length - 1, near) if random.random() < 0.3 else random.randrange(length)


def _bytes(content: bytes, random: Random) -> bytes:
    """Change, insert, remove or repeat bytes anywhere."""
    if len(content) < 2:
        return random.randbytes(40)
    position = _position(len(content), random)
    count = random.choice((1, 1, 2, 4, 8, 64, 1000))
    before, after = content[:position], content[position + count :]
    return random.choice(
        (
            before + random.randbytes(count) + after,
            before + random.choice((b"\x00", b"\xff")) * count + after,
            before + after,
            before,
            before + random.randbytes(count) + content[position:],
            content[: position + count] * 2 + after,
            content + bytes(random.choice((1, 128, 5000, 100_000))),
        )
    )


def _splice(content: bytes, other: bytes, random: Random) -> bytes:
    return content[: _position(len(content) or 1, random)] + other[_position(len(other), random) :]


def _header(content: bytes, random: Random) -> bytes:
    """Change one number of the first hundred bytes."""
    size = random.choice((1, 2, 4, 8))
    position = random.randrange(0, 100)
    order = random.choice(("little", "big"))
    value = number(random, size).to_bytes(size, "little" if order == "little" else "big")
    return content[:position] + value + content[position + size :]


def _chunks(content: bytes, random: Random) -> bytes:
    """Change the size, name, number or order of chunks, or a number in one of them."""
    wide, big = content.startswith(b"caff"), content.startswith((b"FORM", b"caff"))
    head, width, first = (12, 8, 8) if wide else (8, 4, 12)
    layout = f"{'>' if big else '<'}{'Q' if wide else 'I'}"
    chunks: list[bytes] = []
    position = first
    while position + head <= len(content) and len(chunks) < 20:
        (size,) = struct.unpack_from(layout, content, position + 4)
        end = min(len(content), position + head + size + (0 if wide else size % 2))
        chunks.append(content[position:end])
        position = end
    if not chunks:
        return _bytes(content, random)
    index = random.randrange(len(chunks))
    chunk = chunks[index]
    kind = random.randrange(10)
    if kind == 0:
        chunks[index] = (
            chunk[:4] + number(random, width).to_bytes(width, "big" if big else "little") + chunk[head:]
        )
    elif kind == 1:
        chunks.insert(random.randrange(len(chunks) + 1), chunk)
    elif kind == 2:
        del chunks[index]
    elif kind == 3:
        random.shuffle(chunks)
    elif kind == 4:
        names = (
            b"data",
            b"fmt ",
            b"LIST",
            b"SSND",
            b"COMM",
            b"fact",
            b"ds64",
            b"desc",
            b"pakt",
            b"kuki",
            b"cue ",
            b"smpl",
            b"PEAK",
            b"bext",
            b"cart",
            b"INST",
            b"MARK",
            b"levl",
            b"chan",
            b"acid",
        )
        chunks[index] = random.choice(names) + chunk[4:]
    else:
        chunks[index] = chunk[:head] + _header(chunk[head:], random)
    rest = content[position:]
    return content[:first] + b"".join(chunks) + rest


def _ogg(content: bytes, random: Random) -> bytes:
    """Change, remove, repeat or exchange pages; every checksum is right afterwards."""
    pages = ogg_pages(content)
    if not pages:
        return _bytes(content, random)
    # The second page holds the codec's tables, from which decoders allocate and index.
    index = min(len(pages) - 1, random.choice((1, random.randrange(len(pages)))))
    page = pages[index]
    first = 27 + page[26]
    header, lacing, body = bytearray(page[:22]), page[27:first], page[first:]
    kind = random.choice((*range(11), 6, 6, 6))
    if kind == 0:
        struct.pack_into("<Q", header, 6, number(random, 8))
    elif kind == 1:
        struct.pack_into("<I", header, 14, random.choice((0, 1, 2, number(random, 4))))
    elif kind == 2:
        struct.pack_into("<I", header, 18, number(random, 4))
    elif kind == 3:
        header[5] = random.choice((0, 1, 2, 3, 4, 5, 6, 7, 255))
    elif kind == 4:
        lacing = bytes(random.choice((0, 1, 254, 255, value)) for value in lacing)
        body = (body + bytes(255 * 255))[: sum(lacing)]
    elif kind == 5:
        count = random.randrange(len(lacing) + 1)
        lacing, body = lacing[:count], body[: sum(lacing[:count])]
    elif kind in (6, 7):
        body = _same_length(body, random)
    elif kind == 8:
        del pages[index]
    elif kind == 9:
        pages.insert(random.randrange(len(pages) + 1), page)
    else:
        other = random.randrange(len(pages))
        pages[index], pages[other] = pages[other], page
    if kind < 8:
        pages[index] = ogg_page(bytes(header), lacing, body)
    return b"".join(pages)


def _flac(content: bytes, random: Random) -> bytes:
    """Change metadata blocks or frames; the checksums of a changed frame are right afterwards."""
    starts = flac_frames(content)
    if not starts or random.random() < 0.35:
        position = random.choice((4, 5, 8, 10, 12, 15, 18, 20, 21, 22, 24, 26, 42, 43, 46))
        if random.random() < 0.2:
            block = bytes([random.choice(FLAC_METADATA_TYPES)]) + number(random, 3).to_bytes(3, "big")
            return content[:42] + block + random.randbytes(random.randrange(80)) + content[42:]
        return content[:position] + random.randbytes(random.choice((1, 2, 4))) + content[position + 4 :]
    index = random.randrange(len(starts))
    begin, end = starts[index], (*starts[1:], len(content))[index]
    frame = bytearray(content[begin:end])
    kind = random.randrange(6)
    if kind == 0:
        return content[:begin] + content[end:]
    if kind == 1:
        return content[:end] + content[begin:]
    size = next(n for n in range(5, 17) if crc8(bytes(frame[:n])) == frame[n])
    if kind in (2, 3):
        frame[random.randrange(2, size)] = random.getrandbits(8)
    else:
        for _ in range(random.choice((1, 1, 2, 8))):
            frame[min(len(frame) - 1, size + 1 + int(random.expovariate(0.2)))] = random.getrandbits(8)
    frame[size] = crc8(bytes(frame[:size]))
    frame[-2:] = crc16(bytes(frame[:-2])).to_bytes(2, "big")
    return content[:begin] + bytes(frame) + content[end:]


def flac_frames(content: bytes) -> list[int]:
    """Return the positions of frames: the synchronisation code and a header with a correct CRC-8."""
    starts, position = [], content.find(b"\xff\xf8", 42)
    while 0 <= position <= len(content) - 20:
        if any(crc8(content[position : position + n]) == content[position + n] for n in range(5, 17)):
            starts.append(position)
        position = content.find(b"\xff\xf8", position + 2)
    return starts


def _mpeg(content: bytes, random: Random) -> bytes:
    """Change, remove or repeat frames, or change their headers, side information or the Xing header."""
    frames = _mpeg_frames(content)
    index = random.choice((0, random.randrange(len(frames))))
    frame = frames[index]
    kind = random.randrange(6)
    if kind == 0:
        del frames[index]
    elif kind == 1:
        frames[index:index] = [frame] * random.choice((1, 1, 20))
    elif kind == 2:
        header = bytearray(frame[:4].ljust(4, b"\xff"))
        header[random.choice((1, 2, 2, 3))] = random.getrandbits(8)
        frames[index] = bytes(header) + frame[4:]
    elif kind == 3:
        frames[index] = frame[: random.randrange(len(frame) + 1)]
    else:
        frames[index] = frame[:4] + _header(frame[4:], random)
    return b"".join(frames)


def _mpeg_frames(content: bytes) -> list[bytes]:
    """Split the file at the headers of frames; what follows the last one is one piece."""
    frames, position = [], 0
    while position + 4 <= len(content) and content[position] == 0xFF:
        version, bit_rate, rate = (
            content[position + 1] >> 3 & 3,
            content[position + 2] >> 4,
            content[position + 2] >> 2,
        )
        kbps = MPEG_BITRATES_KBPS[3 if version == 3 else 2][bit_rate]
        hz = MPEG_RATES_HZ.get(version, (1, 1, 1, 1))[rate & 3]
        size = (144 if version == 3 else 72) * 1000 * kbps // hz + (content[position + 2] >> 1 & 1)
        if not 24 <= size <= 3000:
            break
        frames.append(content[position : position + size])
        position += size
    return [*frames, content[position:]]


def _same_length(body: bytes, random: Random) -> bytes:
    changed = bytearray(body)
    for _ in range(random.choice((1, 1, 2, 4, 8, 64))):
        if changed:
            changed[random.randrange(len(changed))] = random.getrandbits(8)
    return bytes(changed)


def _ebml(content: bytes, random: Random) -> bytes:
    """Change the id, size, content, number or order of elements, at any depth."""
    starts = [match.start() for match in EBML_IDS.finditer(content)]
    if not starts:
        return _bytes(content, random)
    begin = random.choice(starts)
    end = next((start for start in starts if start > begin), len(content))
    piece = content[begin:end]
    head = next(size for size in range(1, 5) if piece[0] >> 8 - size)  # the bytes of the id
    kind = random.randrange(8)
    if kind == 0:
        piece = b""
    elif kind == 1:
        piece *= random.choice((2, 2, 50))
    elif kind == 2:
        piece = random.choice((b"\xec", b"\xa3", b"\xa0", b"\xa1", b"\xe7", CLUSTER)) + piece[head:]
    elif kind == 3:
        size = random.choice(
            (b"\x80", b"\xff", b"\x01" + bytes(7), b"\x01" + b"\xff" * 7, random.randbytes(2))
        )
        piece = piece[:head] + size + piece[head + random.choice((1, 8)) :]
    elif kind == 4:
        other = random.choice(starts)
        return content[:begin] + content[other : other + random.choice((20, 500, 5000))] + content[begin:]
    else:
        value = number(random, 4).to_bytes(4, "big")
        position = head + random.randrange(24)
        piece = piece[:position] + value[: random.choice((1, 2, 4))] + piece[position + 2 :]
    return content[:begin] + piece + content[end:]
