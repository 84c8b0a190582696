"""``evaluate``: measure models on labelled recordings."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final

from audio_classifier.cli.arguments import add_command, add_windows, duration
from audio_classifier.cli.common import (
    EXIT_OK,
    EXIT_SOME_FAILED,
    import_measurements,
    open_classifier,
    write_file,
)
from audio_classifier.cli.errors import describe
from audio_classifier.cli.terminal import FilesProgress, print_error, terminated_cleanly
from audio_classifier.constants import EVENT_THRESHOLD
from audio_classifier.errors import InvalidParameterError

if TYPE_CHECKING:
    from audio_classifier.evaluation.measure import Measured
    from audio_classifier.evaluation.report import Evaluation

MAX_RESAMPLES: Final = 100_000
MAX_BARS: Final = 50


def add(commands: Any) -> None:
    """Add the command to the parser."""
    evaluate = add_command(
        commands,
        "evaluate",
        help="measure models on labelled recordings",
        examples=(
            "evaluate labelled/ --map map.csv",
            "evaluate labels.csv --bundle compact --bundle models/mn04 --output report",
        ),
    )
    evaluate.set_defaults(run=_evaluate)
    evaluate.add_argument(
        "labels",
        type=Path,
        metavar="LABELS",
        help="a CSV file with the columns path and label, and optionally start and end, or a folder whose "
        "subfolders are labels",
    )
    evaluate.add_argument(
        "-b",
        "--bundle",
        action="append",
        metavar="BUNDLE",
        help="compact, a directory, https://... or s3://bucket/prefix/; may be repeated",
    )
    evaluate.add_argument(
        "--map",
        type=Path,
        metavar="MAP",
        help="a CSV file with the columns label and class: the classes that count as right for a label",
    )
    evaluate.add_argument(
        "-o",
        "--output",
        type=Path,
        metavar="DIR",
        help="write report.md, report.json and plots (extra: plot)",
    )
    evaluate.add_argument(
        "--thresholds", type=Path, metavar="FILE", help="write a suggested threshold for each class (JSON)"
    )
    evaluate.add_argument(
        "--resamples", type=int, default=1000, metavar="N", help="for 95%% intervals (default: 1000)"
    )
    evaluate.add_argument("--seed", type=int, default=0, metavar="N", help="of the resamples (default: 0)")
    evaluate.add_argument(
        "-t",
        "--threshold",
        type=float,
        default=EVENT_THRESHOLD,
        metavar="P",
        help="for labels with times: an event begins at this probability (default: %(default)s)",
    )
    evaluate.add_argument(
        "--collar",
        type=duration,
        default=1.0,
        metavar="TIME",
        help="for labels with times: how far the start of an event may be from the label's (default: 1)",
    )
    add_windows(evaluate)


def _evaluate(args: argparse.Namespace) -> int:
    from audio_classifier.evaluation.report import markdown

    _check(args)
    figures = _prepare_output(args.output) if args.output else None
    with terminated_cleanly():
        evaluation = _run(args)
    text = markdown(evaluation)
    if args.output:
        write_file(args.output / "report.md", text)
        write_file(args.output / "report.json", json.dumps(evaluation.to_dict(), indent=2) + "\n")
        if figures:
            _draw(figures, evaluation, args.output)
        print(args.output / "report.md")
    else:
        print(text, end="")
    if args.thresholds:
        write_file(args.thresholds, json.dumps(evaluation.models[0].thresholds(), indent=2) + "\n")
    return EXIT_SOME_FAILED if evaluation.failures else EXIT_OK


def _check(args: argparse.Namespace) -> None:
    if not 0 <= args.resamples <= MAX_RESAMPLES:
        raise InvalidParameterError("resamples", f"must be from 0 to {MAX_RESAMPLES}, got {args.resamples}")
    if args.seed < 0:
        raise InvalidParameterError("seed", f"must be at least 0, got {args.seed}")
    if args.collar < 0:
        raise InvalidParameterError("collar", f"must be at least 0 s, got {args.collar:g} s")
    if args.thresholds and args.bundle and len(args.bundle) > 1:
        raise InvalidParameterError(
            "thresholds", f"needs exactly 1 bundle, because models differ, got {len(args.bundle)}"
        )
    if args.thresholds and not args.thresholds.absolute().parent.is_dir():
        raise InvalidParameterError("thresholds", f"the folder of {str(args.thresholds)!r} does not exist")


def _run(args: argparse.Namespace) -> Evaluation:
    """Evaluate the bundles; show progress, and report recordings that cannot be read on standard error."""
    from audio_classifier.evaluation.evaluate import evaluate
    from audio_classifier.evaluation.measure import EventOptions, FailedRecording
    from audio_classifier.evaluation.recordings import read_recordings
    from audio_classifier.evaluation.targets import read_mapping
    from audio_classifier.inference.sound_events import Hysteresis, require_no_gaps

    events = EventOptions(args.window, args.hop, Hysteresis(args.threshold), args.collar)
    require_no_gaps(args.window, args.hop)
    mapping = read_mapping(args.map) if args.map else {}
    labelled = read_recordings(args.labels)
    classifiers = [open_classifier(uri, many=True) for uri in args.bundle or [None]]
    progress = FilesProgress(lambda: len(labelled.recordings), steady=True)

    def report(item: Measured) -> None:
        if isinstance(item, FailedRecording):
            body = describe(item.error)
            print_error(f"{item.recording.path}: {body['message']}", body["hint"])
        progress.advance(failed=isinstance(item, FailedRecording))

    with progress.shown():
        return evaluate(
            classifiers,
            labelled,
            source=args.labels.resolve().name,
            mapping=mapping,
            events=events,
            resamples=args.resamples,
            seed=args.seed,
            on_measured=report,
        )


def _prepare_output(folder: Path) -> ModuleType | None:
    """Create the folder before the work begins, and import the module that draws, if matplotlib exists."""
    folder.mkdir(parents=True, exist_ok=True)
    return import_measurements()


def _draw(figures: ModuleType, evaluation: Evaluation, folder: Path) -> None:
    """Draw the reliability of all models, and the average precision of the most frequent classes."""
    from audio_classifier.plotting.figures import write_picture

    curves = {
        name: [(bin_.probability, bin_.present) for bin_ in model.bins]
        for name, model in zip(evaluation.names, evaluation.models, strict=True)
    }
    write_picture(figures.draw_reliability(curves), folder / "reliability.png")
    classes = evaluation.models[0].classes
    shown = sorted(range(len(classes)), key=lambda index: -classes[index].recordings)[:MAX_BARS]
    precisions = {
        name: [model.classes[index].measures["average_precision"].value for index in shown]
        for name, model in zip(evaluation.names, evaluation.models, strict=True)
    }
    labels = [classes[index].target.label for index in shown]
    figure = figures.draw_class_bars(labels, precisions, measure="average precision")
    write_picture(figure, folder / "classes.png")
