"""Segments of consecutive patches, and the ten-patch inputs of the head that are drawn from them."""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from audio_classifier.constants import CLIP_PATCHES, PATCH_HOP_SAMPLES
from training.data.balance import CHUNK, Draw, sigmoid
from training.teacher.shards import ShardReader
from training.teacher.yamnet import TEACHER_CLASSES

SPLICED_SHARE: Final = 0.25  # of inputs that continue with a second segment


class Segments(NamedTuple):
    """Runs of consecutive patches of one clip or mixture.

    Attributes
    ----------
    first
        Row of each segment's first patch, ``(n,)``.
    patches
        Number of patches in each segment, ``(n,)``.
    """

    first: NDArray[np.intp]
    patches: NDArray[np.intp]

    def select(self, chosen: NDArray[np.bool_]) -> Segments:
        """Return the chosen segments."""
        return Segments(self.first[chosen], self.patches[chosen])


def find_segments(shard: ShardReader) -> Segments:
    """Split a shard into segments: a row of another clip, or not one hop after the last, begins a new one.

    Two successive mixtures become one segment if the same clip begins both and the second continues where the
    first ends, which is rare and harmless.
    """
    clip, offset = shard.clip[: shard.count], shard.offset[: shard.count]
    breaks = (np.diff(clip) != 0) | (np.diff(offset) != PATCH_HOP_SAMPLES)
    first = np.concatenate([[0], 1 + np.flatnonzero(breaks)])
    return Segments(first, np.diff(np.append(first, shard.count)))


def rows_of(
    segments: Segments, chosen: NDArray[np.intp], rng: np.random.Generator | None = None
) -> NDArray[np.intp]:
    """Return ten consecutive rows of each chosen segment, ``(n, 10)``; a short segment is repeated.

    With ``rng`` the rows begin at a random position, without it at the segment's beginning, as at inference.
    """
    patches = segments.patches[chosen, np.newaxis]
    spare = np.maximum(patches - CLIP_PATCHES, 0)
    start = np.zeros_like(spare) if rng is None else rng.integers(spare, endpoint=True)
    within = (start + np.arange(CLIP_PATCHES)) % np.maximum(patches, 1)
    return np.asarray(segments.first[chosen, np.newaxis] + within)


class SegmentSampler:
    """Draw batches of ten-patch inputs.

    Parameters
    ----------
    segments
        The segments to draw from.
    weights
        ``(n,)``, relative frequency of each segment.
    """

    def __init__(self, segments: Segments, weights: NDArray[np.float64]) -> None:
        self._segments = segments
        self._draw = Draw(weights)

    def batch(self, rng: np.random.Generator, size: int) -> NDArray[np.intp]:
        """Draw the rows of a batch, ``(size, 10)``; some inputs splice two segments."""
        first, second = (rows_of(self._segments, self._draw(rng, size), rng) for _ in range(2))
        cut = rng.integers(2, CLIP_PATCHES - 1, (size, 1))
        cut[rng.random(size) >= SPLICED_SHARE] = CLIP_PATCHES
        return np.asarray(np.where(np.arange(CLIP_PATCHES) < cut, first, second))


def pooled(scores: NDArray[np.float32]) -> NDArray[np.float32]:
    """Pool the teacher's scores over patches, from ``(..., patches, classes)`` to ``(..., classes)``.

    Linear softmax, ``sum p^2 / sum p`` (Wang et al., arXiv:1810.09050): close to the mean for continuous
    sounds and close to the maximum for single events, so that short events count.
    """
    return np.asarray(np.square(scores).sum(axis=-2) / np.maximum(scores.sum(axis=-2), 1e-6), np.float32)


def teacher_scores(shard: ShardReader) -> NDArray[np.float16]:
    """Load the teacher's probabilities of all patches into memory, ``(n, 521)``."""
    scores = np.empty((shard.count, TEACHER_CLASSES), np.float16)
    for start in range(0, shard.count, CHUNK):
        chunk = slice(start, min(start + CHUNK, shard.count))
        scores[chunk] = sigmoid(shard.logits[chunk])
    return scores
