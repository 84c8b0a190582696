"""Assign clips to training, calibration or validation; all clips of a recording are in the same split."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from training.data.clips import Clip

TRAINING: Final = 0
CALIBRATION: Final = 1
VALIDATION: Final = 2

CALIBRATION_SHARE: Final = 40  # one recording in this many


def splits(clips: Sequence[Clip]) -> NDArray[np.int8]:
    """Return the split of each clip, ``(clips,)``; synthetic clips are for training."""
    return np.array([_split(clip) for clip in clips], np.int8)


def _split(clip: Clip) -> int:
    if clip.is_validation:
        return VALIDATION
    # The prefix makes this hash independent of the one that selects recordings for validation.
    digest = hashlib.sha256(f"calibration\n{clip.source}\n{clip.recording}".encode()).digest()
    kept = not clip.is_synthetic and int.from_bytes(digest[:8]) % CALIBRATION_SHARE == 0
    return CALIBRATION if kept else TRAINING
