"""``timeline``: find the sound events of a recording."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from audio_classifier.cli.common import (
    add_bundle,
    add_channel,
    add_filter,
    add_thresholds,
    add_windows,
    duration,
    file_or_standard_input,
    open_classifier,
    read_recording,
    report_warning,
)
from audio_classifier.constants import EVENT_THRESHOLD


def add(commands: Any) -> None:
    """Add the command to the parser."""
    timeline = commands.add_parser("timeline", help="the sound events of a recording of any length")
    timeline.set_defaults(run=_timeline)
    timeline.add_argument("file", metavar="FILE", help="an audio file, or - for standard input")
    timeline.add_argument(
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
        "--format",
        choices=("table", "json", "jsonl", "csv", "audacity", "vtt", "rttm"),
        default="table",
        help="(default: table)",
    )
    add_channel(timeline)
    add_filter(timeline)
    add_thresholds(timeline)
    add_bundle(timeline)


def _timeline(args: argparse.Namespace) -> int:
    from audio_classifier.cli.event_formats import FORMATS, SoundEvents
    from audio_classifier.inference.sound_events import Hysteresis

    hysteresis = Hysteresis(args.threshold, args.release, args.min_duration)
    classifier = open_classifier(args.bundle, thresholds_path=args.thresholds)
    source = file_or_standard_input(args.file)
    items = classifier.analyze(
        source,
        window_s=args.window,
        hop_s=args.hop,
        hysteresis=hysteresis,
        channel=args.channel,
        top_k=1,
        labels=args.filter,
        exclude=args.exclude,
        groups=args.groups,
    )
    events = SoundEvents(items, lambda warning: report_warning(args.file, warning))
    return read_recording(
        args.file,
        lambda: FORMATS[args.format](events, sys.stdout, args.file),
        as_json=args.format in ("json", "jsonl"),
    )
