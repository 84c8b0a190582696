from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from audio_classifier.errors import BundleInvalidError
from audio_classifier.model.attention import Dense
from audio_classifier.model.linear_head import FEATURES, LinearHead, pooled
from tests.support.own_bundles import own_head


def test_probabilities_equal_the_definition() -> None:
    head = own_head()
    rows = np.random.default_rng(1).uniform(-1, 1, (4, 128)).astype(np.float32)
    features = [*(sum(map(float, column)) / 4 for column in rows.T), *(max(column) for column in rows.T)]
    for index, probability in enumerate(head(rows)):
        weights = head.dense.kernel[:, index]
        logit = sum(float(w) * float(x) for w, x in zip(weights, features, strict=True))
        expected = 1 / (1 + math.exp(-logit - float(head.dense.bias[index])))
        assert probability == pytest.approx(expected, abs=1e-5)


def test_batches_equal_single_windows() -> None:
    head = own_head()
    windows = np.random.default_rng(2).uniform(-1, 1, (5, 3, 128)).astype(np.float32)
    expected = np.stack([head(window) for window in windows])
    np.testing.assert_allclose(head(windows), expected, atol=1e-6)


def test_mean_and_maximum_do_not_depend_on_repetition_of_all_patches() -> None:
    rows = np.random.default_rng(3).uniform(-1, 1, (3, 128)).astype(np.float32)
    np.testing.assert_allclose(pooled(np.tile(rows, (3, 1))), pooled(rows), atol=1e-6)


def test_arrays_survive_a_round_trip() -> None:
    head = own_head()
    copy = LinearHead.from_arrays(head.arrays())
    assert copy.classes == head.classes == 3
    np.testing.assert_array_equal(copy.dense.kernel, head.dense.kernel)


@pytest.mark.parametrize(
    "arrays",
    [
        {"kernel": np.zeros((FEATURES, 2))},
        {"bias": np.zeros(2)},
        {"kernel": np.zeros((FEATURES, 2)), "bias": np.zeros(3)},
        {"kernel": np.zeros((128, 2)), "bias": np.zeros(2)},
        {"kernel": np.zeros((FEATURES, 0)), "bias": np.zeros(0)},
        {"kernel": np.zeros((FEATURES, 2)), "bias": np.zeros((1, 2))},
    ],
    ids=str,
)
def test_missing_arrays_and_other_shapes_are_refused(arrays: dict[str, Any]) -> None:
    with pytest.raises(BundleInvalidError, match="linear head"):
        LinearHead.from_arrays(arrays)


def test_dense_layer_of_another_width_is_refused() -> None:
    with pytest.raises(BundleInvalidError, match="256"):
        LinearHead(Dense(np.zeros((2, 2), np.float32), np.zeros(2, np.float32)))
