"""``plot``: draw the classes of a recording over time; and the picture of ``classify --plot``."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final

from audio_classifier.cli.arguments import add_bundle, add_channel, add_command, add_filter, add_windows
from audio_classifier.cli.common import (
    EXIT_OK,
    file_or_standard_input,
    open_classifier,
    read_recording,
    report_warning,
)
from audio_classifier.cli.terminal import AudioProgress, silence_matplotlib
from audio_classifier.errors import InvalidParameterError, MissingExtraError
from audio_classifier.escaping import printable

if TYPE_CHECKING:
    from audio_classifier.inference.blocks import Block
    from audio_classifier.inference.selection import Prediction

SUFFIXES: Final = (".png", ".svg", ".pdf")
MAX_ROWS: Final = 100


def add(commands: Any) -> None:
    """Add the command to the parser."""
    plot = add_command(
        commands,
        "plot",
        help="draw the classes of a recording over time (extra: plot)",
        examples=(
            "plot assets/town.wav",
            "plot evening.flac --top-k 12 --output evening.svg",
        ),
    )
    plot.set_defaults(run=_plot)
    plot.add_argument("file", metavar="FILE", help="an audio file, or - for standard input")
    plot.add_argument(
        "-o",
        "--output",
        metavar="PICTURE",
        help="the picture: a .png, .svg or .pdf file (default: the name of FILE with .png, in this folder)",
    )
    plot.add_argument("-k", "--top-k", type=int, default=8, metavar="N", help="how many classes (default: 8)")
    add_windows(plot)
    add_channel(plot)
    add_filter(plot)
    add_bundle(plot)


def _plot(args: argparse.Namespace) -> int:
    output = args.output or _new_picture(args.file)
    figures = _import_figures("output", output, args.top_k)
    from audio_classifier.audio.warnings import AudioWarning
    from audio_classifier.inference.sound_events import require_no_gaps
    from audio_classifier.inference.windows import Window
    from audio_classifier.plotting.reduction import AudioOverview, ClassOverview

    require_no_gaps(args.window, args.hop)
    classifier = open_classifier(args.bundle)
    selection = classifier.selection(
        top_k=args.top_k, labels=args.filter, exclude=args.exclude, groups=args.groups
    )
    audio, classes = AudioOverview(), ClassOverview(selection.classes)

    progress = AudioProgress(args.file, task="drawing")

    def observe(block: Block) -> None:
        audio.add(block)
        progress.add_audio(len(block.samples) / block.front_end.sample_rate_hz)

    def read() -> None:
        source = file_or_standard_input(args.file)
        for item in classifier.analyze(
            source,
            window_s=args.window,
            hop_s=args.hop,
            hysteresis=None,
            channel=args.channel,
            labels=args.filter,
            exclude=args.exclude,
            groups=args.groups,
            on_block=observe,
        ):
            if isinstance(item, Window):
                classes.add(item)
            elif isinstance(item, AudioWarning):
                report_warning(args.file, item)

    with progress.shown():
        status = read_recording(args.file, read)
    if status == EXIT_OK:
        figure = figures.draw_recording(audio, classes, top_k=args.top_k, title=_title(args.file))
        figures.write_picture(figure, Path(output))
        print(printable(output))
    return status


class ClipPicture:
    """The picture of one clip and its predictions.

    Raises
    ------
    InvalidParameterError
        If there is not exactly one file, or the picture cannot be drawn.
    MissingExtraError
        If matplotlib is not installed.
    """

    def __init__(self, path: str, files: Sequence[str], top_k: int) -> None:
        if len(files) != 1:
            raise InvalidParameterError("plot", f"a picture shows exactly 1 file, got {len(files)}")
        self._figures = _import_figures("plot", path, top_k)
        from audio_classifier.plotting.reduction import AudioOverview

        self._audio, self._path, self._title = AudioOverview(), Path(path), _title(files[0])

    def add_block(self, block: Block) -> None:
        """Add the audio that is classified."""
        self._audio.add(block)

    def write(self, predictions: Sequence[Prediction]) -> None:
        """Draw the clip with its predictions.  Raises OSError if the file cannot be written."""
        figure = self._figures.draw_clip(self._audio, predictions, title=self._title)
        self._figures.write_picture(figure, self._path)


def _import_figures(parameter: str, path: str, top_k: int) -> ModuleType:
    """Check the arguments before the analysis, and import the module that draws."""
    if Path(path).suffix.lower() not in SUFFIXES:
        raise InvalidParameterError(
            parameter, f"must be a {', '.join(SUFFIXES[:-1])} or {SUFFIXES[-1]} file, got {path!r}"
        )
    if not Path(path).parent.is_dir():
        raise InvalidParameterError(
            parameter,
            f"the folder {str(Path(path).parent)!r} does not exist",
            hint="Create it, or name another.",
        )
    if top_k > MAX_ROWS:
        raise InvalidParameterError("top_k", f"must be at most {MAX_ROWS} for a picture, got {top_k}")
    silence_matplotlib()
    try:
        from audio_classifier.plotting import figures
    except ImportError as error:
        raise MissingExtraError("drawing", "plot") from error
    return figures


def _new_picture(file: str) -> str:
    """Return the name of the picture of a recording, which does not exist yet."""
    name = "standard-input.png" if file == "-" else Path(file).with_suffix(".png").name
    if os.path.exists(name):
        raise InvalidParameterError(
            "output", f"{name} already exists", hint=f"Add --output {name} to replace it, or name another."
        )
    return name


def _title(file: str) -> str:
    return "standard input" if file == "-" else os.path.basename(file)
