"""``timeline``: find the sound events of a recording."""

from __future__ import annotations

import argparse
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from audio_classifier.cli.arguments import (
    add_bundle,
    add_channel,
    add_command,
    add_filter,
    add_thresholds,
    add_windows,
    duration,
)
from audio_classifier.cli.common import (
    file_or_standard_input,
    open_classifier,
    read_recording,
    report_warning,
)
from audio_classifier.cli.terminal import print_line, terminated_cleanly
from audio_classifier.constants import EVENT_THRESHOLD
from audio_classifier.errors import AudioError, InvalidParameterError

if TYPE_CHECKING:
    from audio_classifier.audio.source import AudioSource
    from audio_classifier.inference.sound_events import SoundEvent


def add(commands: Any) -> None:
    """Add the command to the parser."""
    timeline = add_command(
        commands,
        "timeline",
        help="the sound events of a recording of any length",
        examples=(
            "timeline assets/town.wav",
            "timeline evening.flac --threshold 0.3 --format audacity > labels.txt",
            "timeline evening.flac --filter Bird --groups --save-clips found",
        ),
    )
    timeline.set_defaults(run=_timeline)
    timeline.add_argument("file", metavar="FILE", help="an audio file, or - for standard input")
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
        choices=("table", "json", "jsonl", "csv", "audacity", "vtt", "rttm"),
        default="table",
        help="(default: table)",
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
    from audio_classifier.cli.event_formats import FORMATS, SoundEvents
    from audio_classifier.inference.sound_events import Hysteresis

    hysteresis = Hysteresis(args.threshold, args.release, args.min_duration)
    if args.margin is not None and not args.save_clips:
        raise InvalidParameterError("margin", "needs --save-clips, to whose clips it applies")
    if args.margin is not None and args.margin < 0:
        raise InvalidParameterError("margin", f"must be at least 0, got {args.margin:g}")
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
    found: list[SoundEvent] = []
    events = SoundEvents(
        items,
        lambda warning: report_warning(args.file, warning),
        found.append if args.save_clips else lambda _: None,
    )

    def read() -> None:
        try:
            FORMATS[args.format](events, sys.stdout, args.file)
        except AudioError:  # a fault further on in the recording
            if found:
                with suppress(AudioError):
                    _save_clips(args, source, found)
            raise
        if args.save_clips:
            _save_clips(args, source, found)

    with terminated_cleanly():
        return read_recording(args.file, read, as_json=args.format in ("json", "jsonl"))


def _save_clips(args: argparse.Namespace, source: AudioSource, events: list[SoundEvent]) -> None:
    """Save the clips, and report their number and the files that exist already on standard error."""
    from audio_classifier.batch.event_clips import MARGIN_S, KeptFile, save_event_clips

    margin_s = MARGIN_S if args.margin is None else args.margin
    clips = save_event_clips(
        source, args.file, events, args.save_clips, margin_s=margin_s, channel=args.channel
    )
    saved = kept = 0
    for clip in clips:
        if isinstance(clip, KeptFile):
            kept += 1
            print_line(f"kept, because it exists: {clip.path}")
        else:
            saved += 1
    print_line(
        f"{saved} {'clip' if saved == 1 else 'clips'} saved in {args.save_clips}"
        + (f", {kept} existing files kept" if kept else "")
    )
