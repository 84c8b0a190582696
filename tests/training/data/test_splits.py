"""Splits of clips by recording."""

from __future__ import annotations

import numpy as np
import pytest

from training.data.clips import SYNTHESIS, Clip
from training.data.splits import CALIBRATION, TRAINING, VALIDATION, splits

CLIPS = [Clip("source", f"recording-{index // 2}", "CC0", 100 * index, 100) for index in range(8000)]


def test_all_clips_of_a_recording_are_in_the_same_split() -> None:
    split = splits(CLIPS)
    assert (split[::2] == split[1::2]).all()


def test_split_sizes_are_close_to_the_configured_shares() -> None:
    split = splits(CLIPS)
    assert np.mean(split == VALIDATION) == pytest.approx(1 / 20, rel=0.25)
    assert np.mean(split == CALIBRATION) == pytest.approx(1 / 40, rel=0.25)


def test_synthetic_clips_are_for_training() -> None:
    synthetic = [Clip(f"{SYNTHESIS}x", clip.recording, "Apache-2.0", 0, 1) for clip in CLIPS]
    assert (splits(synthetic) == TRAINING).all()
