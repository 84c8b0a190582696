"""``train``: learn one's own classes from recordings, and write a bundle and a report."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from audio_classifier.cli.arguments import add_command
from audio_classifier.cli.common import (
    EXIT_OK,
    EXIT_SOME_FAILED,
    decoder_pool,
    import_measurements,
    open_bundle,
    read_settings,
    report_warning,
    write_file,
)
from audio_classifier.cli.errors import describe
from audio_classifier.cli.terminal import (
    FilesProgress,
    native_stderr_hidden,
    print_error,
    print_line,
    terminated_cleanly,
)
from audio_classifier.errors import InvalidParameterError

if TYPE_CHECKING:
    from audio_classifier.model.bundle import Bundle
    from audio_classifier.own_classes.examples import FailedSound, ReadSound
    from audio_classifier.own_classes.training import Trained

MAX_BARS = 50
MAX_LISTED = 3


def add(commands: Any) -> None:
    """Add the command to the parser."""
    train = add_command(
        commands,
        "train",
        help="learn your own classes from recordings (extra: train)",
        examples=(
            "train recordings --negatives others --output models/home",
            "train recordings --labels labels.csv --keep-base-classes --output models/home",
        ),
    )
    train.set_defaults(run=_train)
    train.add_argument(
        "sounds",
        type=Path,
        metavar="SOUNDS",
        help="a folder whose subfolders are classes, or a CSV file with the columns path and label, and "
        "optionally start, end and group",
    )
    train.add_argument(
        "-o", "--output", type=Path, required=True, metavar="BUNDLE", help="the directory of the new bundle"
    )
    train.add_argument(
        "--base",
        default="compact",
        metavar="BUNDLE",
        help="the model that the classes are learned on: compact, or the directory of a bundle that reads "
        "patches (default: compact)",
    )
    train.add_argument(
        "--negatives", type=Path, metavar="DIR", help="a folder with recordings of none of the classes"
    )
    train.add_argument(
        "--labels", type=Path, metavar="CSV", help="such a CSV file, with paths relative to SOUNDS"
    )
    train.add_argument(
        "--keep-base-classes", action="store_true", help="also keep the classes of the base, before yours"
    )
    train.add_argument(
        "--report",
        type=Path,
        metavar="DIR",
        help="the folder of report.md, report.json, thresholds.json and plots (extra: plot) (default: "
        "BUNDLE-report)",
    )
    train.add_argument(
        "--seed", type=int, default=0, metavar="N", help="of the folds and intervals (default: 0)"
    )


def _train(args: argparse.Namespace) -> int:
    from audio_classifier.model.bundle import check_absent
    from audio_classifier.own_classes.training import write_own_bundle

    if args.seed < 0:
        raise InvalidParameterError("seed", f"must be at least 0, got {args.seed}")
    check_absent(args.output)
    folder = args.report or args.output.with_name(f"{args.output.name}-report")
    base = open_bundle(args.base, read_settings())
    with terminated_cleanly():
        trained = _run(args, base)
    folder.mkdir(parents=True, exist_ok=True)
    name = args.output.resolve().name
    bundle = write_own_bundle(trained, base, args.output, name=name, keep_base_classes=args.keep_base_classes)
    _write_report(trained, bundle, folder)
    _print_summary(trained, args.output, folder)
    return EXIT_SOME_FAILED if trained.failures else EXIT_OK


def _run(args: argparse.Namespace, base: Bundle) -> Trained:
    """Train; show progress, and report recordings that cannot be used on standard error."""
    from audio_classifier.inference.decoding import LocalDecoder
    from audio_classifier.model.labels import LabelSet
    from audio_classifier.model.manifest import LABELS
    from audio_classifier.own_classes.examples import FailedSound
    from audio_classifier.own_classes.fitting import require_scikit_learn
    from audio_classifier.own_classes.sounds import find_sounds, unlisted_files
    from audio_classifier.own_classes.training import check_base, check_names, classes_of, train

    require_scikit_learn()
    check_base(base)
    sounds = find_sounds(args.sounds, labels=args.labels, negatives=args.negatives)
    classes = classes_of(sounds)
    if args.labels and (unlisted := unlisted_files(args.sounds, sounds)):
        print_line(f"not used, because {args.labels} does not list them: {_some(unlisted)}")
    if args.keep_base_classes:
        check_names(classes, [*LabelSet.read(base.path(LABELS))])
    settings = read_settings()
    progress = FilesProgress(lambda: len(sounds), steady=True, task="reading")

    def report(item: ReadSound | FailedSound) -> None:
        if isinstance(item, FailedSound):
            body = describe(item.error)
            print_error(f"{item.sound.path}: {body['message']}", body["hint"])
        else:
            for warning in item.warnings:
                report_warning(item.sound.path, warning)
        progress.advance(failed=isinstance(item, FailedSound))

    with progress.shown(), native_stderr_hidden():
        return train(
            sounds,
            base,
            decoder_pool(settings) or LocalDecoder(),
            threads=settings.threads,
            seed=args.seed,
            on_read=report,
        )


def _some(paths: list[str]) -> str:
    rest = len(paths) - MAX_LISTED
    return ", ".join(paths[:MAX_LISTED]) + (f" and {rest} more" if rest > 0 else "")


def _write_report(trained: Trained, bundle: Bundle, folder: Path) -> None:
    from audio_classifier.own_classes.report import markdown, thresholds, to_dict

    write_file(folder / "report.md", markdown(trained, bundle))
    write_file(folder / "report.json", json.dumps(to_dict(trained, bundle), indent=2) + "\n")
    write_file(folder / "thresholds.json", json.dumps(thresholds(trained, bundle), indent=2) + "\n")
    if trained.measures and (figures := import_measurements()):
        _draw(figures, trained, folder)


def _draw(figures: ModuleType, trained: Trained, folder: Path) -> None:
    """Draw the confusion matrix, and precision and recall of the first classes."""
    from audio_classifier.own_classes.report import confusion_of
    from audio_classifier.plotting.figures import write_picture

    assert trained.measures is not None
    names, counts = confusion_of(trained)
    if len(names) <= MAX_BARS:
        write_picture(figures.draw_confusion(names, counts), folder / "confusion.png")
    found = zip(trained.classes, trained.measures.classes, strict=True)
    measured = [(name, one) for name, one in found if one][:MAX_BARS]
    if measured:
        values = {
            "precision": [one.precision.value for _, one in measured],
            "recall": [one.recall.value for _, one in measured],
        }
        figure = figures.draw_class_bars([name for name, _ in measured], values, measure="at the threshold")
        write_picture(figure, folder / "classes.png")


def _print_summary(trained: Trained, output: Path, folder: Path) -> None:
    from audio_classifier.evaluation.report import estimate_text
    from audio_classifier.own_classes.report import too_little_data

    print(
        f"{len(trained.classes)} classes, {len(trained.sounds)} recordings, {len(trained.examples)} examples"
    )
    if trained.measures:
        print(f"right class in cross-validation: {estimate_text(trained.measures.accuracy)}")
    for problem in too_little_data(trained):
        print(f"too little data: {problem}")
    print(f"bundle: {output}")
    print(f"report: {folder / 'report.md'}")
