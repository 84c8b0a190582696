from __future__ import annotations

import numpy as np
import pytest

from audio_classifier.own_classes import near_duplicates as module
from audio_classifier.own_classes.near_duplicates import near, near_duplicates

EMBEDDINGS = np.array([[1, 0], [0, 1], [2, 0.1], [0.5, 0.5], [0, 3], [0, 0]], np.float32)


@pytest.mark.parametrize("rows", [1, 2, 1024])
def test_pairs_exceed_the_cosine_similarity(monkeypatch: pytest.MonkeyPatch, rows: int) -> None:
    monkeypatch.setattr(module, "ROWS", rows)
    assert near_duplicates(EMBEDDINGS, np.arange(6)).tolist() == [[0, 2], [1, 4]]


def test_pairs_of_one_group_are_not_reported() -> None:
    assert near_duplicates(EMBEDDINGS, np.array([0, 1, 2, 3, 1, 5])).tolist() == [[0, 2]]


@pytest.mark.parametrize("rows", [1, 7, 1024])
def test_pairs_are_limited(monkeypatch: pytest.MonkeyPatch, rows: int) -> None:
    monkeypatch.setattr(module, "ROWS", rows)
    monkeypatch.setattr(module, "MAX_PAIRS", 30)
    assert len(near_duplicates(np.ones((20, 2), np.float32), np.arange(20))) == 30


@pytest.mark.parametrize("rows", [1, 2, 1024])
def test_near_are_the_others_that_resemble_a_member(monkeypatch: pytest.MonkeyPatch, rows: int) -> None:
    monkeypatch.setattr(module, "ROWS", rows)
    members = np.array([True, False, False, False, True, False])
    assert near(EMBEDDINGS, members).tolist() == [False, True, True, False, False, False]
