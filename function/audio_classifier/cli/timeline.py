"""``timeline``: what is heard when."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from audio_classifier.cli.common import (
    add_bundle,
    add_filter,
    add_windows,
    file_or_standard_input,
    listened_to,
    open_classifier,
)
from audio_classifier.constants import EVENT_THRESHOLD


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
    add_windows(timeline)
    timeline.add_argument(
        "--format",
        choices=("table", "json", "jsonl", "csv", "audacity", "vtt", "rttm"),
        default="table",
        help="(default: table)",
    )
    add_filter(timeline)
    add_bundle(timeline)


def _timeline(args: argparse.Namespace) -> int:
    from audio_classifier.cli.event_formats import TRACKS
    from audio_classifier.inference.sound_events import Hysteresis

    hysteresis = Hysteresis(args.threshold, args.release, args.min_duration)
    classifier = open_classifier(args.bundle)
    source = file_or_standard_input(args.file)
    events = classifier.events(
        source, window_s=args.window, hop_s=args.hop, hysteresis=hysteresis, labels=args.filter
    )
    return listened_to(args.file, lambda: TRACKS[args.format](events, sys.stdout, args.file))
