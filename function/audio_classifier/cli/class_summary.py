"""The summary of many timelines: how long and in how many recordings each class is present."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from audio_classifier.escaping import printable

if TYPE_CHECKING:
    from audio_classifier.inference.sound_events import SoundEvent

MAX_CLASSES: Final = 15


@dataclass(slots=True)
class ClassTotal:
    """What was found of one class."""

    seconds: float = 0.0
    files: int = 0
    events: int = 0


class ClassSummary:
    """The totals of all classes, over recordings that are added one by one."""

    def __init__(self) -> None:
        self._totals: dict[str, ClassTotal] = {}
        self._analyzed_s = 0.0
        self._recordings = 0

    def add(self, events: Iterable[SoundEvent], analyzed_s: float) -> None:
        """Add the sound events of a recording of which ``analyzed_s`` seconds were read."""
        self._recordings += 1
        self._analyzed_s += analyzed_s
        found = set()
        for event in events:
            total = self._totals.setdefault(event.label, ClassTotal())
            total.seconds += event.end_s - event.start_s
            total.events += 1
            if event.label not in found:
                found.add(event.label)
                total.files += 1

    def lines(self) -> Iterator[str]:
        """Yield the lines of a table, the longest classes first."""
        if not self._recordings:
            return
        ordered = sorted(self._totals.items(), key=lambda item: -item[1].seconds)
        if ordered:
            yield f"{'MINUTES':>9}  {'FILES':>6}  {'EVENTS':>7}  CLASS"
        for label, total in ordered[:MAX_CLASSES]:
            yield f"{total.seconds / 60:9.1f}  {total.files:6}  {total.events:7}  {printable(label)}"
        if (rest := len(ordered) - MAX_CLASSES) > 0:
            yield f"{'':26}  and {rest} more classes"
        yield f"{self._analyzed_s / 60:9.1f}  {self._recordings:6}  {'':7}  minutes and files analyzed"
