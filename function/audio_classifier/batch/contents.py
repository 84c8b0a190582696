"""Identify recordings by their content."""

from __future__ import annotations

import hashlib
import io
import os
from typing import Any

from audio_classifier.audio.source import AudioSource


def content_identity(source: AudioSource) -> dict[str, Any]:
    """Return the size and the SHA-256 of an opened recording, which is read as a whole."""
    file: Any = io.BytesIO(source) if isinstance(source, bytes) else source
    file.seek(0)
    sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    return {"size": file.seek(0, os.SEEK_END), "sha256": sha256}
