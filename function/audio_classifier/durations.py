"""Parse and write durations and times within a recording, in the notations that people write."""

from __future__ import annotations

import re
from typing import Final

MAX_CHARACTERS: Final = 40
# A number of seconds, which may have an exponent or the unit s.
_SECONDS: Final = r"(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+|\s?s)?"
# [hours:]minutes:seconds, where only the first of them may exceed 59.
_CLOCK: Final = r"(?:(\d+):([0-5]?\d)|(\d+)):([0-5]?\d(?:\.\d*)?)"
PATTERN: Final = rf"^(?:{_SECONDS}|{_CLOCK})?$"  # for schemas; an empty text stands for the default


def parse_duration(text: str) -> float:
    """Parse ``90``, ``90.5``, ``90s``, ``1:30`` or ``0:01:30.5``; return seconds.

    A plain number may have a sign, so that the caller can report that it is out of range.

    Raises
    ------
    ValueError
        If the text is something else; the message states what is expected and what was found.
    """
    text = text.strip()
    if len(text) <= MAX_CHARACTERS:
        if re.fullmatch(rf"[+-]?{_SECONDS}", text, re.ASCII):
            return float(text.removesuffix("s"))
        clock = re.fullmatch(_CLOCK, text, re.ASCII)
        if clock:
            hours, minutes_of_hour, minutes, seconds = clock.groups()
            return 3600 * int(hours or 0) + 60 * int(minutes_of_hour or minutes) + float(seconds)
    raise ValueError(
        "must be seconds (90 or 90s), minutes:seconds (1:30) or hours:minutes:seconds (0:01:30), "
        f"got {text[:MAX_CHARACTERS]!r}"
    )


def clock_text(seconds: float) -> str:
    """Return ``5:00`` or ``1:01:30``, rounded to whole seconds."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
