"""A front end and bundles for networks that read clips."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from audio_classifier.audio.front_end import FrontEnd
from audio_classifier.convert.import_efficientat import FRONT_END, import_efficientat
from tests.support.torch_files import random_state, write_state

EFFICIENTAT: Final = FrontEnd(**FRONT_END)  # type: ignore[arg-type]


def make_clip_bundle(folder: Path) -> Path:
    """Write a bundle of EfficientAT's smallest network with random weights."""
    weights = write_state(folder / "mn01.pt", random_state(0.1))
    import_efficientat("mn01", folder / "mn01", source=weights)
    return folder / "mn01"
