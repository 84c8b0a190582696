"""Write the table of the built-in bundle's probabilities for the sample recordings: ``make outputs``."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from audio_classifier import AudioClassifier

TABLE: Final = Path(__file__).with_name("outputs.csv")
SOUNDS: Final = Path(__file__).parents[2] / "assets"
COLUMNS: Final = ("bundle_version", "sound", "label_id", "probability")
MIN_PROBABILITY: Final = 0.01  # of the classes in the table
TOLERANCE: Final = 0.01


class OutdatedTableError(Exception):
    """The table belongs to another version of the bundle."""


@dataclass(frozen=True)
class Outputs:
    """A bundle's probabilities by sound and label ID; in a table, those of at least a hundredth."""

    bundle_version: str
    probabilities: Mapping[tuple[str, str], float]

    @classmethod
    def compute(cls, classifier: AudioClassifier, folder: Path = SOUNDS) -> Self:
        """Classify all sounds of a folder."""
        probabilities = {}
        for path in sorted(folder.glob("*.wav")):
            row = classifier.probabilities(path)
            for label, probability in zip(classifier.labels, row, strict=True):
                probabilities[path.name, label.label_id] = float(probability)
        return cls(classifier.bundle.manifest.version, probabilities)

    @classmethod
    def read(cls, path: Path, version: str) -> Self:
        """Read a table of this version of the bundle.

        Raises
        ------
        OutdatedTableError
            If the table has rows of another version, or none.
        """
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        versions = {row["bundle_version"] for row in rows}
        if versions != {version}:
            raise OutdatedTableError(
                f"{path.name} must be of version {version} of the built-in bundle, but is of"
                f" {', '.join(sorted(versions)) or 'none'}: a change of model is a minor version; write the"
                " table again with `make outputs`"
            )
        return cls(version, {(row["sound"], row["label_id"]): float(row["probability"]) for row in rows})

    def write(self, path: Path) -> None:
        """Write the table, by sound and falling probability."""
        items = sorted(
            self.probabilities.items(), key=lambda item: (item[0][0], -round(item[1], 4), item[0][1])
        )
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(COLUMNS)
            for (sound, label_id), probability in items:
                if probability >= MIN_PROBABILITY:
                    writer.writerow((self.bundle_version, sound, label_id, f"{probability:.4f}"))

    def differences_from(self, table: Outputs) -> list[str]:
        """Describe each class whose probability is not that of the table, or that is missing in it."""
        messages = []
        for sound, label_id in sorted(self.probabilities.keys() | table.probabilities.keys()):
            found = self.probabilities.get((sound, label_id), 0.0)
            expected = table.probabilities.get((sound, label_id))
            if expected is None and found > MIN_PROBABILITY + TOLERANCE:
                messages.append(f"{sound}, {label_id}: expected less than {MIN_PROBABILITY}, got {found:.4f}")
            elif expected is not None and abs(found - expected) > TOLERANCE:
                messages.append(f"{sound}, {label_id}: expected {expected:.4f}, got {found:.4f}")
        return messages


if __name__ == "__main__":
    Outputs.compute(AudioClassifier.open()).write(TABLE)
