"""The clip teacher scores the windows that begin with each patch, as the bundle's classifier does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from audio_classifier import AudioClassifier
from audio_classifier.constants import CLIP_PATCHES, PATCH_HOP_SAMPLES
from tests.support.sounds import busy, encode
from tests.training.material import FakeTeacher, make_pool
from training.data.balance import sigmoid
from training.data.windows import span_samples
from training.teacher.clip_teacher import ClipTeacher, ClipTeacherError
from training.teacher.label import AUGMENTED, MIXED, label_augmented, label_natural
from training.teacher.shards import ShardError, ShardReader, ShardWriter

PATCHES = 13
TEACHER: Any = FakeTeacher()


@pytest.fixture(scope="module")
def clip_teacher(clip_bundle: Path) -> ClipTeacher:
    return ClipTeacher(clip_bundle)


@pytest.fixture(scope="module")
def signal() -> Any:
    return busy(20, 16_000)[:, 0].astype(np.float32)


@pytest.mark.parametrize(("patches", "begin"), [(1, 0), (3, 0), (PATCHES, 0), (PATCHES, 2)])
def test_clip_logits_are_those_of_the_bundle(
    clip_teacher: ClipTeacher, clip_bundle: Path, signal: Any, patches: int, begin: int
) -> None:
    """A shorter recording is repeated; of a longer one, the windows share the log-mels of the recording."""
    samples = signal[: span_samples(patches)]
    logits = clip_teacher(signal, patches).clip[begin]
    clip = np.resize(samples[begin * PATCH_HOP_SAMPLES :], span_samples(CLIP_PATCHES))
    expected = AudioClassifier.open(clip_bundle).probabilities(encode(clip, 16_000, subtype="FLOAT"))
    # Frames at the ends of windows differ, because the samples before and after them are known.
    np.testing.assert_allclose(sigmoid(logits), expected, atol=0.02 if patches > CLIP_PATCHES else 1e-5)


def test_windows_are_ten_patches_and_two_as_far_as_the_recording_lasts(
    clip_teacher: ClipTeacher, signal: Any
) -> None:
    clip, pair = clip_teacher(signal, PATCHES)
    assert clip.shape == pair.shape == (PATCHES, 527)
    last = PATCHES - CLIP_PATCHES
    assert (clip[last:] == clip[last]).all()
    assert not np.allclose(clip[last], clip[last - 1])
    assert np.isnan(pair).all(axis=1).tolist() == [False] * (PATCHES - 1) + [True]


def test_model_of_patches_is_refused(compact: Path) -> None:
    with pytest.raises(ClipTeacherError, match="expected a model of clips"):
        ClipTeacher(compact)


def test_shards_have_the_clip_teachers_logits(tmp_path: Path, clip_teacher: ClipTeacher) -> None:
    pool = make_pool(tmp_path / "pool", clips=12)
    natural = label_natural(pool, TEACHER, tmp_path / "natural", lambda done, of: None, clip_teacher)
    assert natural.clip_logits is not None
    assert natural.pair_logits is not None
    last_of_phase = np.append(np.diff(natural.offset[: natural.count]) != PATCH_HOP_SAMPLES, True)
    assert (np.isnan(natural.pair_logits[:, 0]) == last_of_phase).all()
    assert np.isfinite(natural.clip_logits).all()
    for kind in (AUGMENTED, MIXED):
        label_augmented(
            pool, natural, TEACHER, tmp_path / kind, kind=kind, seed=1, capacity=300,
            until=lambda: False, progress=lambda done, of: None, clip_teacher=clip_teacher,
        )  # fmt: skip
    assert ShardReader(tmp_path / AUGMENTED).clip_logits is None  # patches are too short
    mixed = ShardReader(tmp_path / MIXED)
    assert mixed.clip_logits is not None
    clips = mixed.clip_logits[: mixed.count].reshape(-1, CLIP_PATCHES, 527)
    assert (clips == clips[:, :1]).all()


def test_shard_of_other_teachers_is_refused(tmp_path: Path) -> None:
    ShardWriter(tmp_path, 5)
    with pytest.raises(ShardError, match="labelled with other teachers"):
        ShardWriter(tmp_path, 5, has_clip_logits=True)
