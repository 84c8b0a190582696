from __future__ import annotations

import numpy as np
import pytest

from audio_classifier.own_classes.regions import cut, labelled_region, loud_regions, overlaps


@pytest.mark.parametrize(
    ("levels_db", "expected"),
    [
        ([-60, -20, -25, -60, -60, -39, -60], [(1, 3), (5, 6)]),
        ([-20, -60, -20], [(0, 3)]),
        ([-30, -31, -29], [(0, 3)]),
        ([-120, -120], [(0, 2)]),
        ([-20, -40, -40.1, -41, -20], [(0, 2), (4, 5)]),
    ],
)
def test_loud_regions_are_within_20_db_of_the_loudest_step(
    levels_db: list[float], expected: list[tuple[int, int]]
) -> None:
    found = loud_regions(np.array(levels_db, np.float64))
    assert [(region.start, region.stop) for region in found] == expected


@pytest.mark.parametrize(
    ("start_s", "end_s", "expected"),
    [(0, 0.96, (0, 1)), (1, 1.1, (1, 2)), (0.9, 2.0, (0, 3)), (9, 99, (9, 10)), (9.7, 9.8, (9, 10))],
)
def test_labelled_region_is_the_steps_that_a_span_touches(
    start_s: float, end_s: float, expected: tuple[int, int]
) -> None:
    region = labelled_region(start_s, end_s, 10)
    assert (region.start, region.stop) == expected


@pytest.mark.parametrize(
    ("length", "expected"), [(1, [1]), (10, [10]), (11, [5, 6]), (25, [8, 8, 9]), (100, [10] * 10)]
)
def test_cut_gives_the_least_number_of_almost_equal_windows(length: int, expected: list[int]) -> None:
    windows = cut(range(3, 3 + length))
    assert [len(window) for window in windows] == expected
    assert [step for window in windows for step in window] == [*range(3, 3 + length)]


def test_span_belongs_to_windows_that_it_covers_by_half_a_step_or_by_half_of_itself() -> None:
    window = range(1, 3)  # 0.96 to 2.88 s
    assert overlaps(window, 0, 1.44)
    assert not overlaps(window, 0, 1.4)
    assert overlaps(window, 2.8, 2.9)
    assert not overlaps(window, 2.85, 2.95)
