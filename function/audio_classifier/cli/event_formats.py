"""Output formats of `audio-classifier timeline`, for people, programs, editors and evaluation tools."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, fields
from typing import Final, TextIO

from audio_classifier.audio.warnings import AudioWarning
from audio_classifier.escaping import printable
from audio_classifier.inference.record import warnings_record
from audio_classifier.inference.sound_events import SoundEvent, by_start


class SoundEvents:
    """The sound events of a timeline, to be iterated once.

    Attributes
    ----------
    warnings
        The warnings of the recording, when all events were yielded.
    """

    def __init__(
        self,
        items: Iterable[object],
        on_warning: Callable[[AudioWarning], None] = lambda _: None,
        on_event: Callable[[SoundEvent], object] = lambda _: None,
    ) -> None:
        self._items = items
        self._on_warning = on_warning
        self._on_event = on_event
        self.warnings: list[AudioWarning] = []

    def __iter__(self) -> Iterator[SoundEvent]:
        for item in self._items:
            if isinstance(item, SoundEvent):
                self._on_event(item)
                yield item
            elif isinstance(item, AudioWarning):
                self.warnings.append(item)
                self._on_warning(item)


def write_table(events: SoundEvents, out: TextIO, name: str) -> None:  # noqa: ARG001  # common signature
    """Write start, end, peak probability and label of each event in a line, as soon as it has ended."""
    for event in events:
        span = f"{_clock(event.start_s)[:-2]} - {_clock(event.end_s)[:-2]}"
        print(f"{span}  {event.peak:6.1%}  {event.label}", file=out, flush=True)


def write_json(events: SoundEvents, out: TextIO, name: str) -> None:
    """Write one object with the recording's ``file``, its ``events`` by their start, and its warnings."""
    ordered = [asdict(event) for event in sorted(events, key=by_start)]
    json.dump({"file": name, "events": ordered, **warnings_record(events.warnings)}, out, indent=2)
    print(file=out)


def write_jsonl(events: SoundEvents, out: TextIO, name: str) -> None:
    """Write an object per line and event, as soon as the event has ended."""
    for event in events:
        print(json.dumps({"file": name, **asdict(event)}), file=out, flush=True)


def write_csv(events: SoundEvents, out: TextIO, name: str) -> None:
    """Write a row per event, ordered by start."""
    rows = csv.writer(out, lineterminator="\n")
    rows.writerow(("file", *(field.name for field in fields(SoundEvent))))
    for event in sorted(events, key=by_start):
        times = (f"{event.start_s:.2f}", f"{event.end_s:.2f}")
        values = (f"{event.peak:.4f}", f"{event.mean:.4f}")
        rows.writerow((printable(name), event.label_id, event.label, *times, *values))


def write_audacity(events: SoundEvents, out: TextIO, name: str) -> None:  # noqa: ARG001  # common signature
    """Write Audacity's label track: tab-separated start, end and label (File, Import, Labels)."""
    for event in sorted(events, key=by_start):
        print(f"{event.start_s:.6f}\t{event.end_s:.6f}\t{event.label}", file=out)


def write_vtt(events: SoundEvents, out: TextIO, name: str) -> None:  # noqa: ARG001  # common signature
    """Write WebVTT subtitles with a cue per event; players stack cues that overlap."""
    print("WEBVTT", file=out)
    for event in sorted(events, key=by_start):
        label = event.label.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
        print(f"\n{_clock(event.start_s)} --> {_clock(event.end_s)}\n{label}", file=out)


def write_rttm(events: SoundEvents, out: TextIO, name: str) -> None:
    """Write a line of RTTM per event (NIST, Rich Transcription 2009), with its class as the speaker.

    RTTM's fields cannot contain white space, which is replaced with underscores.
    """
    file = _field(name)
    for event in sorted(events, key=by_start):
        print(
            f"SPEAKER {file} 1 {event.start_s:.3f} {event.end_s - event.start_s:.3f} <NA> <NA> "
            f"{_field(event.label)} {event.mean:.3f} <NA>",
            file=out,
        )


FORMATS: Final[dict[str, Callable[[SoundEvents, TextIO, str], None]]] = {
    "table": write_table,
    "json": write_json,
    "jsonl": write_jsonl,
    "csv": write_csv,
    "audacity": write_audacity,
    "vtt": write_vtt,
    "rttm": write_rttm,
}


def _clock(seconds: float) -> str:
    milliseconds = round(seconds * 1000)
    minutes, milliseconds = divmod(milliseconds, 60_000)
    return f"{minutes // 60:02}:{minutes % 60:02}:{milliseconds // 1000:02}.{milliseconds % 1000:03}"


def _field(text: str) -> str:
    return printable(re.sub(r"\s+", "_", text))
