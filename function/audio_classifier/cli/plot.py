"""``plot``: a picture of what is heard when; and the one that ``classify --plot`` draws."""

from __future__ import annotations

import argparse
import logging
import os
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final

from audio_classifier.cli.common import (
    EXIT_OK,
    add_bundle,
    add_filter,
    add_windows,
    file_or_standard_input,
    listened_to,
    open_classifier,
)
from audio_classifier.errors import InvalidParameterError, MissingExtraError

if TYPE_CHECKING:
    from audio_classifier.audio.log_mel import Block
    from audio_classifier.inference.selection import Prediction

SUFFIXES: Final = (".png", ".svg", ".pdf")
MAX_ROWS: Final = 100


def add(commands: Any) -> None:
    """The command's options."""
    plot = commands.add_parser("plot", help="a picture of what is heard when (extra: plot)")
    plot.set_defaults(run=_plot)
    plot.add_argument("file", metavar="FILE", help="a sound file, or - for standard input")
    plot.add_argument(
        "-o", "--output", required=True, metavar="PICTURE", help="what to draw: a .png, .svg or .pdf file"
    )
    plot.add_argument(
        "--top-k", type=int, default=8, metavar="N", help="how many classes, the most probable (default: 8)"
    )
    add_windows(plot)
    add_filter(plot)
    add_bundle(plot)


def _plot(args: argparse.Namespace) -> int:
    drawing = _drawing("output", args.output, args.top_k)
    from audio_classifier.inference.selection import Selection
    from audio_classifier.inference.sound_events import require_no_gaps
    from audio_classifier.plotting.reduction import ClassOverview, SoundOverview

    require_no_gaps(args.window, args.hop)
    classifier = open_classifier(args.bundle)
    selection = Selection(classifier.labels, top_k=args.top_k, labels=args.filter)
    sound, classes = SoundOverview(), ClassOverview(selection.classes)

    def listen() -> None:
        source = file_or_standard_input(args.file)
        for heard in classifier.listen(source, window_s=args.window, hop_s=args.hop, watch=sound.add):
            classes.add(heard)

    status = listened_to(args.file, listen)
    if status == EXIT_OK:
        figure = drawing.draw_recording(sound, classes, top_k=args.top_k, title=_title(args.file))
        drawing.write_picture(figure, Path(args.output))
        print(args.output)
    return status


class ClipPicture:
    """The picture of what is heard in ten seconds of a file.

    Raises
    ------
    InvalidParameterError
        If there is not one file, or no picture can be drawn there.
    MissingExtraError
        If there is nothing to draw with.
    """

    def __init__(self, path: str, files: Sequence[str], top_k: int) -> None:
        if len(files) != 1:
            raise InvalidParameterError(
                "plot", f"one picture cannot show {len(files)} files", hint="Name one file."
            )
        self._drawing = _drawing("plot", path, top_k)
        from audio_classifier.plotting.reduction import SoundOverview

        self._sound, self._path, self._title = SoundOverview(), Path(path), _title(files[0])

    def watch(self, block: Block) -> None:
        """Look at what is heard."""
        self._sound.add(block)

    def write(self, predictions: Sequence[Prediction]) -> None:
        """Draw it, with what was made of it.  Raises OSError if it cannot be written."""
        figure = self._drawing.draw_clip(self._sound, predictions, title=self._title)
        self._drawing.write_picture(figure, self._path)


def _drawing(parameter: str, path: str, top_k: int) -> ModuleType:
    """The module that draws; whatever would stop it is said now, not after an hour of listening."""
    if Path(path).suffix.lower() not in SUFFIXES:
        raise InvalidParameterError(
            parameter, f"{path!r} is no kind of picture", hint=f"Name a {', '.join(SUFFIXES)} file."
        )
    if not Path(path).parent.is_dir():
        raise InvalidParameterError(
            parameter, f"there is no folder {str(Path(path).parent)!r}", hint="Make it, or name another."
        )
    if top_k > MAX_ROWS:
        raise InvalidParameterError(
            "top_k", f"a picture has no room for {top_k} classes", hint=f"Ask for up to {MAX_ROWS}."
        )
    # That it keeps its cache elsewhere where the home cannot be written to is no news.
    logging.getLogger("matplotlib").setLevel(logging.ERROR)
    try:
        from audio_classifier.plotting import figures as plot
    except ImportError as error:
        raise MissingExtraError("drawing", "plot") from error
    return plot


def _title(file: str) -> str:
    return "standard input" if file == "-" else os.path.basename(file)
