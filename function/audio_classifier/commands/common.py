"""What several commands share: exit statuses, options, the model that they open."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, BinaryIO, Final

from audio_classifier.terminal import download_progress, native_stderr_hidden

if TYPE_CHECKING:  # what needs numpy or LiteRT is imported by the command that needs it
    from audio_classifier.bundle import Bundle
    from audio_classifier.classifier import AudioClassifier
    from audio_classifier.settings import Settings

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


def add_bundle(command: argparse.ArgumentParser, name: str = "--bundle") -> None:
    """The model, as an option or, by another name, as an argument."""
    command.add_argument(
        name, metavar="PLACE", help="compact, a directory, https://... or s3://bucket/prefix/"
    )


def standard_input() -> BinaryIO | bytes:
    """Standard input, read to its end if it is a pipe."""
    return sys.stdin.buffer if sys.stdin.buffer.seekable() else sys.stdin.buffer.read()


def open_bundle(place: str | None, settings: Settings) -> Bundle:
    """A bundle, downloaded with a progress bar if need be; the environment's if no place is given."""
    from audio_classifier import bundle_store

    with download_progress() as progress:
        return bundle_store.open_bundle(
            place or settings.bundle, cache_dir=settings.cache_dir, progress=progress
        )


def open_classifier(place: str | None) -> AudioClassifier:
    """A classifier with such a bundle, and as many threads as the environment says."""
    from audio_classifier.classifier import AudioClassifier

    settings = read_settings()
    bundle = open_bundle(place, settings)
    with native_stderr_hidden():
        return AudioClassifier(bundle, threads=settings.threads)


def read_settings() -> Settings:
    """The environment's."""
    from audio_classifier.settings import Settings

    return Settings.from_environment()
