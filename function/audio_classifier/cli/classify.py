"""``classify``: print or store the most probable classes of audio files."""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from collections.abc import Generator, Iterator
from contextlib import closing, nullcontext
from typing import TYPE_CHECKING, Any, Final

from audio_classifier.cli.arguments import (
    INPUTS_HELP,
    add_bundle,
    add_channel,
    add_command,
    add_filter,
    add_thresholds,
    duration,
)
from audio_classifier.cli.common import (
    EXIT_OK,
    EXIT_SOME_FAILED,
    NETWORK_THREADS,
    find_recordings,
    open_classifier,
    report_skipped,
    report_warning,
    uses_network,
)
from audio_classifier.cli.errors import describe
from audio_classifier.cli.plot import ClipPicture
from audio_classifier.cli.terminal import FilesProgress, print_error, print_line, terminated_cleanly
from audio_classifier.durations import clock_text
from audio_classifier.errors import InvalidParameterError, OutputError

if TYPE_CHECKING:
    from audio_classifier.batch.inputs import FoundInput
    from audio_classifier.batch.run import Outcome
    from audio_classifier.cli.clip_formats import ClipReport

CLIP_S: Final = 10


def add(commands: Any) -> None:
    """Add the command to the parser."""
    classify = add_command(
        commands,
        "classify",
        help="the most probable classes of audio files",
        examples=(
            "classify assets/rain.wav",
            "classify recordings/ --top-k 3 --format csv > classes.csv",
            "classify recordings/ --output results.jsonl",
            "classify long.mp3 --start-time 1:30 --filter Speech --filter Music",
        ),
    )
    classify.set_defaults(run=_classify)
    classify.add_argument(
        "files",
        nargs="+",
        metavar="FILE",
        help=INPUTS_HELP,
    )
    classify.add_argument(
        "-k", "--top-k", type=int, default=5, metavar="N", help="how many classes (default: 5)"
    )
    classify.add_argument(
        "-t", "--threshold", type=float, metavar="P", help="only classes of at least this probability, 0..1"
    )
    classify.add_argument(
        "-s",
        "--start-time",
        type=duration,
        default=0.0,
        metavar="TIME",
        help="where the ten seconds begin: seconds, 1:30 or 0:01:30 (default: 0)",
    )
    classify.add_argument(
        "-f", "--format", choices=("table", "json", "jsonl", "csv"), help="(default: table)"
    )
    classify.add_argument(
        "-o",
        "--output",
        metavar="LOCATION",
        help="store results in a folder, a file *.jsonl or s3://bucket/prefix/, and resume from them",
    )
    classify.add_argument(
        "--plot", metavar="PICTURE", help="also draw the one FILE: a .png, .svg or .pdf file (extra: plot)"
    )
    classify.add_argument(
        "--redo", action="store_true", help="with --output: also classify files whose results are stored"
    )
    add_channel(classify)
    add_filter(classify)
    add_thresholds(classify)
    add_bundle(classify)


def _classify(args: argparse.Namespace) -> int:
    from audio_classifier.cli.clip_formats import FORMATS

    if args.start_time < 0:
        raise InvalidParameterError("start_s", f"must be at least 0, got {args.start_time:g}")
    if args.output and args.format:
        raise InvalidParameterError(
            "format", "cannot be combined with --output, because stored results are JSON"
        )
    if args.output and args.plot is not None:
        raise InvalidParameterError("plot", "cannot be combined with --output")
    if args.redo and not args.output:
        raise InvalidParameterError("redo", "needs --output, where the results are stored")
    if args.files.count("-") > 1:
        raise InvalidParameterError("FILE", "standard input can be read only once", hint="Name - once.")
    with terminated_cleanly():
        run = _Run(args)
        if args.output:
            run.store_all()
        else:
            with closing(run.reports()) as reports:
                FORMATS[args.format or "table"](reports, sys.stdout, single=run.single)
    return EXIT_SOME_FAILED if run.failed or run.stored_errors else EXIT_OK


class _Run:
    """One run of the command, and its counts."""

    def __init__(self, args: argparse.Namespace) -> None:
        from audio_classifier.batch.inputs import is_single
        from audio_classifier.batch.stores import open_store

        self._names, self._output = args.files, args.output
        self.single = len(args.files) == 1 and is_single(args.files[0])
        self.failed = self.stored_errors = self._classified = self._already_stored = self._longer = 0
        self._longest_s = 0.0
        self._uses_network = uses_network((*args.files, args.output or ""))
        self._skipped: Counter[str] = Counter()
        self._picture = None if args.plot is None else self._clip_picture(args.plot, args.top_k)
        self._classifier = open_classifier(args.bundle, many=not self.single, thresholds_path=args.thresholds)
        self._selection = self._classifier.selection(
            top_k=args.top_k,
            threshold=args.threshold,
            labels=args.filter,
            exclude=args.exclude,
            groups=args.groups,
        )
        self._parameters = {
            "start_time": args.start_time,
            "channel": args.channel,
            "top_k": args.top_k,
            "threshold": args.threshold,
            "filter": args.filter and [label.label_id for label in self._selection.classes],
            "exclude": args.exclude and [label.label_id for label in self._selection.excluded],
        }
        self._store = open_store(args.output, redo=args.redo) if args.output else None

    def _clip_picture(self, path: str, top_k: int) -> ClipPicture:
        return ClipPicture(path, [found.name for found in self._inputs()], top_k)

    def store_all(self) -> None:
        """Store the results of all inputs."""
        for _ in self._outcomes():
            pass

    def reports(self) -> Generator[ClipReport, None, None]:
        """Yield a report of each input, to be printed."""
        from audio_classifier.batch.run import Classified, Failed
        from audio_classifier.cli.clip_formats import ClassifiedClip, FailedClip

        for outcome in self._outcomes():
            if isinstance(outcome, Failed):
                yield FailedClip(outcome.name, describe(outcome.error))
            elif isinstance(outcome, Classified):
                classification = outcome.classification
                yield ClassifiedClip(
                    outcome.name, tuple(classification.predictions), tuple(classification.warnings)
                )

    def _outcomes(self) -> Iterator[Outcome]:
        """Yield the outcome of each input; count them, report errors and show progress."""
        from audio_classifier.batch.run import Classified, Failed, classify_inputs

        outcomes = classify_inputs(
            self._classifier,
            self._inputs(self._skipped),
            self._selection,
            self._parameters,
            start_s=self._parameters["start_time"],
            channel=self._parameters["channel"],
            threads=NETWORK_THREADS if self._uses_network else self._classifier.reader_threads,
            store=self._store,
            on_block=self._picture.add_block if self._picture else None,
        )
        begin = time.perf_counter()
        steady = bool(self._store) or not sys.stdout.isatty()
        progress = FilesProgress(lambda: sum(1 for _ in self._inputs()), steady=steady)
        try:
            with nullcontext() if self.single else progress.shown(), closing(outcomes):
                while True:
                    with progress.working():
                        outcome = next(outcomes, None)
                    if outcome is None:
                        break
                    self._count(outcome)
                    if self._picture and isinstance(outcome, Classified):
                        self._picture.write(outcome.classification.predictions)
                    progress.advance(failed=isinstance(outcome, Failed))
                    yield outcome
        finally:
            self._close_store()
            if self._store or not self.single:
                self._summarize(time.perf_counter() - begin)
            self._report_longer()

    def _close_store(self) -> None:
        try:
            if self._store:
                self._store.close()
        except OSError as error:
            raise OutputError(f"the last results cannot be stored: {error}") from error

    def _inputs(self, skipped: Counter[str] | None = None) -> Iterator[FoundInput]:
        return find_recordings(self._names, skipped)

    def _count(self, outcome: Outcome) -> None:
        from audio_classifier.batch.run import Classified, Failed

        if isinstance(outcome, Failed):
            self.failed += 1
            body = describe(outcome.error)
            print_error(f"{outcome.name}: {body['message']}", body["hint"])
        elif isinstance(outcome, Classified):
            self._classified += 1
            duration_s = outcome.classification.audio.duration_s
            if duration_s is not None and duration_s >= CLIP_S + 1 and not self._parameters["start_time"]:
                self._longer += 1
                self._longest_s = max(self._longest_s, duration_s)
            for warning in outcome.classification.warnings:
                report_warning(outcome.name, warning)
        else:
            self._already_stored += 1
            self.stored_errors += outcome.status == "error"

    def _report_longer(self) -> None:
        """Report on standard error that only a part of long recordings was classified."""
        longest = clock_text(self._longest_s)
        if self._longer and self.single:
            print_line(f"classified {CLIP_S} s of {longest}; `timeline` covers all of it")
        elif self._longer:
            counts = f"{self._longer} of {self._classified} are longer, up to {longest}"
            print_line(f"classified the first {CLIP_S} s of each: {counts}; `timeline` covers all of them")

    def _summarize(self, seconds: float) -> None:
        errors = f" ({self.stored_errors} of them errors)" if self.stored_errors else ""
        already_stored = f" {self._already_stored} already stored{errors}," if self._store else ""
        where = f"; results: {self._output}" if self._store else ""
        rate = (self._classified + self._already_stored + self.failed) / seconds
        counts = f"{self._classified} classified,{already_stored} {self.failed} failed"
        print_line(f"{counts}, in {seconds:.1f} s ({rate:.1f} files/s){where}")
        report_skipped(self._skipped)
