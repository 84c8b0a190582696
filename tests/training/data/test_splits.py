"""A recording is in one split, wherever it is cut."""

from __future__ import annotations

import numpy as np
import pytest

from training.data.clips import SYNTHESIS, Clip
from training.data.splits import CALIBRATION, TRAINING, VALIDATION, splits

CLIPS = [Clip("source", f"recording-{index // 2}", "CC0", 100 * index, 100) for index in range(8000)]


def test_one_recording_has_one_split() -> None:
    split = splits(CLIPS)
    assert (split[::2] == split[1::2]).all()


def test_the_shares_are_about_as_said() -> None:
    split = splits(CLIPS)
    assert np.mean(split == VALIDATION) == pytest.approx(1 / 20, rel=0.25)
    assert np.mean(split == CALIBRATION) == pytest.approx(1 / 40, rel=0.25)


def test_what_is_computed_is_to_learn_from() -> None:
    computed = [Clip(f"{SYNTHESIS}x", clip.recording, "ours", 0, 1) for clip in CLIPS]
    assert (splits(computed) == TRAINING).all()
