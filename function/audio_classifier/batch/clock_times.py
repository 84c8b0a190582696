"""Read from the name of a file when its recording began, as autonomous recorders write it.

Recognised are the names of AudioMoth (``20240131_063000.WAV``, with ``T`` if triggered, and ``5AFCD5F0.WAV``
of its first firmware), Song Meter and SongMeter Mini (``PREFIX_20240131_063000.wav``), Frontier Labs
(``20240131T063000+1000_REC.wav``), BirdNET-Pi (``2024-01-31-birdnet-06:30:00.wav``), and times in the formats
of ISO 8601.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from typing import Final

DATE: Final = r"(?<!\d)(?P<year>19\d\d|20\d\d)(?P<dash>[-.]?)(?P<month>\d\d)(?P=dash)(?P<day>\d\d)"
BETWEEN: Final = r"(?:[T_ ]|-birdnet-(?:RTSP_\d+-)?|[-_])"
TIME: Final = r"(?P<hour>\d\d)(?P<colon>[-:.h]?)(?P<minute>\d\d)(?P=colon)(?P<second>\d\d)(?!\d)"
ZONE: Final = r"(?:\.\d+)?(?P<zone>Z|[+-]\d\d:?\d\d)?"
NAME: Final = re.compile(DATE + BETWEEN + TIME + ZONE)
# Seconds since 1970 in hexadecimal digits, in capitals; digits alone may mean something else.
UNIX_NAME: Final = re.compile(r"(?=.*[A-F])[0-9A-F]{8}")
UNIX_YEARS: Final = range(2014, 2040)  # from before the first AudioMoth on


@dataclass(frozen=True, slots=True)
class ClockTime:
    """When a recording began, by the clock of its recorder; without a zone if the name has none."""

    begin: datetime

    def after(self, seconds: float) -> str:
        """Return the clock time of a moment of the recording, in ISO 8601 and milliseconds."""
        moment = self.begin + timedelta(seconds=round(seconds, 3))
        return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def recorded_at(name: str) -> ClockTime | None:
    """Return when a recording began according to the name of its file; None if the name does not say so.

    Names with several times, or with numbers that are not a time, do not say so.
    """
    stem = os.path.splitext(name.replace("\\", "/").rpartition("/")[2])[0]
    if UNIX_NAME.fullmatch(stem):
        begin = datetime.fromtimestamp(int(stem, 16), UTC)
        return ClockTime(begin) if begin.year in UNIX_YEARS else None
    found = [time for match in NAME.finditer(stem) if (time := _time(match))]
    return ClockTime(found[0]) if len(found) == 1 else None


def _time(match: re.Match[str]) -> datetime | None:
    fields = (int(match[name]) for name in ("year", "month", "day", "hour", "minute", "second"))
    try:
        return datetime(*fields, tzinfo=_zone(match["zone"]))  # type: ignore[misc,arg-type]  # six numbers
    except ValueError:
        return None


def _zone(text: str | None) -> timezone | None:
    if not text:
        return None
    if text == "Z":
        return UTC
    hours, minutes = int(text[1:3]), int(text[-2:])
    offset = timedelta(hours=hours, minutes=minutes)
    return timezone(-offset if text[0] == "-" else offset)
