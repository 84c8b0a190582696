"""Output formats of `audio-classifier classify`."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from textwrap import indent
from typing import Any, Final, TextIO, TypeAlias

from audio_classifier.audio.warnings import AudioWarning
from audio_classifier.escaping import printable
from audio_classifier.inference.record import warnings_record
from audio_classifier.inference.selection import Prediction

BAR_CELLS: Final = 24
EIGHTHS: Final = " ▏▎▍▌▋▊▉"


@dataclass(frozen=True, slots=True)
class ClassifiedClip:
    """The predictions for one file."""

    file: str
    predictions: tuple[Prediction, ...]
    warnings: tuple[AudioWarning, ...] = ()

    def response(self) -> dict[str, Any]:
        """Return the original's JSON response, with warnings if there are any."""
        return {
            "status": "ok",
            "predictions": [asdict(prediction) for prediction in self.predictions],
            **warnings_record(self.warnings),
        }


@dataclass(frozen=True, slots=True)
class FailedClip:
    """The error of one file, which is also reported on standard error."""

    file: str
    error: dict[str, str]

    def response(self) -> dict[str, Any]:
        """Return the error's JSON body."""
        return dict(self.error)


ClipReport: TypeAlias = ClassifiedClip | FailedClip


def write_table(reports: Iterable[ClipReport], out: TextIO, *, single: bool) -> None:
    """Write the probability, bar and label of each prediction, below the file's name unless it is single."""
    for report in reports:
        if isinstance(report, FailedClip):
            continue
        if not single:
            print(printable(report.file), file=out)
        for prediction in report.predictions:
            print(
                f"{prediction.probability:7.1%}  {bar(prediction.probability)}  {prediction.label}", file=out
            )
        if not report.predictions:
            print("         no class reaches the threshold", file=out)
        if not single:
            print(file=out, flush=True)


def write_json(reports: Iterable[ClipReport], out: TextIO, *, single: bool) -> None:
    """Write the original's response for a single file, or a list of responses, each with its ``file``."""
    if single:
        (report,) = reports
        print(json.dumps(report.response(), indent=2), file=out)
        return
    separator = "[\n"
    for report in reports:  # written one by one, so that memory use does not depend on their number
        out.write(separator + indent(json.dumps(_named_response(report), indent=2), "  "))
        separator = ",\n"
    out.write("\n]\n")


def write_jsonl(reports: Iterable[ClipReport], out: TextIO, *, single: bool) -> None:  # noqa: ARG001  # common signature
    """Write a response per line, with its ``file``, as soon as it is available."""
    for report in reports:
        print(json.dumps(_named_response(report)), file=out, flush=True)


def write_csv(reports: Iterable[ClipReport], out: TextIO, *, single: bool) -> None:  # noqa: ARG001  # common signature
    """Write a row per prediction; files without predictions have no row."""
    rows = csv.writer(out, lineterminator="\n")
    rows.writerow(("file", "label_id", "label", "probability"))
    for report in reports:
        if isinstance(report, ClassifiedClip):
            file = printable(report.file)
            rows.writerows(
                (file, one.label_id, one.label, f"{one.probability:.4f}") for one in report.predictions
            )
            out.flush()


FORMATS: Final[dict[str, Callable[..., None]]] = {
    "table": write_table,
    "json": write_json,
    "jsonl": write_jsonl,
    "csv": write_csv,
}


def bar(probability: float) -> str:
    """Draw a bar of `BAR_CELLS` characters, with a resolution of an eighth of a character."""
    eighths = round(probability * BAR_CELLS * 8)
    return ("█" * (eighths // 8) + EIGHTHS[eighths % 8]).strip().ljust(BAR_CELLS)


def _named_response(report: ClipReport) -> dict[str, Any]:
    return {"file": report.file, **report.response()}
