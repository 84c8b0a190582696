"""``labels``: list the classes."""

from __future__ import annotations

import argparse
from typing import Any

from audio_classifier.cli.common import EXIT_OK, EXIT_SOME_FAILED
from audio_classifier.cli.terminal import print_error


def add(commands: Any) -> None:
    """Add the command to the parser."""
    labels = commands.add_parser("labels", help="the 527 classes")
    labels.set_defaults(run=_labels)
    labels.add_argument(
        "--search", default="", metavar="TEXT", help="only classes whose name or id contains it"
    )


def _labels(args: argparse.Namespace) -> int:
    from audio_classifier.assets import audioset_labels_path
    from audio_classifier.model.labels import LabelSet

    found = LabelSet.read(audioset_labels_path()).search(args.search)
    for label in found:
        print(f"{label.index:3}  {label.label_id:<13}  {label.name}")
    if not found:
        print_error(f"no class name or id contains {args.search!r}")
    return EXIT_OK if found else EXIT_SOME_FAILED
