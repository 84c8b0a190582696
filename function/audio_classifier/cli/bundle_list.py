"""``bundle list``: the models that are built in or can be imported."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

from audio_classifier.cli.arguments import add_command
from audio_classifier.cli.common import EXIT_OK

if TYPE_CHECKING:  # imports numpy and pydantic
    from audio_classifier.convert.catalogue import Catalogue, CatalogueEntry

HEADINGS: Final = ("MODEL", "mAP", "SIZE", "CLIP", "NETWORK", "LICENCE", "COMMAND")
RIGHT_ALIGNED: Final = {"mAP", "SIZE", "CLIP", "NETWORK"}


def add(bundle: Any) -> None:
    """Add the command to the subcommands of ``bundle``."""
    command = add_command(
        bundle,
        "list",
        help="list the built-in model and those that can be imported",
        examples=("bundle list", "bundle list --json"),
    )
    command.set_defaults(run=_bundle_list)
    command.add_argument("--json", action="store_true", help="print JSON instead of a table")


def _bundle_list(args: argparse.Namespace) -> int:
    from audio_classifier.convert.catalogue import read_catalogue

    catalogue = read_catalogue()
    print(_as_json(catalogue) if args.json else _as_table(catalogue))
    return EXIT_OK


def _as_json(catalogue: Catalogue) -> str:
    models = [asdict(entry) for entry in catalogue.entries]
    return json.dumps({"models": models, "measured_on": dict(catalogue.machine)}, indent=2)


def _as_table(catalogue: Catalogue) -> str:
    rows = [HEADINGS, *(_row(entry) for entry in catalogue.entries)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join(
            cell.rjust(width) if heading in RIGHT_ALIGNED else cell.ljust(width)
            for heading, cell, width in zip(HEADINGS, row, widths, strict=True)
        ).rstrip()
        for row in rows
    ]
    machine = catalogue.machine
    return "\n".join(
        [
            *lines,
            "",
            "mAP: mean average precision on AudioSet's evaluation set, as published by the authors.",
            "CLIP: CPU time for a clip of ten seconds, of which NETWORK, measured on one thread of",
            f"{machine['CPU']}, on {machine['date']}. -: not published or not measured.",
        ]
    )


def _row(entry: CatalogueEntry) -> tuple[str, ...]:
    return (
        entry.name,
        f"{entry.mean_average_precision:.3f}" if entry.mean_average_precision is not None else "-",
        f"{entry.size_bytes / 1e6:.1f} MB" if entry.size_bytes is not None else "-",
        f"{entry.clip_ms:.1f} ms" if entry.clip_ms is not None else "-",
        f"{entry.network_ms:.1f} ms" if entry.network_ms is not None else "-",
        entry.licence.partition(";")[0],  # that of the weights; all models have the same labels
        entry.import_arguments or "(built in)",
    )
