from __future__ import annotations

from typing import Any

import pytest

from audio_classifier.service.result_order import is_newer


def state(etag: str, second: int, sequencer: Any = None) -> dict[str, Any]:
    time = f"2030-01-01T00:00:{second:02}+00:00"
    identity = {"bucket": "b", "key": "k", "version_id": None, "etag": etag, "last_modified": time}
    return identity if sequencer is None else {**identity, "sequencer": sequencer}


def refuse(_: object) -> bool:
    raise AssertionError("S3 was asked")


@pytest.mark.parametrize(
    ("existing", "source", "newer"),
    [
        (state("a", 1), state("b", 2), False),
        (state("a", 2), state("b", 1), True),
        (state("a", 1, "0A"), state("b", 1, "0B"), False),
        (state("a", 1, "0B"), state("b", 1, "0A"), True),
        (state("a", 1, "0b"), state("b", 1, "0A"), True),
        (state("a", 1, "0100"), state("b", 1, "FF"), True),  # padded on the left: 0100 and 00FF
        (state("a", 1, "FF"), state("b", 1, "0100"), False),
        (state("a", 2, "0A"), state("b", 1, "0B"), False),  # a multipart upload has the time of its begin
        (state("a", 2, "0A"), state("b", 1), True),
        (state("a", 2, "no number"), state("b", 1, "0B"), True),
        (state("a", 2, 7), state("b", 1, "0B"), True),
        (state("a", 1, "0B"), state("a", 1, "0A"), False),  # the same state
        ({}, state("b", 1), False),
    ],
)
def test_sequencers_decide_if_both_are_known_and_times_otherwise(
    existing: dict[str, Any], source: dict[str, Any], newer: bool
) -> None:
    assert is_newer(existing, source, refuse) is newer


@pytest.mark.parametrize("sequencers", [(None, None), ("0A", None), (None, "0A"), ("0A", "0A")])
@pytest.mark.parametrize("current", [True, False])
def test_current_state_is_the_newer_one_of_the_same_second(
    sequencers: tuple[str | None, str | None], current: bool
) -> None:
    existing, source = state("a", 1, sequencers[0]), state("b", 1, sequencers[1])
    assert is_newer(existing, source, lambda identity: identity is existing and current) is current
