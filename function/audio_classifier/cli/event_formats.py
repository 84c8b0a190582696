"""Output formats of `audio-classifier timeline`, for people, programs, editors and evaluation tools."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from textwrap import indent
from typing import Any, Final, TextIO, TypeAlias

from audio_classifier.batch.clock_times import recorded_at
from audio_classifier.batch.timelines import Analyzed
from audio_classifier.escaping import printable

COLUMNS: Final = ("label_id", "label", "start_s", "end_s", "peak", "mean", "time")
# Raven Pro reads tab-separated tables with these first columns; it shows and exports all others.
RAVEN_COLUMNS: Final = (
    *("Selection", "View", "Channel", "Begin Time (s)", "End Time (s)", "Low Freq (Hz)", "High Freq (Hz)"),
    *("Class", "Score", "Begin Path"),
)


@dataclass(frozen=True, slots=True)
class AnalyzedRecording:
    """The sound events of one recording.

    Attributes
    ----------
    max_hz
        Up to which frequency the model hears.
    """

    analyzed: Analyzed
    max_hz: float

    @property
    def file(self) -> str:
        """The name of the recording."""
        return self.analyzed.name

    def rows(self) -> list[dict[str, Any]]:
        """Return the events as JSON represents them, by their start."""
        rows: list[dict[str, Any]] = self.analyzed.record()["events"]
        return rows

    def response(self) -> dict[str, Any]:
        """Return the JSON object: events and warnings; after a fault of the recording, also its error."""
        record = self.analyzed.record()
        return {name: value for name, value in record.items() if (name, value) != ("status", "ok")}


@dataclass(frozen=True, slots=True)
class FailedRecording:
    """The error of one recording, which is also reported on standard error."""

    file: str
    error: dict[str, str]

    def response(self) -> dict[str, Any]:
        """Return the error's JSON body."""
        return dict(self.error)


TimelineReport: TypeAlias = AnalyzedRecording | FailedRecording


def write_table(reports: Iterable[TimelineReport], out: TextIO, *, single: bool) -> None:
    """Write a line per event, below the name of the recording unless it is single."""
    for report in reports:
        if isinstance(report, FailedRecording):
            continue
        if not single:
            print(printable(report.file), file=out)
        has_clock = recorded_at(report.file) is not None
        rows = report.rows()
        if rows:
            print(f"{'TIME':<23}  " * has_clock + f"{'START':<10}   {'END':<10}    PEAK  CLASS", file=out)
        else:
            print("no sound events", file=out)
        for row in rows:
            span = f"{_clock(row['start_s'])[:-2]} - {_clock(row['end_s'])[:-2]}"
            time = f"{row['time']:<23}  " if has_clock else ""
            print(f"{time}{span}  {row['peak']:6.1%}  {row['label']}", file=out)
        if not single:
            print(file=out, flush=True)


def write_json(reports: Iterable[TimelineReport], out: TextIO, *, single: bool) -> None:
    """Write an object with ``file``, ``events`` and ``warnings``, or a list of them."""
    if single:
        (report,) = reports
        print(json.dumps({"file": report.file, **report.response()}, indent=2), file=out)
        return
    separator = "[\n"
    for report in reports:
        text = json.dumps({"file": report.file, **report.response()}, indent=2)
        out.write(separator + indent(text, "  "))
        separator = ",\n"
    out.write("\n]\n" if separator == ",\n" else "[]\n")


def write_jsonl(reports: Iterable[TimelineReport], out: TextIO, *, single: bool) -> None:  # noqa: ARG001  # common signature
    """Write an object per line and event, and one for each error."""
    for report in reports:
        if isinstance(report, AnalyzedRecording):
            for row in report.rows():
                print(json.dumps({"file": report.file, **row}), file=out)
        if error := {name: value for name, value in report.response().items() if name in ERROR_FIELDS}:
            print(json.dumps({"file": report.file, **error}), file=out)
        out.flush()


def write_csv(reports: Iterable[TimelineReport], out: TextIO, *, single: bool) -> None:  # noqa: ARG001  # common signature
    """Write a row per event."""
    rows = csv.writer(out, lineterminator="\n")
    rows.writerow(("file", *COLUMNS))
    for report in reports:
        for row in report.rows() if isinstance(report, AnalyzedRecording) else ():
            times = (f"{row['start_s']:.2f}", f"{row['end_s']:.2f}")
            values = (f"{row['peak']:.4f}", f"{row['mean']:.4f}", row.get("time", ""))
            rows.writerow((printable(report.file), row["label_id"], row["label"], *times, *values))
        out.flush()


def write_rttm(reports: Iterable[TimelineReport], out: TextIO, *, single: bool) -> None:  # noqa: ARG001  # common signature
    """Write a line of RTTM per event (NIST, Rich Transcription 2009), with its class as the speaker.

    RTTM's fields cannot contain white space, which is replaced with underscores.
    """
    for report in reports:
        for row in report.rows() if isinstance(report, AnalyzedRecording) else ():
            print(
                f"SPEAKER {_field(report.file)} 1 {row['start_s']:.3f} {row['end_s'] - row['start_s']:.3f} "
                f"<NA> <NA> {_field(row['label'])} {row['mean']:.3f} <NA>",
                file=out,
            )


def write_audacity(report: AnalyzedRecording, out: TextIO) -> None:
    """Write Audacity's label track: tab-separated start, end and label (File, Import, Labels)."""
    for row in report.rows():
        print(f"{row['start_s']:.6f}\t{row['end_s']:.6f}\t{row['label']}", file=out)


def write_vtt(report: AnalyzedRecording, out: TextIO) -> None:
    """Write WebVTT subtitles with a cue per event; players stack cues that overlap."""
    print("WEBVTT", file=out)
    for row in report.rows():
        label = row["label"].replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
        print(f"\n{_clock(row['start_s'])} --> {_clock(row['end_s'])}\n{label}", file=out)


def write_raven(report: AnalyzedRecording, out: TextIO) -> None:
    """Write a selection table of Raven: each event spans all frequencies that the model hears."""
    rows = csv.writer(out, delimiter="\t", lineterminator="\n", quoting=csv.QUOTE_NONE, escapechar="\\")
    rows.writerow(RAVEN_COLUMNS)
    for number, row in enumerate(report.rows(), 1):
        span = (f"{row['start_s']:.3f}", f"{row['end_s']:.3f}", "0.0", f"{report.max_hz:.1f}")
        values = (row["label"], f"{row['peak']:.4f}", printable(report.file))
        rows.writerow((number, "Spectrogram 1", 1, *span, *values))


FORMATS: Final[dict[str, Callable[..., None]]] = {
    "table": write_table,
    "json": write_json,
    "jsonl": write_jsonl,
    "csv": write_csv,
    "rttm": write_rttm,
}
# Formats that describe one recording, and the suffixes of their files.
RECORDING_FORMATS: Final[dict[str, tuple[Callable[[AnalyzedRecording, TextIO], None], str]]] = {
    "audacity": (write_audacity, ".labels.txt"),
    "raven": (write_raven, ".selections.txt"),
    "vtt": (write_vtt, ".vtt"),
}
ERROR_FIELDS: Final = ("status", "code", "message", "hint")


def _clock(seconds: float) -> str:
    milliseconds = round(seconds * 1000)
    minutes, milliseconds = divmod(milliseconds, 60_000)
    return f"{minutes // 60:02}:{minutes % 60:02}:{milliseconds // 1000:02}.{milliseconds % 1000:03}"


def _field(text: str) -> str:
    return printable(re.sub(r"\s+", "_", text))
