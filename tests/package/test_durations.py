from __future__ import annotations

import re

import pytest

from audio_classifier.durations import PATTERN, parse_duration


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90", 90),
        ("90.5", 90.5),
        (".5", 0.5),
        ("5.", 5),
        ("1e1", 10),
        ("90s", 90),
        ("1.5 s", 1.5),
        ("1:30", 90),
        ("01:05.25", 65.25),
        ("100:00", 6000),
        ("0:01:30.5", 90.5),
        ("2:00:00", 7200),
        (" 3 ", 3),
    ],
)
def test_duration_is_parsed_in_every_notation(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds
    assert re.match(PATTERN, text.strip())


def test_sign_of_a_number_is_kept() -> None:
    assert parse_duration("-1") == -1


@pytest.mark.parametrize(
    "text",
    ["", "x", "nan", "inf", "1:60", "1:60:00", "1:2:3:4", "1:", ":30", "-1:30", "1m", "1_0", "１", "9" * 41],
)
def test_other_text_is_refused_with_the_notations(text: str) -> None:
    with pytest.raises(ValueError, match=r"1:30.*, got '"):
        parse_duration(text)
