"""Segments of consecutive patches, ten-patch inputs, and pooling of scores."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from audio_classifier.constants import CLIP_PATCHES
from tests.training.material import FakeTeacher, make_pool
from training.teacher.label import label_natural, window_offsets
from training.teacher.segments import (
    CLIP_LOGIT_OFFSET,
    Segments,
    SegmentSampler,
    combined,
    find_segments,
    pooled,
    rows_of,
)
from training.teacher.yamnet import known_classes, unknown_classes

TEACHER: Any = FakeTeacher()
SHORT, LONG = 0, 1
SEGMENTS = Segments(np.array([100, 200]), np.array([3, 25]))


def test_each_clip_has_a_segment_for_whole_and_one_for_half_hops(tmp_path: Path) -> None:
    pool = make_pool(tmp_path / "pool", clips=9)
    shard = label_natural(pool, TEACHER, tmp_path / "shard", lambda done, of: None)
    segments = find_segments(shard)
    wanted = []
    for clip in pool.clips:
        offsets = window_offsets(clip.samples)
        wanted += [n for n in (np.sum(offsets % 15360 == 0), np.sum(offsets % 15360 != 0)) if n]
    assert segments.patches.tolist() == wanted
    assert segments.first.tolist() == np.cumsum([0, *wanted[:-1]]).tolist()


def test_a_short_segment_is_repeated_to_ten_patches() -> None:
    rows = rows_of(SEGMENTS, np.array([SHORT]))
    assert rows.patches[0].tolist() == np.resize([100, 101, 102], CLIP_PATCHES).tolist()
    assert (rows.begin == 100).all()


def test_inputs_of_a_long_segment_begin_at_any_patch() -> None:
    rows = rows_of(SEGMENTS, np.full(500, LONG), np.random.default_rng(0))
    assert (np.diff(rows.patches) == 1).all()
    assert {*rows.patches[:, 0]} == {*range(200, 216)}
    assert rows_of(SEGMENTS, np.array([LONG])).patches[0].tolist() == [*range(200, 210)]


def test_some_inputs_splice_two_segments() -> None:
    sampler = SegmentSampler(SEGMENTS, np.array([0.5, 0.5]))
    rows, begin = sampler.batch(np.random.default_rng(0), 2000)
    assert ((rows < 200) == (begin < 200)).all()
    assert rows.shape == (2000, CLIP_PATCHES)
    both = ((rows < 200).any(axis=1) & (rows >= 200).any(axis=1)).mean()
    assert both == pytest.approx(0.25 / 2, abs=0.03)


def test_pooled_scores_are_high_for_continuous_sounds_and_for_single_events() -> None:
    continuous, single, absent = np.full(10, 0.6), np.eye(10)[3], np.zeros(10)
    scores = pooled(np.column_stack([continuous, single, absent]).astype(np.float32))
    np.testing.assert_allclose(scores, [0.6, 1.0, 0.0], atol=1e-6)


def test_class_is_probable_if_either_teacher_finds_it() -> None:
    raised = 0.5  # by the offset of the clip teacher's logits
    score = 1 / (1 + np.exp(CLIP_LOGIT_OFFSET))
    patches, clips = np.full((1, 521), 0.8, np.float32), np.full((1, 527), score, np.float32)
    scores = combined(patches, clips)[0]
    assert scores[known_classes()] == pytest.approx(1 - 0.2 * (1 - raised))
    assert scores[unknown_classes()] == pytest.approx(raised)
    alone = combined(patches, None)[0]
    assert alone[known_classes()] == pytest.approx(0.8)
    assert (alone[unknown_classes()] == 0).all()
