"""Synthetic signals and audio files for tests."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import soundfile
from numpy.typing import NDArray


def busy(duration_s: float, rate_hz: int, channels: int = 1, seed: int = 0) -> NDArray[np.float32]:
    """Return noise and a gliding square wave, ``(frames, channels)``: energy in all bands at all times."""
    rng = np.random.default_rng(seed)
    t = np.arange(round(duration_s * rate_hz)) / rate_hz
    square = np.sign(np.sin(2 * np.pi * (200 + 20 * t) * t))[:, np.newaxis]
    return (0.2 * square + 0.1 * rng.standard_normal((len(t), channels))).astype(np.float32)


def encode(signal: NDArray[Any], rate_hz: int, container: str = "WAV", subtype: str | None = None) -> bytes:
    """Encode a signal as an audio file, in pieces because libsndfile's Vorbis encoder overflows its stack."""
    buffer = io.BytesIO()
    frames = signal.reshape(len(signal), -1)
    with soundfile.SoundFile(
        buffer, "w", rate_hz, frames.shape[1], format=container, subtype=subtype
    ) as file:
        for start in range(0, len(frames), rate_hz):
            file.write(frames[start : start + rate_hz])
    return buffer.getvalue()


def damaged_flac(duration_s: float) -> bytes:
    """Return a FLAC file at 16 kHz whose data are zeros for a while from the middle on."""
    content = bytearray(encode(busy(duration_s, 16_000), 16_000, "FLAC"))
    middle = len(content) // 2
    content[middle : middle + 3000] = bytes(3000)
    return bytes(content)
