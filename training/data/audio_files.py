"""Find audio files in a folder, including those inside the archives that games store them in."""

from __future__ import annotations

import io
import re
import struct
import wave
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

FILE_SUFFIXES: Final = {".aiff", ".au", ".flac", ".mp3", ".oga", ".ogg", ".opus", ".wav"}

# Header of an Ogg page: mark and version, flags, other fields, the number of segments, then their lengths.
OGG_MARK: Final = b"OggS\0"
OGG_HEADER_BYTES: Final = 27
OGG_FIRST: Final = 2
OGG_LAST: Final = 4

# A Doom audio lump: format 3, sample rate, sample count, 16 bytes of padding, 8-bit samples, padding again.
DOOM_HEADER: Final = struct.Struct("<HHI")
DOOM_FORMAT: Final = 3
DOOM_PADDING_BYTES: Final = 16


@dataclass(frozen=True)
class AudioFile:
    """An audio file in a folder or in an archive.

    Parameters
    ----------
    name
        Path within the folder; for a file in an archive, the archive's path followed by the name inside it.
    load
        Return the file's path, or its content if it is inside an archive.
    """

    name: str
    load: Callable[[], Path | bytes]


def find_audio_files(folder: Path) -> list[AudioFile]:
    """List all audio files in a folder and its subfolders, sorted by name."""
    files: list[AudioFile] = []
    for path in sorted(folder.rglob("*")):
        if path.is_symlink() or not path.is_file():
            continue
        name, suffix = path.relative_to(folder).as_posix(), path.suffix.lower()
        if suffix in FILE_SUFFIXES:
            files.append(AudioFile(name, partial(Path, path)))
        elif suffix in READERS:
            files += [AudioFile(f"{name}/{inner.name}", inner.load) for inner in READERS[suffix](path)]
    return files


def _in_zip(path: Path) -> Iterator[AudioFile]:
    # The archive stays open while its files are referenced, because reading a large directory is slow.
    archive = zipfile.ZipFile(path)
    for name in archive.namelist():
        if Path(name).suffix.lower() in FILE_SUFFIXES:
            yield AudioFile(name, partial(archive.read, name))


def _embedded(path: Path) -> Iterator[AudioFile]:
    """Find Ogg and WAV files that are stored uncompressed inside a file of any format."""
    data = path.read_bytes()
    for number, (start, end) in enumerate([*_ogg_spans(data), *_wav_spans(data)]):
        yield AudioFile(str(number), partial(_slice, path, start, end))


def _slice(path: Path, start: int, end: int) -> bytes:
    with path.open("rb") as file:
        file.seek(start)
        return file.read(end - start)


def _ogg_spans(data: bytes) -> Iterator[tuple[int, int]]:
    """Find Ogg streams: from the first page of a stream to its last."""
    start = data.find(OGG_MARK)
    while start >= 0:
        end = _ogg_end(data, start)
        if end is not None:
            yield start, end
        start = data.find(OGG_MARK, start + 1 if end is None else end)


def _ogg_end(data: bytes, start: int) -> int | None:
    """Return the end of the Ogg stream that begins at ``start``; None if there is no complete one."""
    position = start
    while data.startswith(OGG_MARK, position) and position + OGG_HEADER_BYTES <= len(data):
        flags, segments = data[position + 5], data[position + OGG_HEADER_BYTES - 1]
        if position == start and not flags & OGG_FIRST:
            return None
        lengths = data[position + OGG_HEADER_BYTES : position + OGG_HEADER_BYTES + segments]
        position += OGG_HEADER_BYTES + segments + sum(lengths)
        if flags & OGG_LAST:
            return position
    return None


def _wav_spans(data: bytes) -> Iterator[tuple[int, int]]:
    """Find RIFF WAVE files, whose headers contain their lengths."""
    for match in re.finditer(b"RIFF(....)WAVE", data, re.DOTALL):
        yield match.start(), match.start() + 8 + struct.unpack("<I", match[1])[0]


def _in_wad(path: Path) -> Iterator[AudioFile]:
    """Find the audio lumps of a Doom WAD file, whose names begin with DS."""
    data = path.read_bytes()
    count, directory = struct.unpack_from("<II", data, 4)
    for start, length, raw_name in struct.iter_unpack("<II8s", data[directory : directory + 16 * count]):
        name = raw_name.rstrip(b"\0").decode("ascii", "replace")
        if name.startswith("DS") and length > DOOM_HEADER.size + 2 * DOOM_PADDING_BYTES:
            yield AudioFile(name, partial(_doom_wav, path, start, length))


def _doom_wav(path: Path, start: int, length: int) -> bytes:
    lump = _slice(path, start, start + length)
    kind, rate_hz, _ = DOOM_HEADER.unpack_from(lump)
    if kind != DOOM_FORMAT:
        return lump
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(1)
        writer.setsampwidth(1)
        writer.setframerate(rate_hz)
        writer.writeframes(lump[DOOM_HEADER.size + DOOM_PADDING_BYTES : -DOOM_PADDING_BYTES])
    return file.getvalue()


READERS: Final[dict[str, Callable[[Path], Iterator[AudioFile]]]] = {
    ".cat": _embedded,
    ".pk3": _in_zip,
    ".rcc": _embedded,
    ".wad": _in_wad,
    ".wz": _in_zip,
    ".zip": _in_zip,
}
