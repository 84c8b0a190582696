"""``bundle``: list models; show, verify and copy bundles; convert the published weights to one."""

from __future__ import annotations

import argparse
import json
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from audio_classifier.cli import bundle_list
from audio_classifier.cli.arguments import add_bundle, add_command
from audio_classifier.cli.common import EXIT_OK, open_bundle, open_classifier, read_settings
from audio_classifier.cli.terminal import download_progress, log_shown, native_stderr_hidden
from audio_classifier.convert.efficientat_models import PUBLISHED
from audio_classifier.escaping import printable

if TYPE_CHECKING:
    from audio_classifier.model.bundle import Bundle

SUMMARY_COLUMNS: Final = 88
MAX_SOURCES: Final = 5


def add(commands: Any) -> None:
    """Add the command and its subcommands to the parser."""
    bundle = add_command(
        commands,
        "bundle",
        help="list, describe, verify and import models",
        examples=("bundle list", "bundle show compact"),
    ).add_subparsers(required=True, metavar="COMMAND")
    bundle_list.add(bundle)
    for name, run, about, example in (
        ("show", _bundle_show, "describe a bundle: its model, licence, sources and files", "compact"),
        ("verify", _bundle_verify, "check every file of a bundle, and load it", "models/mn04"),
        ("copy", _bundle_copy, "copy a verified bundle to a new directory", "s3://my-models/max/ models/max"),
    ):
        command = add_command(bundle, name, help=about, examples=(f"bundle {name} {example}",))
        command.set_defaults(run=run)
        add_bundle(command, "bundle")
    bundle.choices["show"].add_argument(
        "--json", action="store_true", help="print the whole manifest and the digest as JSON"
    )

    importer = add_command(
        bundle,
        "import-max",
        help="convert IBM's published weights to a bundle (extra: convert)",
        examples=(
            "bundle import-max models/max",
            "bundle import-max models/max --from downloads --precision int8",
        ),
        usage="%(prog)s OUT_DIR [-h] [--from SOURCE ...] [--precision PRECISION] [--allow-unverified]",
    )
    importer.set_defaults(run=_bundle_import_max)
    efficientat = add_command(
        bundle,
        "import-efficientat",
        help="convert published weights of EfficientAT to a bundle",
        examples=("bundle import-efficientat mn04 models/mn04",),
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
    if args.json:
        print(json.dumps({"digest": bundle.digest, **bundle.manifest.model_dump(mode="json")}, indent=2))
    else:
        print("\n".join(map(printable, _summary(bundle))))
    return EXIT_OK


def _summary(bundle: Bundle) -> Iterator[str]:
    """Yield the lines that describe a bundle for people."""
    from audio_classifier.model.labels import LabelSet
    from audio_classifier.model.manifest import LABELS

    manifest = bundle.manifest
    yield f"{manifest.name} {manifest.version}"
    yield from textwrap.wrap(manifest.description, SUMMARY_COLUMNS)
    yield ""
    size_mb = sum(entry.size for entry in manifest.files) / 1e6
    reads = "patches of 0.96 s" if manifest.network == "patches" else "clips of any length"
    facts = {
        "classes": len(LabelSet.read(bundle.path(LABELS))),
        "network": f"reads {reads}, {manifest.precision}",
        "licence": manifest.licence,
        "files": f"{len(manifest.files)}, {size_mb:.1f} MB",
        "digest": bundle.digest,
    }
    yield from (f"{name:<8}  {value}" for name, value in facts.items())
    if manifest.provenance:
        yield ""
        yield "sources"
        for source in manifest.provenance[:MAX_SOURCES]:
            yield f"  {source.name}" + (f" ({source.origin})" if source.origin else "")
        if (rest := len(manifest.provenance) - MAX_SOURCES) > 0:
            yield f"  and {rest} more, which --json lists"


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
