"""The benchmarks of own classes on features and recordings that are easy to tell apart."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from benchmarks.altered_audio import ALTERATIONS, report
from benchmarks.own_classes import few_shot, fold_rows, negative_rows, read, simulate
from tests.support.sounds import encode

needs_scikit_learn = pytest.mark.skipif(find_spec("sklearn") is None, reason="scikit-learn is not installed")
CLASSES, FOLDS = 10, 5


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for each of two classes, with low and high tones of five folds."""
    folder, rng = tmp_path_factory.mktemp("copy"), np.random.default_rng(0)
    for name, low_hz in (("low", 200), ("high", 1600)):
        (folder / name).mkdir()
        for number in range(2 * FOLDS):
            times = np.arange(16_000) / 16_000
            tone = 0.3 * np.sin(2 * np.pi * low_hz * rng.uniform(1, 1.2) * times)
            path = folder / name / f"{number % FOLDS + 1}-{number}.wav"
            path.write_bytes(encode(np.asarray(tone, np.float32), 16_000))
    return folder


@needs_scikit_learn
def test_separable_features_are_predicted_without_errors() -> None:
    present = np.tile(np.eye(CLASSES, dtype=bool), (2 * FOLDS, 1))
    noise = np.random.default_rng(0).normal(0, 0.1, (len(present), 256 - CLASSES))
    features = np.concatenate([4 * present, noise], axis=1).astype(np.float32)
    folds = np.repeat([str(fold) for fold in range(1, FOLDS + 1)], 2 * CLASSES)
    assert fold_rows(features, present, folds)[-1] == ("all folds", "1.0000 (100 of 100)")
    assert few_shot(features, present, 5, 0) == 1
    (_, recall, _), (_, recall_with_negatives, false_alarms) = negative_rows(features, present, folds)
    assert recall == recall_with_negatives == "1.000"
    assert float(false_alarms) < 0.5


def test_every_recording_is_an_example_and_names_its_fold(copy: Path) -> None:
    examples = read(copy, "compact")
    assert len(examples) == 4 * FOLDS
    assert {Path(one.sound.path).name[0] for one in examples} == {*"12345"}


def test_simulated_microphones_differ_and_repeat() -> None:
    samples = np.random.default_rng(0).standard_normal(16_000) * 0.1
    first, again, second = (simulate(samples, microphone) for microphone in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - second).max() > 0.01


@needs_scikit_learn
def test_table_has_a_row_for_each_alteration(copy: Path) -> None:
    rows = report(copy, "compact").splitlines()[2:]
    assert [row.split(" | ")[0].strip("| ") for row in rows] == [
        *("nothing", *ALTERATIONS, "all three", "windows of three seconds")
    ]
    assert "1.000" in rows[0]
