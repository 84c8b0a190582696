"""What several commands share: exit statuses, options, the model that they open."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import TYPE_CHECKING, BinaryIO, Final

from audio_classifier.cli.terminal import complain, download_progress, native_stderr_hidden
from audio_classifier.constants import EVENT_HOP_S, EVENT_WINDOW_S
from audio_classifier.errors import AudioError

if TYPE_CHECKING:  # what needs numpy or LiteRT is imported by the command that needs it
    from audio_classifier.inference.classifier import AudioClassifier
    from audio_classifier.model.bundle import Bundle
    from audio_classifier.service.settings import Settings

EXIT_OK: Final = 0
EXIT_SOME_FAILED: Final = 1
EXIT_USAGE: Final = 2
EXIT_INTERRUPTED: Final = 130


def add_filter(command: argparse.ArgumentParser) -> None:
    """The option that names classes."""
    command.add_argument(
        "--filter",
        action="append",
        metavar="LABEL",
        help="only this class, by name or id; may be repeated",
    )


def add_windows(command: argparse.ArgumentParser) -> None:
    """The options that say what is heard at once."""
    command.add_argument(
        "--window",
        type=float,
        default=EVENT_WINDOW_S,
        metavar="SECONDS",
        help="what is heard at once, to 9.6; rounded to multiples of 0.96 (default: %(default)s)",
    )
    command.add_argument(
        "--hop",
        type=float,
        default=EVENT_HOP_S,
        metavar="SECONDS",
        help="from window to window (default: %(default)s)",
    )


def add_bundle(command: argparse.ArgumentParser, name: str = "--bundle") -> None:
    """The model, as an option or, by another name, as an argument."""
    command.add_argument(
        name, metavar="PLACE", help="compact, a directory, https://... or s3://bucket/prefix/"
    )


def file_or_standard_input(name: str) -> str | BinaryIO | bytes:
    """What a sound's name stands for: a file, or standard input for ``-``."""
    from audio_classifier.batch.inputs import standard_input

    return standard_input() if name == "-" else name


def listened_to(name: str, listen: Callable[[], None]) -> int:
    """Listen to a recording; the exit status: 0, or 1 if it cannot be used, after a word on why."""
    try:
        listen()
    except AudioError as error:
        complain(f"{name}: {error}", error.hint)
        return EXIT_SOME_FAILED
    except OSError as error:
        if error.filename is None:  # not of the file, but of the output
            raise
        complain(f"{name}: {error.strerror}")
        return EXIT_SOME_FAILED
    return EXIT_OK


def open_bundle(place: str | None, settings: Settings) -> Bundle:
    """A bundle, downloaded with a progress bar if need be; the environment's if no place is given."""
    from audio_classifier.hub import bundles as bundle_store

    with download_progress() as progress:
        return bundle_store.open_bundle(
            place or settings.bundle, cache_dir=settings.cache_dir, progress=progress
        )


def open_classifier(place: str | None, *, many: bool = False) -> AudioClassifier:
    """A classifier with such a bundle, and as many threads as the environment says.

    For many sounds with half of them: the others are busy reading the next ones.
    """
    from audio_classifier.inference.classifier import AudioClassifier

    settings = read_settings()
    bundle = open_bundle(place, settings)
    with native_stderr_hidden():
        return AudioClassifier(bundle, threads=max(1, settings.threads // 2) if many else settings.threads)


def read_settings() -> Settings:
    """The environment's."""
    from audio_classifier.service.settings import Settings

    return Settings.from_environment()
