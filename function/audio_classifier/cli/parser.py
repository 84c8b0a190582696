"""The command line, with all its commands."""

from __future__ import annotations

import argparse
import io
import os
import sys
from collections.abc import Sequence
from typing import Any

from audio_classifier.cli import (
    bundle,
    classify,
    completion,
    embed,
    evaluate,
    labels,
    plot,
    search,
    serve,
    timeline,
    train,
)
from audio_classifier.cli.common import EXIT_INTERRUPTED, EXIT_OK, EXIT_USAGE
from audio_classifier.cli.errors import describe
from audio_classifier.cli.terminal import print_error
from audio_classifier.errors import AudioClassifierError


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Returns
    -------
    int
        The exit status: 0, 1 if some file failed, 2 if the command could not run, 130 if it was interrupted.
    """
    # Threads of numpy's BLAS would compete with those of the network.  numpy reads this when it is imported.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    args = build_parser().parse_args(argv)
    if isinstance(sys.stdout, io.TextIOWrapper):  # its encoding may lack characters of file names and bars
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        return int(args.run(args))
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except BrokenPipeError:  # `| head` has read enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_OK
    except OSError as error:
        print_error(str(error))
        return EXIT_USAGE
    except AudioClassifierError as error:
        body = describe(error)
        print_error(body["message"], body["hint"])
        return EXIT_USAGE


def build_parser() -> argparse.ArgumentParser:
    """Build the parser of all commands, against which the documentation is tested."""
    parser = argparse.ArgumentParser(prog="audio-classifier", description="Classify recordings.")
    parser.add_argument("--version", action=_Version, nargs=0, help="show the version and exit")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for command in (classify, timeline, plot, embed, search, evaluate, train, serve, labels, bundle):
        command.add(commands)
    completion.add(commands, build_parser)
    return parser


class _Version(argparse.Action):
    """Look the version up only when it is asked for."""

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> None:
        from audio_classifier import __version__

        print(__version__)
        parser.exit()
