"""Commands with examples, and the options that several of them have."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from audio_classifier.constants import EVENT_HOP_S, EVENT_WINDOW_S
from audio_classifier.durations import parse_duration

if TYPE_CHECKING:
    from audio_classifier.audio.channels import Channel

PROGRAM: Final = "audio-classifier"
INPUTS_HELP: Final = (
    "an audio file, a folder, s3://bucket/key, s3://bucket/prefix/, a URL, or - for standard input"
)


def add_command(
    commands: Any,
    name: str,
    help: str,  # noqa: A002  # as in argparse
    *,
    examples: tuple[str, ...],
    **options: Any,  # as in argparse
) -> argparse.ArgumentParser:
    """Add a command whose help ends with examples.

    Parameters
    ----------
    commands
        The subparsers that it is added to.
    examples
        Lines of a shell, without the name of the program.
    options
        Further options of `argparse.ArgumentParser`.
    """
    lines = "\n".join(f"  {PROGRAM} {line}" for line in examples)
    command: argparse.ArgumentParser = commands.add_parser(
        name,
        help=help,
        description=f"{help[0].upper()}{help[1:]}.",
        epilog=f"examples:\n{lines}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        **options,
    )
    return command


def duration(text: str) -> float:
    """Parse the value of an option that is a time or a duration; return seconds."""
    try:
        return parse_duration(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def add_filter(command: argparse.ArgumentParser) -> None:
    """Add the options that select classes."""
    command.add_argument(
        "-l",
        "--filter",
        action="append",
        metavar="LABEL",
        help="only this class, by name or id; may be repeated",
    )
    command.add_argument(
        "-x",
        "--exclude",
        action="append",
        metavar="LABEL",
        help="not this class, by name or id; may be repeated",
    )
    command.add_argument(
        "-g",
        "--groups",
        action="store_true",
        help="LABEL also stands for all classes below it in AudioSet's ontology (see labels --groups)",
    )


def add_windows(command: argparse.ArgumentParser) -> None:
    """Add the options for the windows of a timeline."""
    command.add_argument(
        "--window",
        type=duration,
        default=EVENT_WINDOW_S,
        metavar="TIME",
        help="length of a window, at most 9.6; rounded to a multiple of 0.96 (default: %(default)s)",
    )
    command.add_argument(
        "--hop",
        type=duration,
        default=EVENT_HOP_S,
        metavar="TIME",
        help="from one window to the next (default: %(default)s)",
    )


def add_channel(command: argparse.ArgumentParser) -> None:
    """Add the option that selects a channel."""
    command.add_argument(
        "-c",
        "--channel",
        type=_channel,
        metavar="N|mix",
        help="the channel, from 1 on, or mix for the mean of all (default: the mean, or the loudest channel "
        "if the channels cancel each other out)",
    )


def _channel(text: str) -> Channel:
    if text != "mix" and not text.isdecimal():
        raise argparse.ArgumentTypeError(f"must be the number of a channel, from 1 on, or mix, got {text}")
    return "mix" if text == "mix" else int(text)


def add_bundle(command: argparse.ArgumentParser, name: str = "--bundle") -> None:
    """Add the model, as an option or, with another name, as an argument."""
    names = ("-b", name) if name.startswith("-") else (name,)
    command.add_argument(
        *names, metavar="BUNDLE", help="compact, a directory, https://... or s3://bucket/prefix/"
    )


def add_thresholds(command: argparse.ArgumentParser) -> None:
    """Add the option for the thresholds of single classes."""
    command.add_argument(
        "--thresholds",
        type=Path,
        metavar="FILE",
        help="thresholds of single classes, as written by evaluate; the higher of two thresholds applies",
    )
