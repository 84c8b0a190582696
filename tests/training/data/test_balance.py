"""Rare classes are drawn more often."""

from __future__ import annotations

import numpy as np
import pytest

from training.data.balance import Draw, class_frequencies, rarity, shares, sigmoid


def test_the_sigmoid_takes_any_logits() -> None:
    logits = np.array([-1e4, -2.0, 0.0, 2.0, 1e4], np.float16)
    np.testing.assert_allclose(sigmoid(logits), [0, 0.1192, 0.5, 0.8808, 1], atol=1e-4)


def test_a_patch_is_as_rare_as_its_rarest_class() -> None:
    logits = np.full((101, 3), -20.0)
    logits[:, 0] = 20
    logits[100, 1] = 20
    rare = rarity(logits, class_frequencies(logits))
    assert len(np.unique(rare[:100])) == 1
    # Heard once in 101, against always: 101 ** 0.6.
    assert rare[100] / rare[0] == pytest.approx(101**0.6, rel=0.02)


def test_what_is_hardly_heard_does_not_count() -> None:
    logits = np.full((4, 2), -3.0)
    assert (rarity(logits, class_frequencies(logits)) == 0).all()


def test_rows_are_drawn_in_proportion() -> None:
    drawn = Draw(np.array([0.0, 1.0, 3.0, 0.0]))(np.random.default_rng(0), 10_000)
    counts = np.bincount(drawn, minlength=4)
    assert counts[[0, 3]].tolist() == [0, 0]
    assert counts[2] / counts[1] == pytest.approx(3, rel=0.1)


def test_nothing_cannot_be_drawn_from() -> None:
    with pytest.raises(ValueError, match="nothing to draw"):
        Draw(np.zeros(3))


def test_no_row_takes_all_draws() -> None:
    weights = np.ones(1000)
    weights[7] = 1e6
    assert shares(weights)[7] < 0.01
    assert shares(weights).sum() == pytest.approx(1)
    assert shares(np.zeros(4)).tolist() == [0.25] * 4
