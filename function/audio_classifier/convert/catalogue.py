"""The catalogue of models: the built-in one, and those that can be imported."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from audio_classifier.assets import asset_path
from audio_classifier.convert import efficientat_models, import_max
from audio_classifier.hub.bundles import COMPACT
from audio_classifier.model.manifest import MANIFEST, Manifest

MEASUREMENTS: Final = "model_measurements.json"


@dataclass(frozen=True, slots=True)
class CatalogueEntry:
    """A model in float32, or in the precision that it is built in with.

    Attributes
    ----------
    mean_average_precision
        On AudioSet's evaluation set, as its authors state it; None if none is published.
    licence
        The licence of the weights.
    import_arguments
        The command of ``audio-classifier`` that creates the bundle; empty for the built-in model.
    size_bytes
        The size of the files that the manifest lists.
    clip_ms, network_ms
        CPU time for a clip of ten seconds on one thread, and the network's share of it.

    Sizes and times are None if they have not been measured.
    """

    name: str
    mean_average_precision: float | None
    licence: str
    import_arguments: str
    size_bytes: int | None
    clip_ms: float | None
    network_ms: float | None


@dataclass(frozen=True, slots=True)
class Catalogue:
    """All models.

    Attributes
    ----------
    entries
        The built-in model first, then the others in the order of their families and sizes.
    machine
        The machine on which times were measured, by property; ``CPU`` and ``date`` among them.
    """

    entries: tuple[CatalogueEntry, ...]
    machine: Mapping[str, str]


def read_catalogue() -> Catalogue:
    """Read the catalogue; `benchmarks.models` writes the measured sizes and times."""
    measured = json.loads(asset_path(MEASUREMENTS).read_text(encoding="utf-8"))
    compact = Manifest.parse(asset_path(f"bundles/{COMPACT}/{MANIFEST}").read_bytes(), COMPACT)
    max_precision = import_max.PUBLISHED_METRICS["AudioSet evaluation"]["mAP"]

    def entry(name: str, mean_average_precision: float | None, licence: str, command: str) -> CatalogueEntry:
        figures: dict[str, Any] = measured["models"].get(name, {})
        return CatalogueEntry(
            name=name,
            mean_average_precision=mean_average_precision,
            licence=licence,
            import_arguments=command,
            size_bytes=figures.get("size_bytes"),
            clip_ms=figures.get("clip_ms"),
            network_ms=figures.get("network_ms"),
        )

    entries = [
        entry(COMPACT, None, compact.licence, ""),
        entry("max", max_precision, import_max.LICENCE, "bundle import-max OUT_DIR"),
    ]
    for name, model in efficientat_models.PUBLISHED.items():
        command = f"bundle import-efficientat {name} OUT_DIR"
        entries.append(entry(name, model.mean_average_precision, efficientat_models.LICENCE, command))
    return Catalogue(tuple(entries), measured["machine"])
