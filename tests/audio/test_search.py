from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable

import pytest

from audio_classifier.audio.search import find_mark

SIZE = 1 << 30


def marks(value: Callable[[float], float]) -> list[tuple[int, int]]:
    """Return positions and values of marks; ``value`` maps shares of the file to shares of the time."""
    return [(begin, round(10**6 * value(begin / SIZE))) for begin in range(0, SIZE, 50_000)]


@pytest.mark.parametrize(
    ("value", "max_probes"),
    [
        pytest.param(lambda share: share, 4, id="even"),
        pytest.param(lambda share: share**2, 12, id="denser"),
        pytest.param(lambda share: share**20, 28, id="at the end"),
        pytest.param(lambda share: 0.0 if share < 0.99 else share, 28, id="a jump"),
    ],
)
@pytest.mark.parametrize("target", [1, 3_000, 500_000, 999_000, 10**6])
def test_mark_before_the_target_is_found_with_few_probes(
    value: Callable[[float], float], max_probes: int, target: int
) -> None:
    found = marks(value)
    positions, values = [mark[0] for mark in found], [mark[1] for mark in found]
    probes = 0

    def probe(begin: int, end: int) -> tuple[int, int] | None:
        nonlocal probes
        probes += 1
        index = bisect_left(positions, begin)
        return found[index] if index < len(found) and found[index][0] < end else None

    position = find_mark(probe, target, begin=0, end=SIZE, first=0, last=10**6, tolerance=1000)
    assert probes <= max_probes
    last = positions[bisect_right(values, target) - 1]
    is_close = target - values[positions.index(position)] <= 1000
    assert position <= last
    assert is_close or last - position <= 64 << 10


@pytest.mark.parametrize("values", [[5, 3, 1], [0, 0, 0], [2**64, 0, 2**64]])
def test_search_ends_where_values_do_not_increase(values: list[int]) -> None:
    def probe(begin: int, end: int) -> tuple[int, int] | None:
        return (begin, values[begin % 3]) if begin < end else None

    assert 0 <= find_mark(probe, 4, begin=0, end=SIZE, first=0, last=0, tolerance=0) < SIZE
