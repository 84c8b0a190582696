"""Ten patches as the head hears them: parts of clips, short ones repeated, or two behind each other."""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from audio_classifier.constants import CLIP_PATCHES, PATCH_HOP_SAMPLES
from training.data.balance import CHUNK, Draw, sigmoid
from training.teacher.shards import ShardReader
from training.teacher.yamnet import TEACHER_CLASSES

SPLICED_SHARE: Final = 0.25


class Segments(NamedTuple):
    """Runs of patches that follow each other in one sound.

    Attributes
    ----------
    first
        Row of the first patch, ``(n,)``.
    patches
        How many there are, ``(n,)``.
    """

    first: NDArray[np.intp]
    patches: NDArray[np.intp]

    def select(self, chosen: NDArray[np.bool_]) -> Segments:
        """Some of them."""
        return Segments(self.first[chosen], self.patches[chosen])


def find_segments(shard: ShardReader) -> Segments:
    """The runs of a shard: where a row is of another clip or does not begin where the last one ends.

    Two mixtures that one clip begins, the second where the first ends, become one run: rare, and no harm.
    """
    clip, offset = shard.clip[: shard.count], shard.offset[: shard.count]
    breaks = (np.diff(clip) != 0) | (np.diff(offset) != PATCH_HOP_SAMPLES)
    first = np.concatenate([[0], 1 + np.flatnonzero(breaks)])
    return Segments(first, np.diff(np.append(first, shard.count)))


def rows_of(
    segments: Segments, chosen: NDArray[np.intp], rng: np.random.Generator | None = None
) -> NDArray[np.intp]:
    """Ten rows of each chosen segment, ``(n, 10)``: from any place of a long one; a short one is repeated.

    Without ``rng`` from the beginning, as the product does.
    """
    patches = segments.patches[chosen, np.newaxis]
    spare = np.maximum(patches - CLIP_PATCHES, 0)
    start = np.zeros_like(spare) if rng is None else rng.integers(spare, endpoint=True)
    within = (start + np.arange(CLIP_PATCHES)) % np.maximum(patches, 1)
    return np.asarray(segments.first[chosen, np.newaxis] + within)


class SegmentSampler:
    """Draws batches of ten rows.

    Parameters
    ----------
    segments
        What to draw from.
    weights
        ``(n,)``, how often to take each.
    """

    def __init__(self, segments: Segments, weights: NDArray[np.float64]) -> None:
        self._segments = segments
        self._draw = Draw(weights)

    def batch(self, rng: np.random.Generator, sounds: int) -> NDArray[np.intp]:
        """``(sounds, 10)`` rows; some are of two segments behind each other."""
        first, second = (rows_of(self._segments, self._draw(rng, sounds), rng) for _ in range(2))
        cut = rng.integers(2, CLIP_PATCHES - 1, (sounds, 1))
        cut[rng.random(sounds) >= SPLICED_SHARE] = CLIP_PATCHES
        return np.asarray(np.where(np.arange(CLIP_PATCHES) < cut, first, second))


def pooled(scores: NDArray[np.float32]) -> NDArray[np.float32]:
    """The teacher on a whole sound: ``(..., patches, classes)`` scores -> ``(..., classes)``.

    Linear softmax, ``sum p^2 / sum p`` (Wang et al., arXiv:1810.09050): near the mean for what lasts, near
    the largest for what is heard once, so short events count.
    """
    return np.asarray(np.square(scores).sum(axis=-2) / np.maximum(scores.sum(axis=-2), 1e-6), np.float32)


def teacher_scores(shard: ShardReader) -> NDArray[np.float16]:
    """The teacher's probabilities of all patches, ``(n, 521)``, to have in memory."""
    scores = np.empty((shard.count, TEACHER_CLASSES), np.float16)
    for start in range(0, shard.count, CHUNK):
        chunk = slice(start, min(start + CHUNK, shard.count))
        scores[chunk] = sigmoid(shard.logits[chunk])
    return scores
