"""The teacher without its front end: classes, log offset, scores and batches."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
import soundfile

from audio_classifier.assets import audioset_labels_path
from audio_classifier.audio.log_mel import log_mel_patches
from audio_classifier.constants import CLASSES, LOG_OFFSET
from audio_classifier.model.labels import LabelSet
from training.data.balance import sigmoid
from training.teacher.yamnet import (
    BATCH_PATCHES,
    HINT_SIZE,
    TEACHER_CLASSES,
    TEACHER_LOG_OFFSET,
    UNKNOWN_CLASSES,
    Teacher,
    TeacherError,
    as_audioset,
    known_classes,
    teacher_classes,
    teacher_log_mels,
)


@pytest.fixture(scope="module")
def folder(golden_data: Path) -> Path:
    return golden_data / "distillation" / "teacher"


@pytest.fixture(scope="module")
def teacher(folder: Path) -> Teacher:
    return Teacher(folder / "yamnet.tflite")


def test_a_file_is_refused_when_its_hash_differs(tmp_path: Path) -> None:
    (tmp_path / "yamnet.tflite").write_bytes(b"TFL3")
    with pytest.raises(TeacherError, match="not the supported YAMNet"):
        Teacher(tmp_path / "yamnet.tflite")


def test_log_offset_is_replaced_by_the_teachers() -> None:
    mel = np.concatenate([[0.0], np.geomspace(1e-6, 1e3, 100)])
    log_mels = np.log(mel + LOG_OFFSET).astype(np.float32)
    np.testing.assert_allclose(teacher_log_mels(log_mels), np.log(mel + TEACHER_LOG_OFFSET), atol=1e-3)


def test_teacher_classes_are_audiosets_except_six(folder: Path) -> None:
    with (folder / "classes.csv").open(encoding="utf-8") as file:
        published = [row["mid"] for row in csv.DictReader(file)]
    labels = LabelSet.read(audioset_labels_path())
    assert [labels[index].label_id for index in known_classes()] == published
    assert len(teacher_classes()) == TEACHER_CLASSES == CLASSES - len(UNKNOWN_CLASSES)


def test_probabilities_of_unknown_classes_are_zero() -> None:
    spread = as_audioset(np.ones((2, TEACHER_CLASSES), np.float32))
    labels = LabelSet.read(audioset_labels_path())
    zero = {labels[int(index)].name for index in np.flatnonzero(spread[1] == 0)}
    assert zero == {*UNKNOWN_CLASSES}


@pytest.mark.parametrize(
    ("recording", "label"),
    [("church-bell", "Bell"), ("rain", "Rain"), ("siren", "Siren"), ("speech", "Speech")],
)
def test_teacher_recognises_recordings(teacher: Teacher, assets: Path, recording: str, label: str) -> None:
    samples, _ = soundfile.read(assets / f"{recording}.wav", dtype="float32")
    logits, hint = teacher(teacher_log_mels(log_mel_patches(samples)))
    best = np.argsort(-sigmoid(logits).mean(axis=0))[:5]
    assert label in [teacher_classes()[index] for index in best]
    assert hint.shape == (len(logits), HINT_SIZE)
    assert (hint >= 0).all()


def test_scores_of_a_patch_do_not_depend_on_its_batch(teacher: Teacher) -> None:
    rng = np.random.default_rng(0)
    patches = rng.uniform(-6, 3, (BATCH_PATCHES + 3, 96, 64)).astype(np.float32)
    logits, hint = teacher(patches)
    alone = teacher(patches[-1:])
    np.testing.assert_allclose(logits[-1:], alone[0], atol=1e-4)
    np.testing.assert_allclose(hint[-1:], alone[1], atol=1e-4)
