"""The suffixes of files that folders and buckets are searched for."""

from __future__ import annotations

import os
from collections import Counter
from typing import Final

from audio_classifier.audio.ffmpeg_library import is_ffmpeg_installed

# Files that are named themselves may have any suffix.
AUDIO_SUFFIXES: Final = (
    *(
        ".aif",
        ".aifc",
        ".aiff",
        ".au",
        ".caf",
        ".flac",
        ".mka",
        ".mp2",
        ".mp3",
        ".mpa",
        ".oga",
        ".ogg",
        ".opus",
    ),
    *(".rf64", ".snd", ".w64", ".wav", ".wave", ".weba", ".webm"),
)
# Searched for as well with the extra `formats`.
FFMPEG_SUFFIXES: Final = (
    *(".3g2", ".3gp", ".aac", ".ac3", ".adts", ".amr", ".ape", ".asf", ".avi", ".dts", ".eac3", ".flv"),
    *(".m2ts", ".m4a", ".m4b", ".m4r", ".m4v", ".mkv", ".mov", ".mp4", ".mpc", ".mpeg", ".mpg", ".qt"),
    *(".spx", ".tta", ".voc", ".wma", ".wmv", ".wv"),
)
# Other files with audio, which are counted, because people expect them to be classified.
SKIPPED_SUFFIXES: Final = (
    *(".aa", ".aax", ".dff", ".dsf", ".gsm", ".ogv", ".ogx", ".ra", ".ram", ".rm"),
    *(".silk", ".sph"),
)


def is_audio(name: str, skipped: Counter[str]) -> bool:
    """Return whether a file is searched for; count it if it probably contains audio, but is not."""
    suffix = os.path.splitext(name)[1].lower()
    if suffix in AUDIO_SUFFIXES or (suffix in FFMPEG_SUFFIXES and is_ffmpeg_installed()):
        return True
    if suffix in FFMPEG_SUFFIXES or suffix in SKIPPED_SUFFIXES:
        skipped[suffix] += 1
    return False
