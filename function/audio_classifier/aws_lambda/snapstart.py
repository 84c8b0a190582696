"""Hooks around the snapshot of Lambda's SnapStart.

All environments that are restored from a snapshot begin with the same copy of memory.
"""

from __future__ import annotations

import io
import os
import random
import wave
from collections.abc import Callable
from importlib.util import find_spec
from typing import Final

from audio_classifier.service.object_access import ObjectAccess
from audio_classifier.service.shared_classifier import SharedClassifier

# Not the model's own rate, so that the resampler is used as well.
NOISE_RATE_HZ: Final = 44_100
NOISE_S: Final = 1


def warm_up(shared: SharedClassifier, access: ObjectAccess, warm_up_http: Callable[[], object]) -> None:
    """Classify, create the S3 client and serve one HTTP request before the snapshot.

    First requests then do not wait for them.  Memory that is not used later is not read from the snapshot.

    Raises
    ------
    AudioClassifierError
        If the function does not work; then no snapshot is taken.
    """
    shared.load().predict(_noise())
    access.client()
    if find_spec("fastapi"):
        warm_up_http()


def renew(access: ObjectAccess) -> None:
    """Reseed the random generator and discard the S3 client after a restore."""
    random.seed()  # otherwise all environments would retry after equal delays
    access.discard_client()


def _noise() -> bytes:
    """Return a WAV file of noise."""
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(1)
        writer.setsampwidth(2)
        writer.setframerate(NOISE_RATE_HZ)
        writer.writeframes(os.urandom(2 * NOISE_RATE_HZ * NOISE_S))
    return file.getvalue()
