"""The command line: classify, timeline, serve, labels, bundle."""

from __future__ import annotations

import argparse
import io
import json
import os
import sys
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final

from audio_classifier.errors import AudioClassifierError, AudioError, InvalidParameterError, MissingExtraError
from audio_classifier.params import EVENT_HOP_S, EVENT_THRESHOLD, EVENT_WINDOW_S
from audio_classifier.terminal import (
    complain,
    download_progress,
    log_shown,
    native_stderr_hidden,
    progress_over,
)

if TYPE_CHECKING:  # what needs numpy or LiteRT is imported by the command that needs it
    from audio_classifier.bundle import Bundle
    from audio_classifier.classifier import AudioClassifier
    from audio_classifier.report import Outcome
    from audio_classifier.selection import Selection
    from audio_classifier.settings import Settings

EXIT_OK: Final = 0
EXIT_SOME_FAILED: Final = 1
EXIT_USAGE: Final = 2
EXIT_INTERRUPTED: Final = 130

MAX_PORT: Final = 65535
DRAIN_S: Final = 30  # for requests under way when the server is told to stop

# What the core calls its parameters, and what they are called here.
OPTIONS: Final = {
    "hop_s": "--hop",
    "label": "--filter",
    "min_duration_s": "--min-duration",
    "release": "--release",
    "start_s": "--start-time",
    "threshold": "--threshold",
    "top_k": "--top-k",
    "uri": "--bundle",
    "window_s": "--window",
}

# What a folder is searched for; a file that is named itself is tried whatever it is called.
AUDIO_SUFFIXES: Final = (
    *(".aif", ".aifc", ".aiff", ".au", ".caf", ".flac", ".mp3", ".oga", ".ogg", ".opus"),
    *(".rf64", ".snd", ".w64", ".wav", ".wave"),
)


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

    classify = commands.add_parser("classify", help="the most likely classes of sound files")
    classify.set_defaults(run=_classify)
    classify.add_argument(
        "files", nargs="+", metavar="FILE", help="a sound file, a folder, or - for standard input"
    )
    classify.add_argument("--top-k", type=int, default=5, metavar="N", help="how many classes (default: 5)")
    classify.add_argument(
        "--threshold", type=float, metavar="P", help="only classes at least that probable, 0..1"
    )
    classify.add_argument(
        "--start-time",
        type=float,
        default=0.0,
        metavar="SECONDS",
        help="where the ten seconds begin (default: 0)",
    )
    classify.add_argument(
        "--format", choices=("table", "json", "jsonl", "csv"), default="table", help="(default: table)"
    )

    timeline = commands.add_parser("timeline", help="what is heard when in a recording of any length")
    timeline.set_defaults(run=_timeline)
    timeline.add_argument("file", metavar="FILE", help="a sound file, or - for standard input")
    timeline.add_argument(
        "--threshold",
        type=float,
        default=EVENT_THRESHOLD,
        metavar="P",
        help="an event begins there (default: %(default)s)",
    )
    timeline.add_argument(
        "--release", type=float, metavar="P", help="it ends below (default: half of the threshold)"
    )
    timeline.add_argument(
        "--min-duration",
        type=float,
        default=0.0,
        metavar="SECONDS",
        help="leave shorter events out (default: 0)",
    )
    timeline.add_argument(
        "--window",
        type=float,
        default=EVENT_WINDOW_S,
        metavar="SECONDS",
        help="what is heard at once, to 9.6; rounded to multiples of 0.96 (default: %(default)s)",
    )
    timeline.add_argument(
        "--hop",
        type=float,
        default=EVENT_HOP_S,
        metavar="SECONDS",
        help="from window to window (default: %(default)s)",
    )
    timeline.add_argument(
        "--format",
        choices=("table", "json", "jsonl", "csv", "audacity", "vtt", "rttm"),
        default="table",
        help="(default: table)",
    )
    for command in (classify, timeline):
        command.add_argument(
            "--filter",
            action="append",
            metavar="LABEL",
            help="only this class, by name or id; may be repeated",
        )
        command.add_argument(
            "--bundle", metavar="PLACE", help="compact, a directory, https://... or s3://bucket/prefix/"
        )

    serve = commands.add_parser("serve", help="answer over HTTP (extra: serve)")
    serve.set_defaults(run=_serve)
    serve.add_argument("--host", default="127.0.0.1", help="(default: 127.0.0.1; 0.0.0.0 for all)")
    serve.add_argument("--port", type=_port, default=5000, help="(default: 5000)")

    labels = commands.add_parser("labels", help="the 527 classes")
    labels.set_defaults(run=_labels)
    labels.add_argument(
        "--search", default="", metavar="TEXT", help="only those whose name or id contains it"
    )

    bundle = commands.add_parser("bundle", help="model bundles").add_subparsers(
        required=True, metavar="COMMAND"
    )
    for name, run, about in (
        ("show", _bundle_show, "what a bundle says of itself"),
        ("verify", _bundle_verify, "check every file of a bundle, and that it loads"),
        ("copy", _bundle_copy, "fetch a bundle into a new directory, verified"),
    ):
        command = bundle.add_parser(name, help=about)
        command.set_defaults(run=run)
        command.add_argument(
            "bundle", metavar="PLACE", help="compact, a directory, https://... or s3://bucket/prefix/"
        )

    importer = bundle.add_parser(
        "import-max",
        help="make a bundle of IBM's published weights (extra: convert)",
        usage="%(prog)s OUT_DIR [-h] [--from SOURCE ...] [--precision PRECISION] [--allow-unverified]",
    )
    importer.set_defaults(run=_bundle_import_max)
    for command in (bundle.choices["copy"], importer):
        command.add_argument(
            "out_dir", type=Path, metavar="OUT_DIR", help="where to write it; must not exist"
        )
    importer.add_argument(
        "--from",
        dest="sources",
        nargs="+",
        action="extend",
        default=[],
        metavar="SOURCE",
        help="a folder, a tar file or the address of one; the known places if left out",
    )
    importer.add_argument(
        "--precision", choices=("float32", "float16", "int8"), default="float32", help="of the weights"
    )
    importer.add_argument(
        "--allow-unverified", action="store_true", help="take other weights than the published, too"
    )
    return parser


def _classify(args: argparse.Namespace) -> int:
    from audio_classifier.report import FORMATS
    from audio_classifier.selection import Selection

    if args.start_time < 0:
        raise InvalidParameterError(
            "start_s", f"{args.start_time:g} is before the beginning", hint="Give 0 or more."
        )
    files = list(_expand(args.files))
    single = len(files) == 1 and not os.path.isdir(args.files[0])
    classifier = _open_classifier(args.bundle)
    selection = Selection(classifier.labels, top_k=args.top_k, threshold=args.threshold, labels=args.filter)
    failed = 0

    def outcomes() -> Iterator[Outcome]:
        nonlocal failed
        with progress_over(len(files)) as working:
            for file in files:
                with working():
                    outcome = _classify_file(classifier, selection, file, args.start_time)
                if outcome.error:
                    failed += 1
                    complain(f"{file}: {outcome.error}", outcome.hint)
                yield outcome

    FORMATS[args.format](outcomes(), sys.stdout, single=single)
    return EXIT_SOME_FAILED if failed else EXIT_OK


def _classify_file(classifier: AudioClassifier, selection: Selection, file: str, start_s: float) -> Outcome:
    from audio_classifier.report import Outcome

    try:
        if os.path.isdir(file):
            os.listdir(file)  # says so itself if it may not be read
            return Outcome(file, error="there are no sound files in this folder")
        source = _standard_input() if file == "-" else file
        return Outcome(file, tuple(classifier.classify(source, selection, start_s=start_s).predictions))
    except AudioError as error:
        return Outcome(file, error=str(error), hint=error.hint)
    except OSError as error:
        return Outcome(file, error=error.strerror or str(error))


def _timeline(args: argparse.Namespace) -> int:
    from audio_classifier.timeline import Hysteresis
    from audio_classifier.tracks import TRACKS

    hysteresis = Hysteresis(args.threshold, args.release, args.min_duration)
    classifier = _open_classifier(args.bundle)
    source = _standard_input() if args.file == "-" else args.file
    events = classifier.events(
        source, window_s=args.window, hop_s=args.hop, hysteresis=hysteresis, labels=args.filter
    )
    try:
        TRACKS[args.format](events, sys.stdout, args.file)
    except AudioError as error:
        complain(f"{args.file}: {error}", error.hint)
        return EXIT_SOME_FAILED
    except OSError as error:
        if error.filename is None:  # not of the file, but of the output
            raise
        complain(f"{args.file}: {error.strerror}")
        return EXIT_SOME_FAILED
    return EXIT_OK


def _standard_input() -> BinaryIO | bytes:
    """Standard input, read to its end if it is a pipe."""
    return sys.stdin.buffer if sys.stdin.buffer.seekable() else sys.stdin.buffer.read()


def _serve(args: argparse.Namespace) -> int:
    try:
        import uvicorn

        from audio_classifier.http_api import create_app
        from audio_classifier.service import Service
    except ImportError as error:
        raise MissingExtraError("serving over HTTP", "serve") from error

    app = create_app(Service(_settings()))
    uvicorn.run(app, host=args.host, port=args.port, timeout_graceful_shutdown=DRAIN_S, server_header=False)
    return EXIT_OK


def _port(text: str) -> int:
    port = int(text)
    if not 0 <= port <= MAX_PORT:
        raise argparse.ArgumentTypeError(f"{text} is no port: 0 to {MAX_PORT}")
    return port


def _labels(args: argparse.Namespace) -> int:
    from audio_classifier.assets import audioset_labels_path
    from audio_classifier.labels import LabelSet

    found = LabelSet.read(audioset_labels_path()).search(args.search)
    for label in found:
        print(f"{label.index:3}  {label.label_id:<13}  {label.name}")
    if not found:
        complain(f"no class has {args.search!r} in its name or id")
    return EXIT_OK if found else EXIT_SOME_FAILED


def _bundle_show(args: argparse.Namespace) -> int:
    bundle = _open_bundle(args.bundle, _settings())
    print(json.dumps({"digest": bundle.digest, **bundle.manifest.model_dump(mode="json")}, indent=2))
    return EXIT_OK


def _bundle_verify(args: argparse.Namespace) -> int:
    classifier = _open_classifier(args.bundle)
    manifest = classifier.bundle.manifest
    size_mb = sum(entry.size for entry in manifest.files) / 1e6
    print(f"{manifest.name} {manifest.version}, digest {classifier.bundle.digest}")
    print(f"{len(manifest.files)} files, {size_mb:.1f} MB, all as listed; it loads")
    return EXIT_OK


def _bundle_copy(args: argparse.Namespace) -> int:
    bundle = _open_bundle(args.bundle, _settings())
    bundle.copy_to(args.out_dir)
    return _written(args.out_dir, bundle)


def _bundle_import_max(args: argparse.Namespace) -> int:
    from audio_classifier.convert.import_max import import_max

    with native_stderr_hidden(), log_shown(), download_progress() as progress:
        bundle = import_max(
            args.out_dir,
            args.sources,
            precision=args.precision,
            allow_unverified=args.allow_unverified,
            progress=progress,
        )
    return _written(args.out_dir, bundle)


def _written(out_dir: Path, bundle: Bundle) -> int:
    print(f"{out_dir}: {bundle.manifest.name} {bundle.manifest.version}, digest {bundle.digest}")
    return EXIT_OK


def _expand(names: Sequence[str]) -> Iterator[str]:
    """The files named, and the sound files below the folders named, each folder's in order."""
    for name in names:
        if name == "-" or not os.path.isdir(name):
            yield name
        else:
            yield from _sound_files(name)


def _sound_files(folder: str) -> list[str]:
    """Sound files at any depth; a folder that may not be read, or holds none at all, stands for itself."""
    unreadable: list[str] = []
    files = [
        os.path.join(root, name)
        for root, _, names in os.walk(folder, onerror=lambda error: unreadable.append(error.filename))
        for name in names
        if name.lower().endswith(AUDIO_SUFFIXES) and not name.startswith(".")
    ]
    return sorted(files + unreadable) or [folder]


def _open_bundle(place: str | None, settings: Settings) -> Bundle:
    from audio_classifier.bundle_store import open_bundle

    with download_progress() as progress:
        return open_bundle(place or settings.bundle, cache_dir=settings.cache_dir, progress=progress)


def _open_classifier(place: str | None) -> AudioClassifier:
    from audio_classifier.classifier import AudioClassifier

    settings = _settings()
    bundle = _open_bundle(place, settings)
    with native_stderr_hidden():
        return AudioClassifier(bundle, threads=settings.threads)


def _settings() -> Settings:
    from audio_classifier.settings import Settings

    return Settings.from_environment()
