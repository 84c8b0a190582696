"""Locate the files that are shipped with the package."""

from __future__ import annotations

from pathlib import Path
from typing import Final

PACKAGED: Final = Path(__file__).parent / "data"
CHECKOUT: Final = Path(__file__).parents[2] / "assets"


def asset_path(name: str) -> Path:
    """Return the path of a built-in file, in the installed package or in the checkout."""
    packaged = PACKAGED / name
    return packaged if packaged.exists() else CHECKOUT / name


def audioset_labels_path() -> Path:
    """Return the path of ``class_labels_indices.csv``, the table of AudioSet's 527 classes."""
    return asset_path("class_labels_indices.csv")


def audioset_ontology_path() -> Path:
    """Return the path of ``audioset_ontology.csv``, the nodes and edges of AudioSet's ontology."""
    return asset_path("audioset_ontology.csv")
