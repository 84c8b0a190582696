"""Locate the test material; without numpy, because the process that starts all others must stay small."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

PRECISIONS: Final[tuple[Literal["float32", "float16", "int8"], ...]] = ("float32", "float16", "int8")
COMPACT: Final = "compact"


@dataclass(frozen=True, slots=True)
class Paths:
    """The files that `material` creates in a folder."""

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
    def short_files(self) -> Path:
        """Folder of hundreds of short WAV files."""
        return self.folder / "short-files"

    @property
    def event(self) -> Path:
        """JSON event of API Gateway with `ten_seconds` as a form upload."""
        return self.folder / "event.json"

    @property
    def weights(self) -> Path:
        """The random weights in the format that the peers read, ``.npz``."""
        return self.folder / "weights.npz"

    def bundle(self, precision: str) -> Path:
        """Return the bundle with the same random weights in a precision."""
        return self.folder / f"max-{precision}"

    def bundle_uri(self, model: str) -> str:
        """Return the bundle URI of a model in the tables, such as ``compact`` or ``max-float32``."""
        return COMPACT if model == COMPACT else str(self.folder / model)
