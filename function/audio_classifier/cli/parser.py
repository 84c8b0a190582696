"""The command line: classify, timeline, plot, serve, labels, bundle."""

from __future__ import annotations

import argparse
import io
import os
import sys
from collections.abc import Sequence
from importlib.metadata import version
from typing import Final

from audio_classifier.cli import bundle, classify, labels, plot, serve, timeline
from audio_classifier.cli.common import EXIT_INTERRUPTED, EXIT_OK, EXIT_USAGE
from audio_classifier.cli.terminal import complain
from audio_classifier.errors import AudioClassifierError, InvalidParameterError

# What the core calls its parameters, and what they are called here.
OPTIONS: Final = {
    "audio": "FILE",
    "format": "--format",
    "hop_s": "--hop",
    "label": "--filter",
    "min_duration_s": "--min-duration",
    "output": "--output",
    "plot": "--plot",
    "release": "--release",
    "start_s": "--start-time",
    "threshold": "--threshold",
    "top_k": "--top-k",
    "uri": "--bundle",
    "window_s": "--window",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; the exit status: 0, 1 if some file failed, 2 if nothing could be done."""
    args = build_parser().parse_args(argv)
    if isinstance(sys.stdout, io.TextIOWrapper):  # names of files, and bars, that its encoding does not have
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        return int(args.run(args))
    except InvalidParameterError as error:
        complain(f"{OPTIONS.get(error.parameter, error.parameter)}: {error.reason}", error.hint)
        return EXIT_USAGE
    except AudioClassifierError as error:
        complain(str(error), error.hint)
        return EXIT_USAGE
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except BrokenPipeError:  # `| head` has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_OK
    except OSError as error:
        complain(str(error))
        return EXIT_USAGE


def build_parser() -> argparse.ArgumentParser:
    """The whole command line, as documentation is checked against it."""
    parser = argparse.ArgumentParser(prog="audio-classifier", description="What is heard in a recording?")
    parser.add_argument("--version", action="version", version=version("serverless-audio-classifier"))
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for command in (classify, timeline, plot, serve, labels, bundle):
        command.add(commands)
    return parser
