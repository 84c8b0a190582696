"""The suffixes of files that folders and buckets are searched for."""

from __future__ import annotations

import os
from collections import Counter
from typing import Final

# A file that is named itself may have any suffix.
AUDIO_SUFFIXES: Final = (
    *(".aif", ".aifc", ".aiff", ".au", ".caf", ".flac", ".mka", ".mp3", ".oga", ".ogg", ".opus"),
    *(".rf64", ".snd", ".w64", ".wav", ".wave", ".weba", ".webm"),
)
# Other files with audio, which are counted, because people expect them to be classified.
SKIPPED_SUFFIXES: Final = (
    *(".3g2", ".3gp", ".aa", ".aac", ".aax", ".ac3", ".adts", ".amr", ".ape", ".asf", ".avi", ".dff"),
    *(".dsf", ".dts", ".eac3", ".flv", ".gsm", ".m2ts", ".m4a", ".m4b", ".m4r", ".m4v", ".mkv"),
    *(".mov", ".mp2", ".mp4", ".mpa", ".mpc", ".mpeg", ".mpg", ".ogv", ".ogx", ".qt", ".ra", ".ram"),
    *(".rm", ".silk", ".sph", ".spx", ".tta", ".voc", ".wma", ".wmv", ".wv"),
)


def is_audio(name: str, skipped: Counter[str]) -> bool:
    """Return whether a file is searched for; count it if it probably contains audio, but is not."""
    suffix = os.path.splitext(name)[1].lower()
    if suffix in SKIPPED_SUFFIXES:
        skipped[suffix] += 1
    return name.lower().endswith(AUDIO_SUFFIXES)
