"""A recording of any length, reduced while it comes to what a picture of it can show."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from audio_classifier.audio.log_mel import Block
from audio_classifier.constants import HOP_SAMPLES, MEL_BANDS, PATCH_HOP_SAMPLES, PATCH_S, SAMPLE_RATE_HZ
from audio_classifier.inference.sound_events import Heard
from audio_classifier.model.labels import Label

MAX_COLUMNS: Final = 1000  # not more than a picture has pixels from left to right; even


class Columns:
    """Rows of any number, reduced as they come to at most `MAX_COLUMNS` columns of as many rows each.

    When there is no more room, neighbours are merged, two and two.  The last column may be of fewer rows.

    Parameters
    ----------
    reduce
        An associative function of two arrays, as ``np.maximum``.
    """

    def __init__(self, reduce: np.ufunc) -> None:
        self._reduce = reduce
        self._columns: NDArray[Any] = np.empty(0)
        self._rows = 0
        self.step = 1
        """How many rows make up one column."""

    def add(self, rows: NDArray[Any]) -> None:
        """The next rows, ``(n, ...)``, all of one shape and type."""
        if self._rows == 0:
            self._columns = np.empty((MAX_COLUMNS, *rows.shape[1:]), rows.dtype)
        while len(rows):
            if self._rows == MAX_COLUMNS * self.step:
                halves = self._reduce(self._columns[::2], self._columns[1::2])
                self._columns[: len(halves)] = halves
                self.step *= 2
            piece = rows[: MAX_COLUMNS * self.step - self._rows]
            column = (self._rows + np.arange(len(piece))) // self.step
            reduced = self._reduce.reduceat(piece, np.flatnonzero(np.diff(column, prepend=-1)), axis=0)
            if self._rows % self.step:
                reduced[0] = self._reduce(self._columns[column[0]], reduced[0])
            self._columns[column[0] : column[-1] + 1] = reduced
            self._rows += len(piece)
            rows = rows[len(piece) :]

    @property
    def columns(self) -> NDArray[Any]:
        """``(<= MAX_COLUMNS, ...)``, what there is so far."""
        return self._columns[: math.ceil(self._rows / self.step)]

    @property
    def counts(self) -> NDArray[np.intp]:
        """How many rows each column is made of."""
        return np.minimum(self.step, self._rows - np.arange(len(self.columns)) * self.step)


class SoundOverview:
    """What a sound looks like; its `add` is a `features.Watch`.

    Attributes
    ----------
    start_s, end_s
        From where to where it was heard.
    """

    def __init__(self) -> None:
        self.start_s = self.end_s = 0.0
        self._low, self._high, self._frames = (Columns(ufunc) for ufunc in (np.minimum, np.maximum, np.add))

    def add(self, block: Block) -> None:
        """The next block, which follows the one before without a gap."""
        samples = block.samples[: len(block.patches) * PATCH_HOP_SAMPLES]
        if self.end_s == 0.0:
            self.start_s = block.start_s
        self.end_s = block.start_s + len(block.patches) * PATCH_S
        self._low.add(samples)
        self._high.add(samples)
        # Of a sound that was repeated to fill a patch, those that begin within it.
        self._frames.add(block.patches.reshape(-1, MEL_BANDS)[: math.ceil(len(samples) / HOP_SAMPLES)])

    def envelope(self) -> tuple[NDArray[np.float64], NDArray[Any], NDArray[Any]]:
        """Edges in seconds ``(n + 1,)``; the least and the greatest sample between them, ``(n,)`` each."""
        edges_s = self._edges_s(self._low, 1 / SAMPLE_RATE_HZ)
        return edges_s, self._low.columns, self._high.columns

    def log_mels(self) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
        """Edges in seconds ``(n + 1,)``; the mean log-mels between them, ``(n, 64)``."""
        means = self._frames.columns / self._frames.counts[:, np.newaxis]
        return self._edges_s(self._frames, HOP_SAMPLES / SAMPLE_RATE_HZ), means.astype(np.float32)

    def _edges_s(self, columns: Columns, row_s: float) -> NDArray[np.float64]:
        return self.start_s + row_s * np.concatenate([[0], np.cumsum(columns.counts)])


@dataclass(frozen=True, slots=True)
class Track:
    """The probability of one class, ``(n,)`` over time."""

    label: str
    probabilities: NDArray[np.float32]

    @property
    def peak(self) -> float:
        """The highest."""
        return float(self.probabilities.max())

    @property
    def onset(self) -> int:
        """Where it first reaches half of that."""
        return int(np.argmax(self.probabilities >= self.peak / 2))


class ClassOverview:
    """How probable classes are over time; of windows that share a column, the highest probability."""

    def __init__(self, classes: Sequence[Label]) -> None:
        self._names = [label.name for label in classes]
        self._indices = np.array([label.index for label in classes], np.intp)
        self._probabilities, self._from_s = Columns(np.maximum), Columns(np.minimum)
        self._end_s = 0.0

    def add(self, heard: Heard) -> None:
        """The next window."""
        self._probabilities.add(heard.probabilities[np.newaxis, self._indices])
        self._from_s.add(np.array([heard.from_s]))
        self._end_s = heard.to_s

    def edges_s(self) -> NDArray[np.float64]:
        """Where columns begin, and where the last one ends, ``(n + 1,)``."""
        return np.append(self._from_s.columns, self._end_s)

    def tracks(self, top_k: int) -> list[Track]:
        """The classes that are most probable anywhere, in the order in which they begin."""
        tracks = [
            Track(name, probabilities)
            for name, probabilities in zip(self._names, self._probabilities.columns.T, strict=True)
        ]
        best = sorted(tracks, key=lambda track: -track.peak)[:top_k]
        return sorted(best, key=lambda track: track.onset)
