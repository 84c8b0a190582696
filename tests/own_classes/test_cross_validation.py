from __future__ import annotations

from importlib.util import find_spec

import numpy as np
import pytest

from audio_classifier.own_classes import cross_validation
from audio_classifier.own_classes.cross_validation import assign_folds, cross_validate
from audio_classifier.own_classes.fitting import fit_head


def two_classes(per_class: int) -> tuple[np.ndarray, list[str]]:
    present = np.repeat(np.eye(2, dtype=bool), per_class, axis=0)
    return present, [f"r{index}" for index in range(2 * per_class)]


def test_classes_are_spread_evenly_over_five_folds() -> None:
    present, groups = two_classes(10)
    folds = assign_folds(present, groups, seed=0)
    for column in present.T:
        assert np.bincount(folds[column]).tolist() == [2] * 5


def test_groups_are_not_divided_and_the_seed_decides() -> None:
    present, _ = two_classes(12)
    groups = [f"g{index % 8}" for index in range(24)]
    folds = assign_folds(present, groups, seed=0)
    assert len({*zip(groups, folds.tolist(), strict=True)}) == 8
    assert (folds == assign_folds(present, groups, seed=0)).all()
    assert any((folds != assign_folds(present, groups, seed=seed)).any() for seed in range(1, 5))


def test_there_are_no_more_folds_than_groups() -> None:
    present, _ = two_classes(3)
    assert sorted({*assign_folds(present, ["a", "b", "c"] * 2, seed=0).tolist()}) == [0, 1, 2]


def test_one_group_cannot_be_cross_validated() -> None:
    present, _ = two_classes(3)
    zeros = np.zeros((6, 256), np.float32)
    assert cross_validate(zeros, present, zeros, ["a"] * 6, seed=0) is None


@pytest.mark.skipif(find_spec("sklearn") is None, reason="scikit-learn is not installed")
def test_near_duplicates_are_left_out_of_training(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    present, groups = two_classes(10)
    features = rng.standard_normal((20, 256)).astype(np.float32)
    folds = assign_folds(present, groups, seed=0)
    other = int(np.flatnonzero(folds != folds[0])[0])
    features[other] = features[0] * 2
    seen = []

    def record(rows: np.ndarray, truth: np.ndarray) -> object:
        seen.append({row.tobytes() for row in rows})
        return fit_head(rows, truth)

    monkeypatch.setattr(cross_validation, "fit_head", record)
    held_out = cross_validate(features, present, features, groups, seed=0)
    assert held_out is not None
    assert held_out.pairs.tolist() == [[0, other]]
    assert held_out.left_out == 2
    copies = {features[0].tobytes(), features[other].tobytes()}
    assert [len(rows & copies) for rows in seen] == [
        0 if fold in folds[[0, other]] else 2 for fold in range(5)
    ]
    assert all(not seen[fold] & {row.tobytes() for row in features[folds == fold]} for fold in range(5))
