"""Event-based matching: collars, hand-made cases, and optimality against an exhaustive search."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from audio_classifier.evaluation.event_matching import END_SHARE, Span, count_matches


@pytest.mark.parametrize(
    ("labelled", "detected", "matches"),
    [
        ([], [], 0),
        ([(0, 1)], [], 0),
        ([], [(0, 1)], 0),
        ([(1, 2)], [(1.5, 2.5)], 1),  # both collars are inclusive
        ([(1, 2)], [(1.51, 2.5)], 0),
        ([(1, 2)], [(0.49, 2)], 0),
        ([(1, 2)], [(1, 2.51)], 0),
        ([(0, 10)], [(0, 5)], 1),  # half of the length is longer than the collar
        ([(0, 10)], [(0, 4.9)], 0),
        ([(0, 1), (0, 1)], [(0, 1)], 1),  # each event matches once
        ([(0, 1)], [(0, 0.5), (0.5, 1)], 1),
        ([(0, 1), (2, 3)], [(0, 1), (2, 3)], 2),
        ([(0, 10), (0, 5)], [(0, 4), (9, 10)], 1),
    ],
)
def test_matches_equal_hand_made_values(labelled: list[Span], detected: list[Span], matches: int) -> None:
    assert count_matches(labelled, detected, 0.5) == matches


def matches_by_search(labelled: list[Span], detected: list[Span], collar_s: float) -> int:
    def fits(label: Span, event: Span) -> bool:
        end_collar_s = max(collar_s, END_SHARE * (label[1] - label[0]))
        return abs(label[0] - event[0]) <= collar_s and abs(label[1] - event[1]) <= end_collar_s

    padded = [*detected, *[None] * len(labelled)]
    return max(
        sum(event is not None and fits(label, event) for label, event in zip(labelled, chosen, strict=True))
        for chosen in itertools.permutations(padded, len(labelled))
    )


@pytest.mark.parametrize("seed", range(40))
def test_number_of_matches_is_the_maximum(seed: int) -> None:
    rng = np.random.default_rng(seed)
    times = sorted((rng.integers(0, 30, 6) / 2).tolist())
    detected = [(a, b) for a, b in zip(times[::2], times[1::2], strict=True) if a < b]
    starts, lengths = (rng.integers(0, 30, 3) / 2).tolist(), (rng.integers(1, 12, 3) / 2).tolist()
    labelled = [(start, start + length) for start, length in zip(starts, lengths, strict=True)]
    assert count_matches(labelled, detected, 2.0) == matches_by_search(labelled, detected, 2.0)


def test_large_collar_and_many_events_match_quickly() -> None:
    events = [(float(start), start + 0.5) for start in range(20_000)]
    assert count_matches(events[::-1], events, 1e9) == len(events)
