"""``classify``: the most likely classes of sound files."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final

from audio_classifier.commands.common import (
    EXIT_OK,
    EXIT_SOME_FAILED,
    add_bundle,
    add_filter,
    file_or_standard_input,
    open_classifier,
)
from audio_classifier.commands.plot import ClipPicture
from audio_classifier.errors import AudioError, InvalidParameterError
from audio_classifier.terminal import complain, progress_over

if TYPE_CHECKING:
    from audio_classifier.classifier import AudioClassifier
    from audio_classifier.features import Watch
    from audio_classifier.report import Outcome
    from audio_classifier.selection import Selection

# What a folder is searched for; a file that is named itself is tried whatever it is called.
AUDIO_SUFFIXES: Final = (
    *(".aif", ".aifc", ".aiff", ".au", ".caf", ".flac", ".mp3", ".oga", ".ogg", ".opus"),
    *(".rf64", ".snd", ".w64", ".wav", ".wave"),
)


def add(commands: Any) -> None:
    """The command's options."""
    classify = commands.add_parser("classify", help="the most likely classes of sound files")
    classify.set_defaults(run=_classify)
    classify.add_argument(
        "files", nargs="+", metavar="FILE", help="a sound file, a folder, or - for standard input"
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
    classify.add_argument(
        "--format", choices=("table", "json", "jsonl", "csv"), default="table", help="(default: table)"
    )
    classify.add_argument(
        "--plot", metavar="PICTURE", help="draw the one FILE, too: a .png, .svg or .pdf file (extra: plot)"
    )
    add_filter(classify)
    add_bundle(classify)


def _classify(args: argparse.Namespace) -> int:
    from audio_classifier.report import FORMATS
    from audio_classifier.selection import Selection

    if args.start_time < 0:
        raise InvalidParameterError(
            "start_s", f"{args.start_time:g} is before the beginning", hint="Give 0 or more."
        )
    files = list(_expand(args.files))
    single = len(files) == 1 and not os.path.isdir(args.files[0])
    picture = None if args.plot is None else ClipPicture(args.plot, files, args.top_k)
    classifier = open_classifier(args.bundle)
    selection = Selection(classifier.labels, top_k=args.top_k, threshold=args.threshold, labels=args.filter)
    failed = 0

    def outcomes() -> Iterator[Outcome]:
        nonlocal failed
        with progress_over(len(files)) as working:
            for file in files:
                with working():
                    outcome = _classify_file(
                        classifier, selection, file, args.start_time, picture.watch if picture else None
                    )
                if outcome.error:
                    failed += 1
                    complain(f"{file}: {outcome.error}", outcome.hint)
                elif picture:
                    picture.write(outcome.predictions)
                yield outcome

    FORMATS[args.format](outcomes(), sys.stdout, single=single)
    return EXIT_SOME_FAILED if failed else EXIT_OK


def _classify_file(
    classifier: AudioClassifier, selection: Selection, file: str, start_s: float, watch: Watch | None
) -> Outcome:
    from audio_classifier.report import Outcome

    try:
        if os.path.isdir(file):
            os.listdir(file)  # says so itself if it may not be read
            return Outcome(file, error="there are no sound files in this folder")
        source = file_or_standard_input(file)
        result = classifier.classify(source, selection, start_s=start_s, watch=watch)
        return Outcome(file, tuple(result.predictions))
    except AudioError as error:
        return Outcome(file, error=str(error), hint=error.hint)
    except OSError as error:
        return Outcome(file, error=error.strerror or str(error))


def _expand(names: Sequence[str]) -> Iterator[str]:
    """The files named, and the sound files below the folders named, each folder's in order."""
    for name in names:
        if name == "-" or not os.path.isdir(name):
            yield name
        else:
            yield from _sound_files(name)


def _sound_files(folder: str) -> list[str]:
    """Sound files at any depth; a folder that may not be read, or holds none at all, stands for itself."""
    unreadable: list[str] = []
    files = [
        os.path.join(root, name)
        for root, _, names in os.walk(folder, onerror=lambda error: unreadable.append(error.filename))
        for name in names
        if name.lower().endswith(AUDIO_SUFFIXES) and not name.startswith(".")
    ]
    return sorted(files + unreadable) or [folder]
