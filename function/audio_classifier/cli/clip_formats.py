"""What `audio-classifier classify` prints: outcomes, file by file, in the format asked for."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from textwrap import indent
from typing import Any, Final, TextIO

from audio_classifier.inference.selection import Prediction

BAR_CELLS: Final = 24
EIGHTHS: Final = " ▏▎▍▌▋▊▉"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one file: its predictions, or why there are none."""

    file: str
    predictions: tuple[Prediction, ...] = ()
    error: str = ""
    hint: str = ""

    def response(self) -> dict[str, Any]:
        """The original's JSON response."""
        if self.error:
            return {"status": "error", "message": self.error, "hint": self.hint}
        return {"status": "ok", "predictions": [asdict(prediction) for prediction in self.predictions]}


def write_table(outcomes: Iterable[Outcome], out: TextIO, *, single: bool) -> None:
    """Probability, bar and label on a line each, below the file's name where there are several."""
    for outcome in outcomes:
        if outcome.error:
            continue
        if not single:
            print(outcome.file, file=out)
        for prediction in outcome.predictions:
            print(
                f"{prediction.probability:7.1%}  {bar(prediction.probability)}  {prediction.label}", file=out
            )
        if not outcome.predictions:
            print("         nothing above the threshold", file=out)
        if not single:
            print(file=out, flush=True)


def write_json(outcomes: Iterable[Outcome], out: TextIO, *, single: bool) -> None:
    """The original's response for one file; a list of them, each with its ``file``, for several."""
    if single:
        (outcome,) = outcomes
        print(json.dumps(outcome.response(), indent=2), file=out)
        return
    before = "[\n"
    for outcome in outcomes:  # each as soon as it is there: any number of them takes no more memory
        out.write(before + indent(json.dumps(_named_response(outcome), indent=2), "  "))
        before = ",\n"
    out.write("\n]\n")


def write_jsonl(outcomes: Iterable[Outcome], out: TextIO, *, single: bool) -> None:  # noqa: ARG001  # one shape
    """One response a line, with its ``file``, as soon as it is there."""
    for outcome in outcomes:
        print(json.dumps(_named_response(outcome)), file=out, flush=True)


def write_csv(outcomes: Iterable[Outcome], out: TextIO, *, single: bool) -> None:  # noqa: ARG001  # one shape
    """A row for each prediction; files without any have no row."""
    rows = csv.writer(out, lineterminator="\n")
    rows.writerow(("file", "label_id", "label", "probability"))
    for outcome in outcomes:
        rows.writerows((outcome.file, *asdict(prediction).values()) for prediction in outcome.predictions)
        out.flush()


FORMATS: Final[dict[str, Callable[..., None]]] = {
    "table": write_table,
    "json": write_json,
    "jsonl": write_jsonl,
    "csv": write_csv,
}


def bar(probability: float) -> str:
    """A bar of `BAR_CELLS` characters, drawn to an eighth of one."""
    eighths = round(probability * BAR_CELLS * 8)
    return ("█" * (eighths // 8) + EIGHTHS[eighths % 8]).strip().ljust(BAR_CELLS)


def _named_response(outcome: Outcome) -> dict[str, Any]:
    return {"file": outcome.file, **outcome.response()}
