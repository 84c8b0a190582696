from __future__ import annotations

import numpy as np
import pytest

from audio_classifier.own_classes import near_duplicates as module
from audio_classifier.own_classes.near_duplicates import near_duplicates, touching


@pytest.mark.parametrize("rows", [1, 2, 1024])
def test_pairs_exceed_the_cosine_similarity(monkeypatch: pytest.MonkeyPatch, rows: int) -> None:
    monkeypatch.setattr(module, "ROWS", rows)
    features = np.array([[1, 0], [0, 1], [2, 0.1], [0.5, 0.5], [0, 3], [0, 0]], np.float32)
    assert near_duplicates(features).tolist() == [[0, 2], [1, 4]]


def test_touching_finds_both_sides_of_pairs() -> None:
    members = np.array([True, False, False, False, True])
    assert touching(np.array([[0, 2], [3, 4]]), members).tolist() == [False, False, True, True, False]
    assert not touching(np.empty((0, 2), np.intp), members).any()
