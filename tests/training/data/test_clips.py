"""The pool of clips: atomic writes, deduplication, levels, validation split and windows."""

from __future__ import annotations

import contextlib
from pathlib import Path

import numpy as np
import pytest

from audio_classifier.constants import PATCH_SAMPLES
from training.data.clips import SYNTHESIS, Clip, ClipPool, ClipWriter, merge, to_int16
from training.data.windows import cut, list_windows, read_patch


def ramp(samples: int, first: int = 0) -> np.ndarray:
    return (np.arange(samples) + first).astype(np.int16)


def test_clips_read_back_equal_the_clips_written(tmp_path: Path) -> None:
    with ClipWriter(tmp_path) as writer:
        assert writer.add("frogs", "a, b.wav", "CC0", ramp(100))
        assert writer.add("toads", "c.wav", "GPL-2", ramp(50, 7))
    pool = ClipPool.open(tmp_path)
    assert pool.clips == [
        Clip("frogs", "a, b.wav", "CC0", 0, 100),
        Clip("toads", "c.wav", "GPL-2", 100, 50),
    ]
    np.testing.assert_array_equal(pool.samples(1), ramp(50, 7))


def test_a_clip_is_not_added_when_duplicate_or_empty(tmp_path: Path) -> None:
    with ClipWriter(tmp_path) as writer:
        assert writer.add("frogs", "a", "CC0", ramp(100))
        assert not writer.add("toads", "b", "CC0", ramp(100))
        assert not writer.add("toads", "c", "CC0", ramp(0))
    assert len(ClipPool.open(tmp_path)) == 1


def test_an_interrupted_write_keeps_the_existing_pool(tmp_path: Path) -> None:
    with ClipWriter(tmp_path) as writer:
        writer.add("frogs", "a", "CC0", ramp(100))
    with contextlib.suppress(KeyboardInterrupt), ClipWriter(tmp_path) as writer:
        writer.add("frogs", "b", "CC0", ramp(200))
        raise KeyboardInterrupt
    assert [clip.recording for clip in ClipPool.open(tmp_path).clips] == ["a"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["index.csv", "samples.i16"]


def test_an_empty_pool_can_be_opened(tmp_path: Path) -> None:
    assert not ClipPool.is_complete(tmp_path)
    with ClipWriter(tmp_path):
        pass
    assert ClipPool.is_complete(tmp_path)
    assert len(ClipPool.open(tmp_path)) == 0
    assert list_windows(ClipPool.open(tmp_path)).shape == (0, 2)


@pytest.mark.parametrize("samples", [np.zeros(5, np.float32), np.zeros((5, 2), np.int16)])
def test_samples_are_refused_when_not_one_dimensional_int16(tmp_path: Path, samples: np.ndarray) -> None:
    with ClipWriter(tmp_path) as writer, pytest.raises(TypeError, match="int16"):
        writer.add("frogs", "a", "CC0", samples)


def test_merge_keeps_the_first_of_equal_clips(tmp_path: Path) -> None:
    for name, firsts in (("one", (1, 2)), ("two", (2, 3))):
        with ClipWriter(tmp_path / name) as writer:
            for first in firsts:
                writer.add(name, str(first), "CC0", ramp(10, first))
    merge([tmp_path / "one", tmp_path / "two"], tmp_path / "both")
    pool = ClipPool.open(tmp_path / "both")
    assert [(clip.source, clip.recording) for clip in pool.clips] == [
        ("one", "1"),
        ("one", "2"),
        ("two", "3"),
    ]
    np.testing.assert_array_equal(pool.samples(2), ramp(10, 3))


def test_a_twentieth_of_recordings_and_no_synthetic_clip_is_for_validation() -> None:
    recorded = [Clip("frogs", str(number), "CC0", 0, 1) for number in range(4000)]
    share = np.mean([clip.is_validation for clip in recorded])
    assert 0.04 < share < 0.06
    other_excerpts = [Clip("frogs", clip.recording, "GPL-2", 9, 9).is_validation for clip in recorded]
    assert other_excerpts == [clip.is_validation for clip in recorded]
    assert not any(Clip(f"{SYNTHESIS}x", str(number), "", 0, 1).is_validation for number in range(200))


@pytest.mark.parametrize(
    ("peak", "expected"), [(0.5, 0.5), (0.01, 0.1), (3.0, 0.95), (1e-4, None), (np.nan, None), (np.inf, None)]
)
def test_conversion_to_int16_changes_only_extreme_levels(peak: float, expected: float | None) -> None:
    clip = to_int16(np.array([0.0, -peak, peak / 2]))
    assert (None if clip is None else pytest.approx(-clip[1] / 32767, abs=1e-4)) == expected


def test_windows_cover_a_clip_to_its_end(tmp_path: Path) -> None:
    with ClipWriter(tmp_path) as writer:
        for samples in (100, PATCH_SAMPLES, 3 * PATCH_SAMPLES + 5):
            writer.add("frogs", str(samples), "CC0", ramp(samples))
    pool = ClipPool.open(tmp_path)
    n = PATCH_SAMPLES
    expected = [(0, 0), (1, 0), (2, 0), (2, n), (2, 2 * n), (2, 2 * n + 5)]
    assert list_windows(pool).tolist() == [list(row) for row in expected]
    assert len(cut(pool, 2, 3 * n)) == 5
    patches = np.array([read_patch(pool, clip, offset) for clip, offset in list_windows(pool)])
    assert patches.shape == (6, n)
    assert np.abs(patches).max() <= 1
    np.testing.assert_array_equal(patches[0][:200], np.tile(np.arange(100) / 32768, 2).astype(np.float32))
