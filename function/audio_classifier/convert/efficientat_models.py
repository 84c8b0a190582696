"""The published weights of EfficientAT that can be imported."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

RELEASE: Final = "https://github.com/fschmid56/EfficientAT/releases/download/v0.0.1/"
LICENCE: Final = "MIT; labels CC BY-SA 4.0"


@dataclass(frozen=True, slots=True)
class PublishedModel:
    """Weights in the authors' release.

    Attributes
    ----------
    width
        The width multiplier of the network.
    mean_average_precision
        On AudioSet's evaluation set, as stated by the authors.
    file
        The file's name.
    sha256
        The file's SHA-256, if it is known; the authors publish none.
    """

    width: float
    mean_average_precision: float
    file: str
    sha256: str | None = None

    @property
    def url(self) -> str:
        """The URL of the file."""
        return RELEASE + self.file


PUBLISHED: Final[Mapping[str, PublishedModel]] = MappingProxyType(
    {
        "mn01": PublishedModel(0.1, 0.298, "mn01_as_mAP_298.pt"),
        "mn02": PublishedModel(0.2, 0.378, "mn02_as_mAP_378.pt"),
        "mn04": PublishedModel(
            0.4,
            0.432,
            "mn04_as_mAP_432.pt",
            "899a8c6217063f6941793102a2780b3dd788ab11fce468d9cf5f0577c453321c",
        ),
        "mn05": PublishedModel(0.5, 0.443, "mn05_as_mAP_443.pt"),
        "mn10": PublishedModel(1.0, 0.471, "mn10_as_mAP_471.pt"),
        "mn20": PublishedModel(2.0, 0.478, "mn20_as_mAP_478.pt"),
        "mn30": PublishedModel(3.0, 0.482, "mn30_as_mAP_482.pt"),
        "mn40": PublishedModel(4.0, 0.484, "mn40_as_mAP_484.pt"),
    }
)
