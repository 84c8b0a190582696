"""Store the timelines of long recordings in parts, so that memory does not grow with their length."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import closing
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from audio_classifier.audio.warnings import AudioWarning
from audio_classifier.errors import AudioError
from audio_classifier.inference.record import error_record, warnings_record
from audio_classifier.inference.sound_events import SoundEvent
from audio_classifier.inference.windows import Window
from audio_classifier.service.predict import TimelineItem, collect_timeline
from audio_classifier.service.timeline_lines import item_line

# Of one part, and of a timeline without parts: 64 minutes, about 2 MB of JSON.
MAX_WINDOWS: Final = 4_000

StorePart = Callable[[int, bytes], str]
"""Store a part by its number, and return its key.  Raises `TransferError`."""


def stored_timeline(
    items: Generator[TimelineItem, None, None], store_part: StorePart, *, max_windows: int = MAX_WINDOWS
) -> dict[str, Any]:
    """Return the timeline as a result contains it: ``windows`` and ``events``, or, if it is long, ``parts``.

    A part is a file of JSON lines, as HTTP streams them.  It has at most ``max_windows`` windows, and the
    sound events that end in them.  A timeline in parts lists these in order, and summarises each class.
    After a fault of the recording, what precedes it is stored, and its error is added.

    Parameters
    ----------
    items
        The windows, sound events and warnings, which are consumed.
    store_part
        Stores each part before the next one is computed.

    Raises
    ------
    TransferError, DeadlineExceededError
        If a part cannot be stored, or the work must stop.
    """
    timeline = _Timeline(store_part, max_windows)
    fault: dict[str, Any] = {"status": "ok"}
    try:
        with closing(items):
            for item in items:
                timeline.add(item)
    except AudioError as error:
        fault = error_record(error)
    return {**fault, **timeline.record()}


@dataclass(slots=True)
class _ClassTotal:
    label_id: str
    label: str
    seconds: float = 0.0
    events: int = 0
    peak: float = 0.0


@dataclass(slots=True)
class _Timeline:
    """Items that wait to be stored, and what was stored."""

    store_part: StorePart
    max_windows: int
    waiting: list[TimelineItem] = field(default_factory=list)
    windows: int = 0  # that wait
    parts: list[dict[str, Any]] = field(default_factory=list)
    warnings: list[AudioWarning] = field(default_factory=list)
    totals: dict[str, _ClassTotal] = field(default_factory=dict)

    def add(self, item: TimelineItem) -> None:
        if isinstance(item, AudioWarning):
            self.warnings.append(item)
            return
        if isinstance(item, Window):
            if self.windows == self.max_windows:
                self._store()
            self.windows += 1
        elif isinstance(item, SoundEvent):
            self._count(item)
        self.waiting.append(item)

    def record(self) -> dict[str, Any]:
        if not self.parts:
            inline: dict[str, Any] = {}
            collect_timeline([*self.waiting, *self.warnings], inline)
            return inline
        self._store()
        totals = sorted(self.totals.values(), key=lambda total: -total.seconds)
        return {
            "parts": self.parts,
            "classes": [{**asdict(total), "seconds": round(total.seconds, 2)} for total in totals],
            **warnings_record(self.warnings),
        }

    def _count(self, event: SoundEvent) -> None:
        total = self.totals.setdefault(event.label_id, _ClassTotal(event.label_id, event.label))
        total.seconds += event.end_s - event.start_s
        total.events += 1
        total.peak = max(total.peak, event.peak)

    def _store(self) -> None:
        content = "".join(map(item_line, self.waiting)).encode()
        windows = [item for item in self.waiting if isinstance(item, Window)]
        self.parts.append(
            {
                "key": self.store_part(len(self.parts), content),
                "start": windows[0].start_s,
                "end": windows[-1].end_s,
                "windows": len(windows),
                "events": len(self.waiting) - len(windows),
                "bytes": len(content),
            }
        )
        self.waiting, self.windows = [], 0
