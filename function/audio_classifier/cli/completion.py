"""``completion``: print the completion script of a shell."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any, Final

from audio_classifier.cli.arguments import add_command
from audio_classifier.cli.common import EXIT_OK
from audio_classifier.errors import MissingExtraError

SHELLS: Final = ("bash", "zsh", "tcsh")
# The names of arguments that can be paths.
PATHS: Final = {
    *("BUNDLE", "CSV", "DIR", "EMBEDDINGS", "FILE", "LABELS", "LOCATION"),
    *("MAP", "OUT_DIR", "PICTURE", "QUERY", "SOUNDS", "SOURCE"),
}


def add(commands: Any, build_parser: Callable[[], argparse.ArgumentParser]) -> None:
    """Add the command to the parser, whose commands and options it completes."""
    completion = add_command(
        commands,
        "completion",
        help="print the completion script of a shell (extra: completion)",
        examples=(
            "completion bash > ~/.local/share/bash-completion/completions/audio-classifier",
            'completion zsh > "${fpath[1]}/_audio-classifier"',
        ),
    )
    completion.set_defaults(run=lambda args: _completion(args, build_parser()))
    completion.add_argument("shell", choices=SHELLS, help=", ".join(SHELLS))


def _completion(args: argparse.Namespace, parser: argparse.ArgumentParser) -> int:
    try:
        import shtab
    except ImportError as error:
        raise MissingExtraError("shell completion", "completion") from error
    _complete_paths(parser, shtab.FILE)
    print(shtab.complete(parser, args.shell))
    return EXIT_OK


def _complete_paths(parser: argparse.ArgumentParser, paths: Any) -> None:
    """Let the names of files complete all arguments that can be paths."""
    for action in parser._actions:  # argparse has no other access, and shtab uses the same
        if isinstance(action, argparse._SubParsersAction):
            for command in action.choices.values():
                _complete_paths(command, paths)
        elif action.metavar in PATHS:
            action.complete = paths  # type: ignore[attr-defined]  # what shtab reads
