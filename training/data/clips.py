"""The pool of clips: all audio for training, 16 kHz mono, 16 bits, in one file with an index.

A pool is a folder with ``samples.i16`` (little-endian, all clips concatenated) and ``index.csv`` (one row per
clip). Both are written under temporary names and renamed when complete, the index last, so a folder with an
index holds a complete pool.
"""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Iterable
from dataclasses import astuple, dataclass, fields
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

SAMPLES_NAME: Final = "samples.i16"
INDEX_NAME: Final = "index.csv"
SAMPLE_TYPE: Final = np.dtype("<i2")

# Prefix of the sources of synthetic clips, which are never used for validation.
SYNTHESIS: Final = "synthesis/"
# One recording in this many is kept for validation.
VALIDATION_SHARE: Final = 20

# Peaks are raised to MIN_PEAK, so that 16 bits suffice, and lowered to MAX_PEAK.
MIN_PEAK: Final = 0.1
MAX_PEAK: Final = 0.95
# Audio with a lower peak counts as silence.
SILENT_PEAK: Final = 1e-3


@dataclass(frozen=True)
class Clip:
    """Origin of a clip and its position in the pool.

    Parameters
    ----------
    source
        The Debian package or the folder of recordings; ``synthesis/...`` for a synthetic clip.
    recording
        The original file within the source, the same for all its excerpts; an id for a synthetic clip.
    licence
        Licence of the recording.
    start
        Index of the first sample in the pool.
    samples
        Number of samples, at 16 kHz.
    """

    source: str
    recording: str
    licence: str
    start: int
    samples: int

    @property
    def is_synthetic(self) -> bool:
        """Whether the clip is synthesised rather than recorded."""
        return self.source.startswith(SYNTHESIS)

    @cached_property
    def is_validation(self) -> bool:
        """Whether the clip is kept for validation.

        One recording in twenty is, chosen by a hash of its name; synthetic clips are not.
        """
        if self.is_synthetic:
            return False
        digest = hashlib.sha256(f"{self.source}\n{self.recording}".encode()).digest()
        return int.from_bytes(digest[:8]) % VALIDATION_SHARE == 0


class ClipPool:
    """A complete pool, memory-mapped from disk."""

    def __init__(self, clips: list[Clip], samples: NDArray[np.int16]) -> None:
        self.clips = clips
        self._samples = samples

    @classmethod
    def open(cls, folder: Path) -> Self:
        """Open the pool in a folder.

        Raises
        ------
        FileNotFoundError
            If the folder does not contain a complete pool.
        """
        with (folder / INDEX_NAME).open(newline="", encoding="utf-8") as file:
            clips = [
                Clip(row["source"], row["recording"], row["licence"], int(row["start"]), int(row["samples"]))
                for row in csv.DictReader(file)
            ]
        return cls(clips, np.memmap(folder / SAMPLES_NAME, SAMPLE_TYPE, "r"))

    @staticmethod
    def is_complete(folder: Path) -> bool:
        """Return whether a folder contains a complete pool."""
        return (folder / INDEX_NAME).exists()

    def __len__(self) -> int:
        return len(self.clips)

    def samples(self, index: int) -> NDArray[np.int16]:
        """Return the samples of a clip, ``(samples,)`` int16, without copying."""
        clip = self.clips[index]
        return self._samples[clip.start : clip.start + clip.samples]


class ClipWriter:
    """Write a pool, as a context manager that completes the pool on success and discards it on an error.

    Parameters
    ----------
    folder
        Created if missing; an existing pool in it is replaced when the new one is complete.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._file = self._partial(SAMPLES_NAME).open("wb")
        self._seen: set[bytes] = set()
        self._end = 0
        self.clips: list[Clip] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self._finish()
        else:
            self._file.close()
            self._partial(SAMPLES_NAME).unlink()

    def add(self, source: str, recording: str, licence: str, samples: NDArray[Any]) -> bool:
        """Append a clip, unless it is empty or the pool already contains the same samples.

        Parameters
        ----------
        source, recording, licence
            See `Clip`.
        samples
            ``(samples,)`` int16.

        Returns
        -------
        Whether the clip was added.

        Raises
        ------
        TypeError
            If ``samples`` is not a one-dimensional int16 array.
        """
        if samples.dtype != np.int16 or samples.ndim != 1:
            raise TypeError(f"samples must be one-dimensional int16, got {samples.ndim}-d {samples.dtype}")
        data = samples.astype(SAMPLE_TYPE, copy=False).tobytes()
        digest = hashlib.sha256(data).digest()
        if not data or digest in self._seen:
            return False
        self._file.write(data)
        self._seen.add(digest)
        self.clips.append(Clip(source, recording, licence, self._end, len(samples)))
        self._end += len(samples)
        return True

    def _finish(self) -> None:
        if not self.clips:
            # An empty file cannot be memory-mapped.
            self._file.write(bytes(SAMPLE_TYPE.itemsize))
        self._file.close()
        with self._partial(INDEX_NAME).open("w", newline="", encoding="utf-8") as file:
            rows = csv.writer(file)
            rows.writerow(field.name for field in fields(Clip))
            rows.writerows(map(astuple, self.clips))
        (self._folder / INDEX_NAME).unlink(missing_ok=True)
        self._partial(SAMPLES_NAME).replace(self._folder / SAMPLES_NAME)
        self._partial(INDEX_NAME).replace(self._folder / INDEX_NAME)

    def _partial(self, name: str) -> Path:
        return self._folder / f"{name}.partial"


def to_int16(signal: NDArray[Any]) -> NDArray[np.int16] | None:
    """Convert a float signal to 16 bits; its level changes only if it is very quiet or too loud.

    Returns
    -------
    ``(samples,)`` int16; None if the signal is silent or contains NaN or infinity.
    """
    peak = float(np.abs(signal).max(initial=0.0))
    if not SILENT_PEAK <= peak < np.inf:
        return None
    gain = min(max(peak, MIN_PEAK), MAX_PEAK) / peak
    return np.round(signal * (gain * np.iinfo(np.int16).max)).astype(np.int16)


def merge(parts: Iterable[Path], folder: Path) -> None:
    """Concatenate pools; of identical clips, the first is kept."""
    with ClipWriter(folder) as writer:
        for part in parts:
            pool = ClipPool.open(part)
            for index, clip in enumerate(pool.clips):
                writer.add(clip.source, clip.recording, clip.licence, pool.samples(index))
