"""``classify``: the most likely classes of sound files."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Generator, Iterator
from contextlib import closing, nullcontext
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from audio_classifier.cli.common import (
    EXIT_OK,
    EXIT_SOME_FAILED,
    add_bundle,
    add_filter,
    open_classifier,
)
from audio_classifier.cli.plot import ClipPicture
from audio_classifier.cli.terminal import FilesProgress, complain, say, terminated_cleanly
from audio_classifier.errors import AudioClassifierError, InvalidParameterError

if TYPE_CHECKING:
    from audio_classifier.batch.inputs import Sound
    from audio_classifier.batch.run import Answered
    from audio_classifier.cli.clip_formats import Outcome

S3_THREADS: Final = 8  # more than CPUs: they wait for the network


def add(commands: Any) -> None:
    """The command's options."""
    classify = commands.add_parser("classify", help="the most likely classes of sound files")
    classify.set_defaults(run=_classify)
    classify.add_argument(
        "files",
        nargs="+",
        metavar="FILE",
        help="a sound file, a folder, s3://bucket/key, s3://bucket/prefix/, or - for standard input",
    )
    classify.add_argument("--top-k", type=int, default=5, metavar="N", help="how many classes (default: 5)")
    classify.add_argument(
        "--threshold", type=float, metavar="P", help="only classes at least that probable, 0..1"
    )
    classify.add_argument(
        "--start-time",
        type=float,
        default=0.0,
        metavar="SECONDS",
        help="where the ten seconds begin (default: 0)",
    )
    classify.add_argument("--format", choices=("table", "json", "jsonl", "csv"), help="(default: table)")
    classify.add_argument(
        "--output",
        metavar="PLACE",
        help="store results in a folder, a file *.jsonl or s3://bucket/prefix/, and go on where they end",
    )
    classify.add_argument(
        "--plot", metavar="PICTURE", help="draw the one FILE, too: a .png, .svg or .pdf file (extra: plot)"
    )
    add_filter(classify)
    add_bundle(classify)


def _classify(args: argparse.Namespace) -> int:
    from audio_classifier.cli.clip_formats import FORMATS

    if args.start_time < 0:
        raise InvalidParameterError(
            "start_s", f"{args.start_time:g} is before the beginning", hint="Give 0 or more."
        )
    if args.output and args.format:
        raise InvalidParameterError(
            "format", "stored results are always JSON", hint="Leave it out, or leave --output out."
        )
    if args.output and args.plot is not None:
        raise InvalidParameterError(
            "plot", "what is stored is not drawn", hint="Leave it out, or leave --output out."
        )
    if args.files.count("-") > 1:
        raise InvalidParameterError("FILE", "standard input can be read once only", hint="Name - once.")
    with terminated_cleanly():
        work = _Work(args)
        if args.output:
            work.store_all()
        else:
            with closing(work.outcomes()) as outcomes:
                FORMATS[args.format or "table"](outcomes, sys.stdout, single=work.single)
    return EXIT_SOME_FAILED if work.failed else EXIT_OK


class _Work:
    """One run, and what is counted of it."""

    def __init__(self, args: argparse.Namespace) -> None:
        from audio_classifier.batch.inputs import is_single
        from audio_classifier.batch.stores import open_store
        from audio_classifier.inference.selection import Selection

        self._names, self._output = args.files, args.output
        self.single = len(args.files) == 1 and is_single(args.files[0])
        self.failed = self._classified = self._there = 0
        self._in_s3 = any(name.startswith("s3://") for name in (*args.files, args.output or ""))
        self._picture = None if args.plot is None else self._one_picture(args.plot, args.top_k)
        self._classifier = open_classifier(args.bundle, many=not self.single)
        self._selection = Selection(
            self._classifier.labels, top_k=args.top_k, threshold=args.threshold, labels=args.filter
        )
        self._parameters = {
            "start_time": args.start_time,
            "top_k": args.top_k,
            "threshold": args.threshold,
            "filter": args.filter and [label.label_id for label in self._selection.classes],
        }
        self._store = open_store(args.output) if args.output else None

    def _one_picture(self, path: str, top_k: int) -> ClipPicture:
        return ClipPicture(path, [sound.name for sound in self._sounds()], top_k)

    def store_all(self) -> None:
        """Store the results of all."""
        for _ in self._heard():
            pass

    def outcomes(self) -> Generator[Outcome, None, None]:
        """What became of each, to be printed."""
        from audio_classifier.cli.clip_formats import Outcome

        for heard in self._heard():
            if heard.error:
                yield Outcome(heard.sound.name, error=_said(heard.error), hint=_hint(heard.error))
            elif heard.classification:
                yield Outcome(heard.sound.name, tuple(heard.classification.predictions))

    def _heard(self) -> Iterator[Answered]:
        """What became of each; counts, complains and shows progress."""
        from audio_classifier.batch.run import classify_sounds

        waiting = classify_sounds(
            self._classifier,
            self._sounds(),
            self._selection,
            self._parameters,
            threads=S3_THREADS if self._in_s3 else self._classifier.readers,
            store=self._store,
            watch=self._picture.watch if self._picture else None,
        )
        begin = time.perf_counter()
        steady = bool(self._store) or not sys.stdout.isatty()
        progress = FilesProgress(lambda: sum(1 for _ in self._sounds()), steady=steady)
        try:
            with nullcontext() if self.single else progress.shown(), closing(waiting):
                while True:
                    with progress.working():
                        heard = next(waiting, None)
                    if heard is None:
                        break
                    self._count(heard)
                    if self._picture and heard.classification:
                        self._picture.write(heard.classification.predictions)
                    progress.advance(failed=heard.error is not None)
                    yield heard
        finally:
            if self._store:
                self._store.close()
            if self._store or not self.single:
                self._summarize(time.perf_counter() - begin)

    def _sounds(self) -> Iterator[Sound]:
        from audio_classifier.batch.inputs import find_sounds
        from audio_classifier.s3.client import s3_client

        return find_sounds(self._names, cache(s3_client))

    def _count(self, heard: Answered) -> None:
        if heard.error:
            self.failed += 1
            complain(f"{heard.sound.name}: {_said(heard.error)}", _hint(heard.error))
        elif heard.there:
            self._there += 1
        else:
            self._classified += 1

    def _summarize(self, seconds: float) -> None:
        there = f" {self._there} there already," if self._store else ""
        where = f"; results: {self._output}" if self._store else ""
        rate = (self._classified + self._there + self.failed) / seconds
        counts = f"{self._classified} classified,{there} {self.failed} failed"
        say(f"{counts}, in {seconds:.1f} s ({rate:.1f} files/s){where}")


def _said(error: AudioClassifierError | OSError) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)


def _hint(error: AudioClassifierError | OSError) -> str:
    return "" if isinstance(error, OSError) else error.hint
