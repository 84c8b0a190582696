"""What Lambda's SnapStart needs: hooks for the moments around a snapshot of the running function.

All environments that are restored from it begin as the same copy of memory.
"""

from __future__ import annotations

import io
import os
import random
import wave
from collections.abc import Callable
from importlib.util import find_spec
from typing import Final

from audio_classifier.service.shared_classifier import Service
from audio_classifier.service.uploads import Uploads

# Not the model's own rate, so that the resampler is used, too.
NOISE_RATE_HZ: Final = 44_100
NOISE_S: Final = 1


def warm_up(service: Service, uploads: Uploads, open_http_door: Callable[[], object]) -> None:
    """Do before the snapshot what a first request would have to wait for.

    Whether HTTP or uploads are going to come nobody knows here: what is not used then is not read from the
    snapshot either.

    Raises
    ------
    AudioClassifierError
        If the function does not work; then there is no snapshot of it.
    """
    service.load().predict(_noise())
    _ = uploads.client
    if find_spec("fastapi"):
        open_http_door()


def renew(uploads: Uploads) -> None:
    """Drop after the restore what no two environments may share, and what has aged."""
    # Else all would wait equally long before they try again.
    random.seed()
    uploads.forget_client()


def _noise() -> bytes:
    """A WAV file."""
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(1)
        writer.setsampwidth(2)
        writer.setframerate(NOISE_RATE_HZ)
        writer.writeframes(os.urandom(2 * NOISE_RATE_HZ * NOISE_S))
    return file.getvalue()
