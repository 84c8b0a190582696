"""Class balance: rarity of patches and weighted draws."""

from __future__ import annotations

import numpy as np
import pytest

from training.data.balance import Draw, class_frequencies, rarity, shares, sigmoid


def test_sigmoid_accepts_logits_of_any_size() -> None:
    logits = np.array([-1e4, -2.0, 0.0, 2.0, 1e4], np.float16)
    np.testing.assert_allclose(sigmoid(logits), [0, 0.1192, 0.5, 0.8808, 1], atol=1e-4)


def test_rarity_of_a_patch_is_that_of_its_rarest_class() -> None:
    logits = np.full((101, 3), -20.0)
    logits[:, 0] = 20
    logits[100, 1] = 20
    rare = rarity(logits, class_frequencies(logits))
    assert len(np.unique(rare[:100])) == 1
    # The rare class is present in one patch of 101, the other one in all of them.
    assert rare[100] / rare[0] == pytest.approx(101**0.6, rel=0.02)


def test_rarity_is_zero_when_all_scores_are_low() -> None:
    logits = np.full((4, 2), -3.0)
    assert (rarity(logits, class_frequencies(logits)) == 0).all()


def test_rows_are_drawn_in_proportion_to_weights() -> None:
    drawn = Draw(np.array([0.0, 1.0, 3.0, 0.0]))(np.random.default_rng(0), 10_000)
    counts = np.bincount(drawn, minlength=4)
    assert counts[[0, 3]].tolist() == [0, 0]
    assert counts[2] / counts[1] == pytest.approx(3, rel=0.1)


def test_weights_are_refused_when_all_are_zero() -> None:
    with pytest.raises(ValueError, match="weights must have a positive sum, got 0"):
        Draw(np.zeros(3))


def test_shares_cap_the_largest_weight_and_sum_to_one() -> None:
    weights = np.ones(1000)
    weights[7] = 1e6
    assert shares(weights)[7] < 0.01
    assert shares(weights).sum() == pytest.approx(1)
    assert shares(np.zeros(4)).tolist() == [0.25] * 4
