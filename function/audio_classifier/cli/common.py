"""Exit statuses, errors and the opening of models and recordings, which commands share."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache, partial
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, BinaryIO, Final

from audio_classifier.cli.errors import describe
from audio_classifier.cli.terminal import (
    download_progress,
    native_stderr_hidden,
    print_error,
    print_line,
    silence_matplotlib,
)
from audio_classifier.errors import AudioError

if TYPE_CHECKING:  # numpy and LiteRT are imported by the commands that need them
    from audio_classifier.audio.warnings import AudioWarning
    from audio_classifier.batch.inputs import FoundInput
    from audio_classifier.inference.classifier import AudioClassifier
    from audio_classifier.inference.decoding import Decoder
    from audio_classifier.model.bundle import Bundle
    from audio_classifier.service.settings import Settings

NETWORK_THREADS: Final = 8  # to read inputs over the network; more than CPUs, because they wait for it
EXIT_OK: Final = 0
EXIT_SOME_FAILED: Final = 1
EXIT_USAGE: Final = 2
EXIT_INTERRUPTED: Final = 130


def file_or_standard_input(name: str) -> str | BinaryIO | bytes:
    """Return the source for a file name: the name, or standard input for ``-``."""
    from audio_classifier.batch.inputs import standard_input

    return standard_input() if name == "-" else name


def read_recording(name: str, read: Callable[[], None], *, as_json: bool = False) -> int:
    """Call ``read`` and return the exit status; report an unusable recording on standard error."""
    try:
        read()
    except (AudioError, OSError) as error:
        if isinstance(error, OSError) and error.filename is None:  # an error of the output, not of the file
            raise
        body = describe(error)
        print_error(f"{name}: {body['message']}", body["hint"])
        if as_json:
            print(json.dumps({"file": name, **body}))
        return EXIT_SOME_FAILED
    return EXIT_OK


def find_recordings(names: Sequence[str], skipped: Counter[str] | None = None) -> Iterator[FoundInput]:
    """Find files, folders, objects and URLs as `find_inputs` does, within the limits of the settings."""
    from audio_classifier.batch.inputs import find_inputs
    from audio_classifier.hub.recordings import open_recording
    from audio_classifier.s3.client import s3_client

    settings = read_settings()
    fetch = partial(
        open_recording, max_bytes=settings.max_object_bytes, deadline_s=settings.download_deadline_s
    )
    return find_inputs(names, cache(s3_client), fetch=fetch, skipped=skipped)


def uses_network(names: Iterable[str]) -> bool:
    """Return whether a name refers to S3 or a web server."""
    from audio_classifier.batch.urls import is_url

    return any(name.startswith("s3://") or is_url(name) for name in names)


def report_skipped(skipped: Counter[str]) -> None:
    """Report on standard error the files that were not read because of their formats, by suffix."""
    from audio_classifier.audio.ffmpeg_library import is_ffmpeg_installed
    from audio_classifier.batch.suffixes import FFMPEG_SUFFIXES

    if skipped:
        files = ", ".join(f"{count} {suffix}" for suffix, count in skipped.most_common())
        print_line(f"skipped, because their formats are not accepted: {files}")
        if not skipped.keys().isdisjoint(FFMPEG_SUFFIXES) and not is_ffmpeg_installed():
            print_line("  The extra formats reads more: pip install 'serverless-audio-classifier[formats]'")


def report_warning(name: str, warning: AudioWarning) -> None:
    """Report on standard error what can make the predictions of a recording wrong."""
    print_line(f"warning: {name}: {warning.message}")


def open_bundle(uri: str | None, settings: Settings) -> Bundle:
    """Open a bundle, by default that of the environment; show the progress of a download."""
    from audio_classifier.hub import bundles

    with download_progress() as progress:
        return bundles.open_bundle(uri or settings.bundle, cache_dir=settings.cache_dir, progress=progress)


def open_classifier(
    uri: str | None, *, many: bool = False, thresholds_path: Path | None = None
) -> AudioClassifier:
    """Load a bundle, with as many threads as the environment allows, and thresholds of single classes.

    For many inputs the network gets half of the threads, because reading the next inputs needs the others.
    These are decoded in processes of their own, so that a file that crashes the decoder does not end the run.
    """
    from audio_classifier.inference.classifier import AudioClassifier
    from audio_classifier.inference.thresholds import Thresholds

    settings = read_settings()
    thresholds = Thresholds.read(thresholds_path) if thresholds_path else None
    bundle = open_bundle(uri, settings)
    with native_stderr_hidden():
        if not many:
            return AudioClassifier(bundle, threads=settings.threads, thresholds=thresholds)
        return AudioClassifier(
            bundle,
            threads=max(1, settings.threads // 2),
            decoder=decoder_pool(settings),
            thresholds=thresholds,
        )


def decoder_pool(settings: Settings) -> Decoder | None:
    """Return processes that decode, or None if the settings do not isolate decoding."""
    if not settings.isolate_decoding:
        return None
    from audio_classifier.service.decoder_pool import DecoderPool

    return DecoderPool(max_idle=settings.threads)


def read_settings() -> Settings:
    """Read the settings of the environment."""
    from audio_classifier.service.settings import Settings

    return Settings.from_environment()


def import_measurements() -> ModuleType | None:
    """Import the module that draws measurements; print a notice if matplotlib is not installed."""
    silence_matplotlib()
    try:
        from audio_classifier.plotting import measurements
    except ImportError:
        print_line("no plots, because matplotlib is not installed")
        print_line("  Run: pip install 'serverless-audio-classifier[plot]'")
        return None
    return measurements


def write_file(path: Path, text: str) -> None:
    """Write a file completely or not at all."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
