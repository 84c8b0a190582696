"""Thresholds of single classes, read from the file that ``audio-classifier evaluate`` writes."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from audio_classifier.errors import InvalidParameterError
from audio_classifier.model.bundle import Bundle
from audio_classifier.model.labels import LabelSet

MAX_BYTES: Final = 1 << 20
PARAMETER: Final = "thresholds"


@dataclass(frozen=True, slots=True)
class Thresholds:
    """The minimum probability of single classes.

    Attributes
    ----------
    minimums
        Probabilities from 0 to 1 by name or id of the class.
    bundle_digest
        The digest of the bundle that they were measured with; None if they are for any bundle.

    Raises
    ------
    InvalidParameterError
        If a value is not a probability.
    """

    minimums: Mapping[str, float]
    bundle_digest: str | None = None

    def __post_init__(self) -> None:
        for label, value in self.minimums.items():
            if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
                raise InvalidParameterError(
                    PARAMETER, f"expected a probability from 0 to 1 for {label!r}, got {value!r}"
                )

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a JSON file: ``{"bundle": {"digest": "..."}, "thresholds": {"/m/06mb1": 0.2, ...}}``.

        ``bundle`` is optional, and other fields are ignored.

        Raises
        ------
        InvalidParameterError
            If it is not such a file, or cannot be read.
        """
        try:
            with path.open("rb") as file:
                content = file.read(MAX_BYTES + 1)
        except OSError as error:
            raise InvalidParameterError(PARAMETER, f"{path}: {error.strerror or error}") from error
        if len(content) > MAX_BYTES:
            raise InvalidParameterError(PARAMETER, f"{path}: expected at most {MAX_BYTES} bytes")
        try:
            document = json.loads(content)
        except (ValueError, RecursionError) as error:
            raise InvalidParameterError(PARAMETER, f"{path}: expected JSON, got {error}") from error
        minimums, bundle = _field(document, "thresholds"), _field(document, "bundle")
        digest = _field(bundle, "digest") if isinstance(bundle, dict) else bundle
        if not isinstance(minimums, dict) or not isinstance(digest, str | None):
            raise InvalidParameterError(
                PARAMETER,
                f'{path}: expected {{"thresholds": {{"NAME OR ID": PROBABILITY, ...}}}}',
                hint="`audio-classifier evaluate --thresholds FILE` writes such a file.",
            )
        return cls(minimums, digest)

    @property
    def digest(self) -> str:
        """The SHA-256 of the values, which identifies them in stored results."""
        return hashlib.sha256(json.dumps(sorted(self.minimums.items())).encode()).hexdigest()

    def resolve(self, bundle: Bundle, labels: LabelSet) -> NDArray[np.float64]:
        """Return the minimum of each class of a bundle, ``(classes,)`` float64; 0 for classes without one.

        Raises
        ------
        InvalidParameterError, UnknownLabelError
            If the thresholds were measured with another bundle, or a class is unknown or occurs twice.
        """
        if self.bundle_digest not in (None, bundle.digest):
            raise InvalidParameterError(
                PARAMETER,
                f"expected those of {bundle.manifest.name} {bundle.manifest.version}, digest "
                f"{bundle.digest}; found those of the bundle with the digest {self.bundle_digest}",
                hint="Measure them with this bundle: `audio-classifier evaluate --thresholds FILE`.",
            )
        minimums: NDArray[np.float64] = np.full(len(labels), math.nan)
        for text, minimum in self.minimums.items():
            index = labels.find(text, parameter=PARAMETER).index
            if not math.isnan(minimums[index]):
                raise InvalidParameterError(PARAMETER, f"{labels[index].name!r} occurs twice")
            minimums[index] = minimum
        return np.where(np.isnan(minimums), 0.0, minimums)


def _field(document: Any, name: str) -> Any:
    return document.get(name) if isinstance(document, dict) else None
