"""``timeline``: what is heard when."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from audio_classifier.commands.common import (
    EXIT_OK,
    EXIT_SOME_FAILED,
    add_bundle,
    add_filter,
    open_classifier,
    standard_input,
)
from audio_classifier.errors import AudioError
from audio_classifier.params import EVENT_HOP_S, EVENT_THRESHOLD, EVENT_WINDOW_S
from audio_classifier.terminal import complain


def add(commands: Any) -> None:
    """The command's options."""
    timeline = commands.add_parser("timeline", help="what is heard when in a recording of any length")
    timeline.set_defaults(run=_timeline)
    timeline.add_argument("file", metavar="FILE", help="a sound file, or - for standard input")
    timeline.add_argument(
        "--threshold",
        type=float,
        default=EVENT_THRESHOLD,
        metavar="P",
        help="an event begins there (default: %(default)s)",
    )
    timeline.add_argument(
        "--release", type=float, metavar="P", help="it ends below (default: half of the threshold)"
    )
    timeline.add_argument(
        "--min-duration",
        type=float,
        default=0.0,
        metavar="SECONDS",
        help="leave shorter events out (default: 0)",
    )
    timeline.add_argument(
        "--window",
        type=float,
        default=EVENT_WINDOW_S,
        metavar="SECONDS",
        help="what is heard at once, to 9.6; rounded to multiples of 0.96 (default: %(default)s)",
    )
    timeline.add_argument(
        "--hop",
        type=float,
        default=EVENT_HOP_S,
        metavar="SECONDS",
        help="from window to window (default: %(default)s)",
    )
    timeline.add_argument(
        "--format",
        choices=("table", "json", "jsonl", "csv", "audacity", "vtt", "rttm"),
        default="table",
        help="(default: table)",
    )
    add_filter(timeline)
    add_bundle(timeline)


def _timeline(args: argparse.Namespace) -> int:
    from audio_classifier.timeline import Hysteresis
    from audio_classifier.tracks import TRACKS

    hysteresis = Hysteresis(args.threshold, args.release, args.min_duration)
    classifier = open_classifier(args.bundle)
    source = standard_input() if args.file == "-" else args.file
    events = classifier.events(
        source, window_s=args.window, hop_s=args.hop, hysteresis=hysteresis, labels=args.filter
    )
    try:
        TRACKS[args.format](events, sys.stdout, args.file)
    except AudioError as error:
        complain(f"{args.file}: {error}", error.hint)
        return EXIT_SOME_FAILED
    except OSError as error:
        if error.filename is None:  # not of the file, but of the output
            raise
        complain(f"{args.file}: {error.strerror}")
        return EXIT_SOME_FAILED
    return EXIT_OK
