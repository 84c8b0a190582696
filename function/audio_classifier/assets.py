"""Where the files are that come with the package."""

from __future__ import annotations

from pathlib import Path
from typing import Final

PACKAGED: Final = Path(__file__).parent / "data"
CHECKOUT: Final = Path(__file__).parents[2] / "assets"


def asset_path(name: str) -> Path:
    """The path of a built-in file: within the installed package, or in the checkout that it is run from."""
    packaged = PACKAGED / name
    return packaged if packaged.exists() else CHECKOUT / name


def audioset_labels_path() -> Path:
    """AudioSet's 527 classes, ``class_labels_indices.csv``."""
    return asset_path("class_labels_indices.csv")
