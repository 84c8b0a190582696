from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from tests.support.sounds import encode


@pytest.fixture(scope="session")
def minute(assets: Path) -> bytes:
    """Seven recordings of different classes, joined: 60 s, of which 59.52 s are whole patches."""
    names = ("rain", "speech", "siren", "melody", "thunder", "dial-tone", "clock")
    recordings = [soundfile.read(assets / f"{name}.wav", dtype="float32") for name in names]
    return encode(
        np.concatenate(
            [np.resize(samples, 16_000 * (9 if rate_hz > 16_000 else 8)) for samples, rate_hz in recordings]
        ),
        16_000,
    )
