"""Ten patches are what the product would hear."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from audio_classifier.constants import CLIP_PATCHES
from tests.training.material import FakeTeacher, make_pool
from training.teacher.label import label_natural, window_offsets
from training.teacher.segments import Segments, SegmentSampler, find_segments, pooled, rows_of

TEACHER: Any = FakeTeacher()
SHORT, LONG = 0, 1
SEGMENTS = Segments(np.array([100, 200]), np.array([3, 25]))


def test_segments_are_clips_from_both_beginnings(tmp_path: Path) -> None:
    pool = make_pool(tmp_path / "pool", clips=9)
    shard = label_natural(pool, TEACHER, tmp_path / "shard", lambda done, of: None)
    segments = find_segments(shard)
    wanted = []
    for clip in pool.clips:
        offsets = window_offsets(clip.samples)
        wanted += [n for n in (np.sum(offsets % 15360 == 0), np.sum(offsets % 15360 != 0)) if n]
    assert segments.patches.tolist() == wanted
    assert segments.first.tolist() == np.cumsum([0, *wanted[:-1]]).tolist()


def test_a_short_clip_is_repeated_as_the_product_does() -> None:
    rows = rows_of(SEGMENTS, np.array([SHORT]))
    assert rows[0].tolist() == np.resize([100, 101, 102], CLIP_PATCHES).tolist()


def test_of_a_long_clip_any_ten_patches_are_heard() -> None:
    rows = rows_of(SEGMENTS, np.full(500, LONG), np.random.default_rng(0))
    assert (np.diff(rows) == 1).all()
    assert {*rows[:, 0]} == {*range(200, 216)}
    assert rows_of(SEGMENTS, np.array([LONG]))[0].tolist() == [*range(200, 210)]


def test_some_sounds_are_two_behind_each_other() -> None:
    sampler = SegmentSampler(SEGMENTS, np.array([0.5, 0.5]))
    rows = sampler.batch(np.random.default_rng(0), 2000)
    assert rows.shape == (2000, CLIP_PATCHES)
    both = ((rows < 200).any(axis=1) & (rows >= 200).any(axis=1)).mean()
    assert both == pytest.approx(0.25 / 2, abs=0.03)


def test_what_lasts_and_what_is_heard_once_both_count() -> None:
    lasting, once, never = np.full(10, 0.6), np.eye(10)[3], np.zeros(10)
    sound = pooled(np.column_stack([lasting, once, never]).astype(np.float32))
    np.testing.assert_allclose(sound, [0.6, 1.0, 0.0], atol=1e-6)
