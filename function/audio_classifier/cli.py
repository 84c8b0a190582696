"""The command line: classify, bundle, labels."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Final

from audio_classifier.errors import AudioClassifierError, AudioError
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

EXIT_OK: Final = 0
EXIT_SOME_FAILED: Final = 1
EXIT_USAGE: Final = 2
EXIT_INTERRUPTED: Final = 130

# What a folder is searched for; a file that is named itself is tried whatever it is called.
AUDIO_SUFFIXES: Final = (
    *(".aif", ".aifc", ".aiff", ".au", ".caf", ".flac", ".mp3", ".oga", ".ogg", ".opus"),
    *(".rf64", ".snd", ".w64", ".wav", ".wave"),
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; the exit status: 0, 1 if some file failed, 2 if nothing could be done."""
    args = build_parser().parse_args(argv)
    try:
        return int(args.run(args))
    except AudioClassifierError as error:
        complain(str(error), error.hint)
        return EXIT_USAGE
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except BrokenPipeError:  # `| head` has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_OK


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
        "--filter", action="append", metavar="LABEL", help="only this class, by name or id; may be repeated"
    )
    classify.add_argument(
        "--format", choices=("table", "json", "jsonl", "csv"), default="table", help="(default: table)"
    )
    classify.add_argument(
        "--bundle", metavar="PLACE", help="compact, a directory, https://... or s3://bucket/prefix/"
    )

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
    ):
        command = bundle.add_parser(name, help=about)
        command.set_defaults(run=run)
        command.add_argument(
            "bundle", metavar="PLACE", help="compact, a directory, https://... or s3://bucket/prefix/"
        )

    importer = bundle.add_parser(
        "import-max", help="make a bundle of IBM's published weights (extra: convert)"
    )
    importer.set_defaults(run=_bundle_import_max)
    importer.add_argument("out_dir", type=Path, metavar="OUT_DIR", help="where to write it; must not exist")
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

    files = list(_expand(args.files))
    single = len(files) == 1 and not Path(args.files[0]).is_dir()
    classifier = _open_classifier(args.bundle)
    failed = 0

    def outcomes() -> Iterator[Outcome]:
        nonlocal failed
        with progress_over(files) as remaining:
            for file in remaining:
                outcome = _classify_file(classifier, file, args)
                if outcome.error:
                    failed += 1
                    complain(f"{file}: {outcome.error}", outcome.hint)
                yield outcome

    FORMATS[args.format](outcomes(), sys.stdout, single=single)
    return EXIT_SOME_FAILED if failed else EXIT_OK


def _classify_file(classifier: AudioClassifier, file: str, args: argparse.Namespace) -> Outcome:
    from audio_classifier.report import Outcome

    if Path(file).is_dir():
        return Outcome(file, error="there are no sound files in this folder")
    try:
        predictions = classifier.predict(
            sys.stdin.buffer.read() if file == "-" else file,
            start_s=args.start_time,
            top_k=args.top_k,
            threshold=args.threshold,
            labels=args.filter,
        )
    except AudioError as error:
        return Outcome(file, error=str(error), hint=error.hint)
    except OSError as error:
        return Outcome(file, error=error.strerror or str(error))
    return Outcome(file, tuple(predictions))


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
    bundle = _open_bundle(args.bundle)
    print(f"digest       {bundle.digest}")
    print(json.dumps(bundle.manifest.model_dump(mode="json"), indent=2, ensure_ascii=False))
    return EXIT_OK


def _bundle_verify(args: argparse.Namespace) -> int:
    classifier = _open_classifier(args.bundle)
    manifest = classifier.bundle.manifest
    size_mb = sum(entry.size for entry in manifest.files) / 1e6
    print(f"{manifest.name} {manifest.version}, digest {classifier.bundle.digest}")
    print(f"{len(manifest.files)} files, {size_mb:.1f} MB, all as listed; it loads")
    return EXIT_OK


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
    print(f"{args.out_dir}: {bundle.manifest.name} {bundle.manifest.version}, digest {bundle.digest}")
    return EXIT_OK


def _expand(names: Sequence[str]) -> Iterator[str]:
    """The files named, and the sound files below the folders named, each folder's in order."""
    for name in names:
        folder = Path(name)
        if name == "-" or not folder.is_dir():
            yield name
            continue
        files = sorted(
            str(path)
            for path in folder.rglob("*")
            if path.suffix.lower() in AUDIO_SUFFIXES and path.is_file() and not path.name.startswith(".")
        )
        yield from files or [name]  # an empty folder is reported like a file that cannot be read


def _open_bundle(place: str | None) -> Bundle:
    from audio_classifier.bundle_store import open_bundle
    from audio_classifier.settings import Settings

    settings = Settings.from_environment()
    with download_progress() as progress:
        return open_bundle(place or settings.bundle, cache_dir=settings.cache_dir, progress=progress)


def _open_classifier(place: str | None) -> AudioClassifier:
    from audio_classifier.classifier import AudioClassifier
    from audio_classifier.settings import Settings

    bundle = _open_bundle(place)
    with native_stderr_hidden():
        return AudioClassifier(bundle, threads=Settings.from_environment().threads)
