"""Reduce a recording of any length, as it is read, to the resolution of a picture."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from audio_classifier.audio.front_end import VGGISH
from audio_classifier.inference.blocks import Block
from audio_classifier.inference.windows import Window
from audio_classifier.model.labels import Label

MAX_COLUMNS: Final = 1000  # even, and at most the width of a picture in pixels


class Columns:
    """Reduce any number of rows, as they are added, to at most `MAX_COLUMNS` columns of equally many rows.

    When the columns are full, pairs of neighbours are merged.  The last column may hold fewer rows.

    Parameters
    ----------
    reduce
        An associative function of two arrays, such as ``np.maximum``.
    """

    def __init__(self, reduce: np.ufunc) -> None:
        self._reduce = reduce
        self._columns: NDArray[Any] = np.empty(0)
        self._rows = 0
        self.step = 1
        """How many rows each column holds."""

    def add(self, rows: NDArray[Any]) -> None:
        """Add the next rows, ``(n, ...)``, all of one shape and type."""
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
        """The columns so far, ``(<= MAX_COLUMNS, ...)``."""
        return self._columns[: math.ceil(self._rows / self.step)]

    @property
    def counts(self) -> NDArray[np.intp]:
        """How many rows each column holds, the last one included."""
        return np.minimum(self.step, self._rows - np.arange(len(self.columns)) * self.step)


class AudioOverview:
    """Waveform and spectrogram of a recording; `add` is a `BlockObserver`.

    Attributes
    ----------
    start_s, end_s
        The stretch that was added.
    front_end
        How its log-mels were computed.
    """

    def __init__(self) -> None:
        self.start_s = self.end_s = 0.0
        self.front_end = VGGISH
        self._low, self._high, self._frames = (Columns(ufunc) for ufunc in (np.minimum, np.maximum, np.add))

    def add(self, block: Block) -> None:
        """Add the next block, which follows the one before without a gap."""
        front_end, frames = block.front_end, len(block.log_mel)
        samples = block.samples[: frames * front_end.hop_samples]
        if self.end_s == 0.0:
            self.start_s, self.front_end = block.start_s, front_end
        self.end_s = block.start_s + front_end.seconds(frames)
        self._low.add(samples)
        self._high.add(samples)
        # A short recording is repeated to fill a step: only the frames that begin within it count.
        self._frames.add(block.log_mel[: math.ceil(len(samples) / front_end.hop_samples)])

    def envelope(self) -> tuple[NDArray[np.float64], NDArray[Any], NDArray[Any]]:
        """Return edges in seconds ``(n + 1,)``, and the lowest and highest sample between them, ``(n,)``."""
        edges_s = self._edges_s(self._low, 1 / self.front_end.sample_rate_hz)
        return edges_s, self._low.columns, self._high.columns

    def log_mels(self) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
        """Return edges in seconds ``(n + 1,)``, and the mean log-mels between them, ``(n, bands)``."""
        means = self._frames.columns / self._frames.counts[:, np.newaxis]
        return self._edges_s(self._frames, self.front_end.seconds(1)), means.astype(np.float32)

    def _edges_s(self, columns: Columns, row_s: float) -> NDArray[np.float64]:
        return self.start_s + row_s * np.concatenate([[0], np.cumsum(columns.counts)])


@dataclass(frozen=True, slots=True)
class Track:
    """The probability of one class, ``(n,)`` over time."""

    label: str
    probabilities: NDArray[np.float32]

    @property
    def peak(self) -> float:
        """The highest probability."""
        return float(self.probabilities.max())

    @property
    def onset(self) -> int:
        """The first column that reaches half of the peak."""
        return int(np.argmax(self.probabilities >= self.peak / 2))


class ClassOverview:
    """Class probabilities over time; windows that share a column are represented by the highest."""

    def __init__(self, classes: Sequence[Label]) -> None:
        self._names = [label.name for label in classes]
        self._indices = np.array([label.index for label in classes], np.intp)
        self._probabilities, self._start_s = Columns(np.maximum), Columns(np.minimum)
        self._end_s = 0.0

    def add(self, window: Window) -> None:
        """Add the next window."""
        self._probabilities.add(window.probabilities[np.newaxis, self._indices])
        self._start_s.add(np.array([window.core_start_s]))
        self._end_s = window.core_end_s

    def edges_s(self) -> NDArray[np.float64]:
        """Return where columns begin, and where the last one ends, ``(n + 1,)``."""
        return np.append(self._start_s.columns, self._end_s)

    def tracks(self, top_k: int) -> list[Track]:
        """Return the classes of the highest peaks, in the order of their onsets."""
        tracks = [
            Track(name, probabilities)
            for name, probabilities in zip(self._names, self._probabilities.columns.T, strict=True)
        ]
        best = sorted(tracks, key=lambda track: -track.peak)[:top_k]
        return sorted(best, key=lambda track: track.onset)
