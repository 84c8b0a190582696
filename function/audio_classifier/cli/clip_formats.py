"""Output formats of `audio-classifier classify`."""

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
    """The outcome of classifying one file: its predictions, or an error."""

    file: str
    predictions: tuple[Prediction, ...] = ()
    error: str = ""
    hint: str = ""

    def response(self) -> dict[str, Any]:
        """Return the outcome in the original's JSON response format."""
        if self.error:
            return {"status": "error", "message": self.error, "hint": self.hint}
        return {"status": "ok", "predictions": [asdict(prediction) for prediction in self.predictions]}


def write_table(outcomes: Iterable[Outcome], out: TextIO, *, single: bool) -> None:
    """Write the probability, bar and label of each prediction, below the file's name unless it is single."""
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
    """Write the original's response for a single file, or a list of responses, each with its ``file``."""
    if single:
        (outcome,) = outcomes
        print(json.dumps(outcome.response(), indent=2), file=out)
        return
    separator = "[\n"
    for outcome in outcomes:  # written one by one, so that memory use does not depend on their number
        out.write(separator + indent(json.dumps(_named_response(outcome), indent=2), "  "))
        separator = ",\n"
    out.write("\n]\n")


def write_jsonl(outcomes: Iterable[Outcome], out: TextIO, *, single: bool) -> None:  # noqa: ARG001  # common signature
    """Write a response per line, with its ``file``, as soon as it is available."""
    for outcome in outcomes:
        print(json.dumps(_named_response(outcome)), file=out, flush=True)


def write_csv(outcomes: Iterable[Outcome], out: TextIO, *, single: bool) -> None:  # noqa: ARG001  # common signature
    """Write a row per prediction; files without predictions have no row."""
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
    """Draw a bar of `BAR_CELLS` characters, with a resolution of an eighth of a character."""
    eighths = round(probability * BAR_CELLS * 8)
    return ("█" * (eighths // 8) + EIGHTHS[eighths % 8]).strip().ljust(BAR_CELLS)


def _named_response(outcome: Outcome) -> dict[str, Any]:
    return {"file": outcome.file, **outcome.response()}
