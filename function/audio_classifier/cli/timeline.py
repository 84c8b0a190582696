"""``timeline``: find the sound events of a recording."""

from __future__ import annotations

import argparse
import io
import sys
import time
from collections import Counter
from collections.abc import Generator, Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from audio_classifier.cli.arguments import (
    INPUTS_HELP,
    add_bundle,
    add_channel,
    add_command,
    add_filter,
    add_thresholds,
    add_windows,
    duration,
)
from audio_classifier.cli.class_summary import ClassSummary
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
from audio_classifier.cli.event_clip_folder import EventClipFolder
from audio_classifier.cli.terminal import (
    AudioProgress,
    FilesProgress,
    print_error,
    print_line,
    terminated_cleanly,
)
from audio_classifier.constants import EVENT_THRESHOLD
from audio_classifier.errors import InvalidParameterError, OutputError

if TYPE_CHECKING:
    from audio_classifier.batch.stores import Companion, ResultStore
    from audio_classifier.batch.timelines import TimelineOptions, TimelineOutcome
    from audio_classifier.cli.event_formats import TimelineReport
    from audio_classifier.inference.blocks import Block
    from audio_classifier.inference.record import Result


def add(commands: Any) -> None:
    """Add the command to the parser."""
    timeline = add_command(
        commands,
        "timeline",
        help="the sound events of recordings of any length",
        examples=(
            "timeline assets/town.wav",
            "timeline recordings/ --output events.jsonl",
            "timeline recordings/ --format raven --output tables",
            "timeline evening.flac --threshold 0.3 --format audacity > labels.txt",
            "timeline evening.flac --filter Bird --groups --save-clips found",
        ),
    )
    timeline.set_defaults(run=_timeline)
    timeline.add_argument("files", nargs="+", metavar="FILE", help=INPUTS_HELP)
    timeline.add_argument(
        "-t",
        "--threshold",
        type=float,
        default=EVENT_THRESHOLD,
        metavar="P",
        help="an event begins at this probability (default: %(default)s)",
    )
    timeline.add_argument(
        "--release",
        type=float,
        metavar="P",
        help="an event ends below this (default: half of the threshold)",
    )
    timeline.add_argument(
        "--min-duration",
        type=duration,
        default=0.0,
        metavar="TIME",
        help="omit shorter events (default: 0)",
    )
    add_windows(timeline)
    timeline.add_argument(
        "-f",
        "--format",
        choices=("table", "json", "jsonl", "csv", "rttm", "audacity", "raven", "vtt"),
        help="(default: table); audacity, raven and vtt describe one recording: with --output DIR, a file "
        "for each",
    )
    timeline.add_argument(
        "-o",
        "--output",
        metavar="LOCATION",
        help="store results in a folder, a file *.jsonl or s3://bucket/prefix/, and resume from them",
    )
    timeline.add_argument(
        "--redo", action="store_true", help="with --output: also analyze files whose results are stored"
    )
    timeline.add_argument(
        "--save-clips",
        type=Path,
        metavar="DIR",
        help="also cut the events out of the recording, as WAV files in a folder for each class",
    )
    timeline.add_argument(
        "--margin",
        type=duration,
        metavar="TIME",
        help="with --save-clips: also save this much before and after each event (default: 0.5)",
    )
    add_channel(timeline)
    add_filter(timeline)
    add_thresholds(timeline)
    add_bundle(timeline)


def _timeline(args: argparse.Namespace) -> int:
    from audio_classifier.cli.event_formats import FORMATS, RECORDING_FORMATS, AnalyzedRecording

    _check(args)
    with terminated_cleanly():
        run = _Run(args)
        if args.output:
            run.store_all()
        elif args.format in RECORDING_FORMATS:
            write, _ = RECORDING_FORMATS[args.format]
            with closing(run.reports()) as reports:
                for report in reports:
                    if isinstance(report, AnalyzedRecording):
                        write(report, sys.stdout)
        else:
            with closing(run.reports()) as reports:
                FORMATS[args.format or "table"](reports, sys.stdout, single=run.single)
    return EXIT_SOME_FAILED if run.failed or run.stored_errors else EXIT_OK


def _check(args: argparse.Namespace) -> None:
    from audio_classifier.batch.inputs import is_single
    from audio_classifier.cli.event_formats import RECORDING_FORMATS

    describes_one = args.format in RECORDING_FORMATS
    if args.output and args.format and not describes_one:
        raise InvalidParameterError(
            "format", "cannot be combined with --output, because stored results are JSON"
        )
    if describes_one and not args.output and not (len(args.files) == 1 and is_single(args.files[0])):
        raise InvalidParameterError(
            "format",
            f"{args.format} describes one recording",
            hint="Name a folder for the files with --output.",
        )
    if args.redo and not args.output:
        raise InvalidParameterError("redo", "needs --output, where the results are stored")
    if args.margin is not None and not args.save_clips:
        raise InvalidParameterError("margin", "needs --save-clips, to whose clips it applies")
    if args.margin is not None and args.margin < 0:
        raise InvalidParameterError("margin", f"must be at least 0, got {args.margin:g}")
    if args.files.count("-") > 1:
        raise InvalidParameterError("FILE", "standard input can be read only once", hint="Name - once.")


class _Run:
    """One run of the command, and its counts."""

    def __init__(self, args: argparse.Namespace) -> None:
        from audio_classifier.batch.inputs import is_single

        self._names, self._output = args.files, args.output
        self.single = len(args.files) == 1 and is_single(args.files[0])
        self.failed = self.stored_errors = self._analyzed = self._already_stored = 0
        self._skipped: Counter[str] = Counter()
        self._summary = ClassSummary()
        self._options = _options(args)
        self._classifier = open_classifier(args.bundle, many=not self.single, thresholds_path=args.thresholds)
        self._parameters = self._listed_parameters(self._options)
        self._clips = (
            EventClipFolder(args.save_clips, args.files, args.margin, args.channel)
            if args.save_clips
            else None
        )
        self._store = self._open_store(args.output, args.format, redo=args.redo) if args.output else None

    def _listed_parameters(self, options: TimelineOptions) -> dict[str, Any]:
        """Return the parameters as results list them."""
        selection = self._classifier.selection(
            top_k=1, labels=options.labels, exclude=options.exclude, groups=options.groups
        )
        hysteresis = options.hysteresis
        return {
            "window": options.window_s,
            "hop": options.hop_s,
            "threshold": hysteresis.threshold,
            "release": hysteresis.release,
            "min_duration": hysteresis.min_duration_s,
            "channel": options.channel,
            "filter": options.labels and [label.label_id for label in selection.classes],
            "exclude": options.exclude and [label.label_id for label in selection.excluded],
        }

    def _open_store(self, output: str, format_name: str | None, *, redo: bool) -> ResultStore:
        from audio_classifier.batch.stores import open_store

        companion = _companion(format_name, self._max_hz) if format_name else None
        return open_store(output, redo=redo, companion=companion)

    @property
    def _max_hz(self) -> float:
        return self._classifier.front_end.sample_rate_hz / 2

    def store_all(self) -> None:
        """Store the results of all recordings."""
        for _ in self._outcomes():
            pass

    def reports(self) -> Generator[TimelineReport, None, None]:
        """Yield a report of each recording, to be printed."""
        from audio_classifier.batch.run import Failed
        from audio_classifier.batch.timelines import Analyzed
        from audio_classifier.cli.event_formats import AnalyzedRecording, FailedRecording

        for outcome in self._outcomes():
            if isinstance(outcome, Failed) or (isinstance(outcome, Analyzed) and outcome.is_unusable):
                assert outcome.error
                yield FailedRecording(outcome.name, describe(outcome.error))
            elif isinstance(outcome, Analyzed):
                yield AnalyzedRecording(outcome, self._max_hz)

    def _outcomes(self) -> Iterator[TimelineOutcome]:
        """Yield the outcome of each recording; count them, report errors and show progress."""
        from audio_classifier.batch.timelines import analyze_inputs

        progress = self._progress()

        def on_block(block: Block) -> None:
            progress.add_audio(len(block.samples) / block.front_end.sample_rate_hz)

        reads_network = uses_network((*self._names, self._output or ""))
        outcomes = analyze_inputs(
            self._classifier,
            find_recordings(self._names, self._skipped),
            self._options,
            self._parameters,
            threads=NETWORK_THREADS if reads_network else self._classifier.reader_threads,
            store=self._store,
            on_block=on_block,
            on_analyzed=self._clips.save if self._clips else None,
        )
        begin = time.perf_counter()
        try:
            with progress.shown(), closing(outcomes):
                while True:
                    with progress.working():
                        outcome = next(outcomes, None)
                    if outcome is None:
                        break
                    progress.advance(failed=self._count(outcome))
                    yield outcome
        finally:
            self._close_store()
            self._summarize(time.perf_counter() - begin)

    def _progress(self) -> FilesProgress | AudioProgress:
        steady = bool(self._store) or not sys.stdout.isatty()
        if self.single:
            return AudioProgress(self._names[0], task="analyzing")
        return FilesProgress(
            lambda: sum(1 for _ in find_recordings(self._names)), steady=steady, task="analyzing"
        )

    def _count(self, outcome: TimelineOutcome) -> bool:
        """Count an outcome, report its error and warnings, and return whether it failed."""
        from audio_classifier.batch.run import AlreadyStored
        from audio_classifier.batch.timelines import Analyzed

        if isinstance(outcome, AlreadyStored):
            self._already_stored += 1
            self.stored_errors += outcome.status == "error"
            return False
        if isinstance(outcome, Analyzed):
            self._summary.add(outcome.events, outcome.analyzed_s)
            for warning in outcome.warnings:
                report_warning(outcome.name, warning)
        if outcome.error is None:
            self._analyzed += 1
            return False
        self.failed += 1
        body = describe(outcome.error)
        print_error(f"{outcome.name}: {body['message']}", body["hint"])
        return True

    def _close_store(self) -> None:
        try:
            if self._store:
                self._store.close()
        except OSError as error:
            raise OutputError(f"the last results cannot be stored: {error}") from error

    def _summarize(self, seconds: float) -> None:
        if self._clips:
            self._clips.report()
        if self.single and not self._store:
            return
        for line in self._summary.lines():
            print_line(line)
        errors = f" ({self.stored_errors} of them errors)" if self.stored_errors else ""
        already_stored = f" {self._already_stored} already stored{errors}," if self._store else ""
        where = f"; results: {self._output}" if self._store else ""
        print_line(
            f"{self._analyzed} analyzed,{already_stored} {self.failed} failed, in {seconds:.1f} s{where}"
        )
        report_skipped(self._skipped)


def _options(args: argparse.Namespace) -> TimelineOptions:
    from audio_classifier.batch.timelines import TimelineOptions
    from audio_classifier.inference.sound_events import Hysteresis, require_no_gaps

    require_no_gaps(args.window, args.hop)
    return TimelineOptions(
        args.window,
        args.hop,
        Hysteresis(args.threshold, args.release, args.min_duration),
        channel=args.channel,
        labels=args.filter and tuple(args.filter),
        exclude=args.exclude and tuple(args.exclude),
        groups=args.groups,
    )


def _companion(format_name: str, max_hz: float) -> Companion:
    """Return the file that is stored with each result, in the format of another program."""
    from audio_classifier.batch.stores import Companion
    from audio_classifier.batch.timelines import RESULT_SUFFIX, stored_timeline
    from audio_classifier.cli.event_formats import RECORDING_FORMATS, AnalyzedRecording

    write, suffix = RECORDING_FORMATS[format_name]

    def render(result: Result) -> str:
        text = io.StringIO()
        write(AnalyzedRecording(stored_timeline(result), max_hz), text)
        return text.getvalue()

    return Companion(lambda result_key: f"{result_key.removesuffix(RESULT_SUFFIX)}{suffix}", render)
