"""Where the material is; without numpy, for the process that starts all others must be small."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

PRECISIONS: Final[tuple[Literal["float32", "float16", "int8"], ...]] = ("float32", "float16", "int8")
COMPACT: Final = "compact"


@dataclass(frozen=True, slots=True)
class Paths:
    """The files that `material` makes in a folder."""

    folder: Path

    @property
    def ten_seconds(self) -> Path:
        """44.1 kHz, stereo."""
        return self.folder / "ten-seconds.wav"

    @property
    def ten_minutes(self) -> Path:
        """44.1 kHz, stereo."""
        return self.folder / "ten-minutes.wav"

    @property
    def minute(self) -> Path:
        """44.1 kHz, mono."""
        return self.folder / "minute.wav"

    @property
    def hour(self) -> Path:
        """44.1 kHz, mono."""
        return self.folder / "hour.wav"

    @property
    def many(self) -> Path:
        """Hundreds of short files."""
        return self.folder / "many"

    @property
    def event(self) -> Path:
        """The ten seconds as a form in an event of API Gateway, JSON."""
        return self.folder / "event.json"

    @property
    def weights(self) -> Path:
        """The random weights as the peers read them, ``.npz``."""
        return self.folder / "weights.npz"

    def bundle(self, precision: str) -> Path:
        """The same as one of our bundles."""
        return self.folder / f"max-{precision}"

    def place(self, model: str) -> str:
        """What a model of the tables is for us: ``compact`` or ``max-float32`` and so on."""
        return COMPACT if model == COMPACT else str(self.folder / model)
