"""``bundle``: list models; show, verify and copy bundles; convert the published weights to one."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from audio_classifier.cli import bundle_list
from audio_classifier.cli.common import EXIT_OK, add_bundle, open_bundle, open_classifier, read_settings
from audio_classifier.cli.terminal import download_progress, log_shown, native_stderr_hidden
from audio_classifier.convert.efficientat_models import PUBLISHED
from audio_classifier.escaping import printable

if TYPE_CHECKING:
    from audio_classifier.model.bundle import Bundle


def add(commands: Any) -> None:
    """Add the command and its subcommands to the parser."""
    bundle = commands.add_parser("bundle", help="model bundles").add_subparsers(
        required=True, metavar="COMMAND"
    )
    bundle_list.add(bundle)
    for name, run, about in (
        ("show", _bundle_show, "print a bundle's manifest"),
        ("verify", _bundle_verify, "check every file of a bundle, and load it"),
        ("copy", _bundle_copy, "copy a verified bundle to a new directory"),
    ):
        command = bundle.add_parser(name, help=about)
        command.set_defaults(run=run)
        add_bundle(command, "bundle")

    importer = bundle.add_parser(
        "import-max",
        help="convert IBM's published weights to a bundle (extra: convert)",
        usage="%(prog)s OUT_DIR [-h] [--from SOURCE ...] [--precision PRECISION] [--allow-unverified]",
    )
    importer.set_defaults(run=_bundle_import_max)
    efficientat = bundle.add_parser(
        "import-efficientat",
        help="convert published weights of EfficientAT to a bundle",
        usage="%(prog)s NAME OUT_DIR [-h] [--from SOURCE] [--sha256 HEX] [--precision PRECISION]",
    )
    efficientat.set_defaults(run=_bundle_import_efficientat)
    efficientat.add_argument("name", choices=tuple(PUBLISHED), metavar="NAME", help=", ".join(PUBLISHED))
    for command in (bundle.choices["copy"], importer, efficientat):
        command.add_argument("out_dir", type=Path, metavar="OUT_DIR", help="the directory to create")
    importer.add_argument(
        "--from",
        dest="sources",
        nargs="+",
        action="extend",
        default=[],
        metavar="SOURCE",
        help="a folder, a tar file or its URI; the known sources if omitted",
    )
    importer.add_argument(
        "--precision", choices=("float32", "float16", "int8"), default="float32", help="of the weights"
    )
    importer.add_argument(
        "--allow-unverified", action="store_true", help="also accept weights that are not the published ones"
    )
    efficientat.add_argument(
        "--from",
        dest="source",
        metavar="SOURCE",
        help="the .pt file or its URI; the authors' release if omitted",
    )
    efficientat.add_argument("--sha256", metavar="HEX", help="the expected SHA-256 of the .pt file")
    efficientat.add_argument(
        "--precision", choices=("float32", "float16"), default="float32", help="of the weights"
    )


def _bundle_show(args: argparse.Namespace) -> int:
    bundle = open_bundle(args.bundle, read_settings())
    print(json.dumps({"digest": bundle.digest, **bundle.manifest.model_dump(mode="json")}, indent=2))
    return EXIT_OK


def _bundle_verify(args: argparse.Namespace) -> int:
    classifier = open_classifier(args.bundle)
    manifest = classifier.bundle.manifest
    size_mb = sum(entry.size for entry in manifest.files) / 1e6
    print(printable(f"{manifest.name} {manifest.version}, digest {classifier.bundle.digest}"))
    print(f"{len(manifest.files)} files, {size_mb:.1f} MB, all as listed; the model loads")
    return EXIT_OK


def _bundle_copy(args: argparse.Namespace) -> int:
    bundle = open_bundle(args.bundle, read_settings())
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


def _bundle_import_efficientat(args: argparse.Namespace) -> int:
    from audio_classifier.convert.import_efficientat import import_efficientat

    deadline_s = read_settings().download_deadline_s
    with native_stderr_hidden(), log_shown(), download_progress() as progress:
        bundle = import_efficientat(
            args.name,
            args.out_dir,
            source=args.source,
            sha256=args.sha256,
            precision=args.precision,
            deadline_s=deadline_s,
            progress=progress,
        )
    return _written(args.out_dir, bundle)


def _written(out_dir: Path, bundle: Bundle) -> int:
    print(printable(f"{out_dir}: {bundle.manifest.name} {bundle.manifest.version}, digest {bundle.digest}"))
    return EXIT_OK
