"""Segments of consecutive patches, and the ten-patch inputs of the head that are drawn from them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from audio_classifier.constants import CLASSES, CLIP_PATCHES, PATCH_HOP_SAMPLES
from training.data.balance import CHUNK, Draw, sigmoid
from training.teacher.shards import ShardReader
from training.teacher.yamnet import as_audioset, known_classes

SPLICED_SHARE: Final = 0.25  # of inputs that continue with a second segment
# The clip teacher's scores are lower than the share of recordings in which it is right; its logits are
# therefore raised.
CLIP_LOGIT_OFFSET: Final = 1.0
SMALLEST_SCORE: Final = 1e-6


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


class Rows(NamedTuple):
    """The rows of ten-patch inputs.

    Attributes
    ----------
    patches
        The row of each patch, ``(n, 10)``.
    begin
        The row that begins the ten patches from which each patch is, ``(n, 10)``: one and the same for an
        input from one segment.
    """

    patches: NDArray[np.intp]
    begin: NDArray[np.intp]


def rows_of(segments: Segments, chosen: NDArray[np.intp], rng: np.random.Generator | None = None) -> Rows:
    """Return ten consecutive rows of each chosen segment; a short segment is repeated.

    With ``rng`` the rows begin at a random position, without it at the segment's beginning, as at inference.
    """
    patches = segments.patches[chosen, np.newaxis]
    spare = np.maximum(patches - CLIP_PATCHES, 0)
    start = np.zeros_like(spare) if rng is None else rng.integers(spare, endpoint=True)
    within = (start + np.arange(CLIP_PATCHES)) % np.maximum(patches, 1)
    rows = segments.first[chosen, np.newaxis] + within
    return Rows(rows, np.repeat(rows[:, :1], CLIP_PATCHES, axis=1))


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

    def batch(self, rng: np.random.Generator, size: int) -> Rows:
        """Draw the rows of a batch; some inputs splice two segments."""
        first, second = (rows_of(self._segments, self._draw(rng, size), rng) for _ in range(2))
        cut = rng.integers(2, CLIP_PATCHES - 1, (size, 1))
        cut[rng.random(size) >= SPLICED_SHARE] = CLIP_PATCHES
        of_first = np.arange(CLIP_PATCHES) < cut
        return Rows(
            np.where(of_first, first.patches, second.patches), np.where(of_first, first.begin, second.begin)
        )


def pooled(scores: NDArray[np.float32]) -> NDArray[np.float32]:
    """Pool the teacher's scores over patches, from ``(..., patches, classes)`` to ``(..., classes)``.

    Linear softmax, ``sum p^2 / sum p`` (Wang et al., arXiv:1810.09050): close to the mean for continuous
    sounds and close to the maximum for single events, so that short events count.
    """
    return np.asarray(np.square(scores).sum(axis=-2) / np.maximum(scores.sum(axis=-2), 1e-6), np.float32)


class TeacherScores:
    """The teachers' probabilities of all patches, in memory.

    Parameters
    ----------
    shards
        All of them with a clip teacher's labels, or none.

    Attributes
    ----------
    patches
        ``(n, 521)`` float16, by YAMNet.
    clips
        ``(n, 527)`` float16, by the clip teacher, of the ten patches that begin with each; None without it.
    """

    def __init__(self, shards: Sequence[ShardReader]) -> None:
        clip_logits = [shard.clip_logits for shard in shards]
        counts = [shard.count for shard in shards]
        self.patches = _probabilities([shard.logits for shard in shards], counts)
        present = [logits for logits in clip_logits if logits is not None]
        self.clips = _probabilities(present, counts) if len(present) == len(shards) else None

    @property
    def classes(self) -> NDArray[np.intp]:
        """The classes that a teacher knows, ascending."""
        return known_classes() if self.clips is None else np.arange(CLASSES)

    def targets(self, rows: Rows) -> NDArray[np.float32]:
        """Return the probabilities of ten-patch inputs, ``(n, 527)``; see `combined`."""
        patches = pooled(self.patches[rows.patches].astype(np.float32))
        clips = None if self.clips is None else pooled(self.clips[rows.begin].astype(np.float32))
        return combined(patches, clips)


def combined(patches: NDArray[np.float32], clips: NDArray[np.float32] | None) -> NDArray[np.float32]:
    """Combine the teachers' probabilities of ten-patch inputs: a class is present if either teacher finds it.

    This is the probability that not both are wrong, if their errors are independent.  On ESC-10 it is right
    more often than either teacher, and closer to the share of recordings in which a class is present than
    means of the teachers' scores.

    Parameters
    ----------
    patches
        ``(n, 521)``, YAMNet's.
    clips
        ``(n, 527)``, the clip teacher's; None if there is none.

    Returns
    -------
    ``(n, 527)``; of a class that YAMNet does not know, the clip teacher's, or zero if there is none.
    """
    scores = as_audioset(patches)
    if clips is None:
        return scores
    return np.asarray(1 - (1 - scores) * (1 - sigmoid(_logits(clips) + CLIP_LOGIT_OFFSET)), np.float32)


def _logits(scores: NDArray[np.float32]) -> NDArray[np.float32]:
    bounded = np.clip(scores, SMALLEST_SCORE, 1 - SMALLEST_SCORE)
    return np.asarray(np.log(bounded / (1 - bounded)), np.float32)


def _probabilities(logits: Sequence[NDArray[np.float16]], counts: Sequence[int]) -> NDArray[np.float16]:
    scores = np.empty((sum(counts), logits[0].shape[1]), np.float16)
    end = 0
    for part, count in zip(logits, counts, strict=True):
        for start in range(0, count, CHUNK):
            chunk = part[start : min(start + CHUNK, count)]
            scores[end : end + len(chunk)] = sigmoid(chunk)
            end += len(chunk)
    return scores
