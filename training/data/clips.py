"""The pool of clips: all sounds to learn from, 16 kHz mono, 16 bits, in one file with an index beside it.

A pool is a folder with ``samples.i16`` (little-endian, one clip behind the other) and ``index.csv``, a row a
clip.  It is written under other names and renamed when whole, the index last: a folder that has its index is
complete.
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

# Sources of what this package computes itself are named so; nothing of it validates.
SYNTHESIS: Final = "synthesis/"
# One recording in so many is kept for validation.
VALIDATION_SHARE: Final = 20

# Quieter sounds are raised to this peak, so that 16 bits suffice; louder ones than the second are lowered.
MIN_PEAK: Final = 0.1
MAX_PEAK: Final = 0.95
# What stays below is taken for silence.
SILENT_PEAK: Final = 1e-3


@dataclass(frozen=True)
class Clip:
    """Where a clip comes from, and where it lies in the pool.

    Parameters
    ----------
    source
        The Debian package or the folder of recordings; ``synthesis/...`` for what is computed.
    recording
        The original file within it, the same for all excerpts of one file; an id for what is computed.
    licence
        Of the recording.
    start
        First sample in the pool.
    samples
        How many, at 16 kHz.
    """

    source: str
    recording: str
    licence: str
    start: int
    samples: int

    @property
    def is_synthetic(self) -> bool:
        """Whether it was computed, and not recorded."""
        return self.source.startswith(SYNTHESIS)

    @cached_property
    def is_validation(self) -> bool:
        """Whether it is kept for validation: one recording in twenty, always the same ones, none computed."""
        if self.is_synthetic:
            return False
        digest = hashlib.sha256(f"{self.source}\n{self.recording}".encode()).digest()
        return int.from_bytes(digest[:8]) % VALIDATION_SHARE == 0


class ClipPool:
    """A finished pool, read from disk as needed."""

    def __init__(self, clips: list[Clip], samples: NDArray[np.int16]) -> None:
        self.clips = clips
        self._samples = samples

    @classmethod
    def open(cls, folder: Path) -> Self:
        """Open the pool in a folder.

        Raises
        ------
        FileNotFoundError
            If there is none that was finished.
        """
        with (folder / INDEX_NAME).open(newline="", encoding="utf-8") as file:
            clips = [
                Clip(row["source"], row["recording"], row["licence"], int(row["start"]), int(row["samples"]))
                for row in csv.DictReader(file)
            ]
        return cls(clips, np.memmap(folder / SAMPLES_NAME, SAMPLE_TYPE, "r"))

    @staticmethod
    def is_complete(folder: Path) -> bool:
        """Whether a folder holds a finished pool."""
        return (folder / INDEX_NAME).exists()

    def __len__(self) -> int:
        return len(self.clips)

    def samples(self, index: int) -> NDArray[np.int16]:
        """The samples of a clip, ``(samples,)`` int16, not copied."""
        clip = self.clips[index]
        return self._samples[clip.start : clip.start + clip.samples]


class ClipWriter:
    """Writes a pool; used as a context, which finishes it, or drops it should an error end it.

    Parameters
    ----------
    folder
        Made if it does not exist; a pool that is in it is replaced at the end.
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
        """Append a clip, unless the pool has the same samples already, or there are none.

        Parameters
        ----------
        source, recording, licence
            See `Clip`.
        samples
            ``(samples,)`` int16.

        Returns
        -------
        Whether it was added.
        """
        if samples.dtype != np.int16 or samples.ndim != 1:
            raise TypeError(f"clips are one row of int16, not {samples.ndim} dimensions of {samples.dtype}")
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
            # An empty file cannot be mapped into memory.
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


def to_int16(sound: NDArray[Any]) -> NDArray[np.int16] | None:
    """A sound as it is kept: 16 bits, its level changed only where it is very quiet or too loud.

    Returns
    -------
    ``(samples,)`` int16; None for silence, and for what holds no numbers.
    """
    peak = float(np.abs(sound).max(initial=0.0))
    if not SILENT_PEAK <= peak < np.inf:
        return None
    gain = min(max(peak, MIN_PEAK), MAX_PEAK) / peak
    return np.round(sound * (gain * np.iinfo(np.int16).max)).astype(np.int16)


def merge(parts: Iterable[Path], folder: Path) -> None:
    """Put pools together, one behind the other; what is in several stays in the first."""
    with ClipWriter(folder) as writer:
        for part in parts:
            pool = ClipPool.open(part)
            for index, clip in enumerate(pool.clips):
                writer.add(clip.source, clip.recording, clip.licence, pool.samples(index))
