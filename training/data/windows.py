"""Cut windows of one patch from a pool, as the classifier does at inference."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from audio_classifier.constants import PATCH_HOP_SAMPLES, PATCH_SAMPLES
from training.data.clips import ClipPool

INT16_SCALE: Final = np.float32(1 / 32768)


def list_windows(pool: ClipPool, hop_samples: int = PATCH_SAMPLES) -> NDArray[np.int32]:
    """List all windows, ``(n, 2)`` int32: the clip's index, and the window's first sample in the clip.

    Consecutive windows of a clip are one hop apart; the last one ends with the clip. A clip shorter than a
    patch has one window.
    """
    rows = []
    for index, clip in enumerate(pool.clips):
        last = max(0, clip.samples - PATCH_SAMPLES)
        offsets = np.append(np.arange(0, last, hop_samples), last)
        rows.append(np.column_stack([np.full(len(offsets), index), offsets]))
    return np.concatenate(rows).astype(np.int32) if rows else np.empty((0, 2), np.int32)


def span_samples(patches: int) -> int:
    """Return the number of samples that consecutive patches cover."""
    return (patches - 1) * PATCH_HOP_SAMPLES + PATCH_SAMPLES


def cut(pool: ClipPool, clip: int, offset: int, samples: int = PATCH_SAMPLES) -> NDArray[np.float32]:
    """Return up to ``samples`` samples of a clip, float32 within +-1; fewer if the clip ends before."""
    return pool.samples(clip)[offset : offset + samples] * INT16_SCALE


def read_patch(pool: ClipPool, clip: int, offset: int) -> NDArray[np.float32]:
    """Return the samples of a window, ``(15,600,)`` float32; a shorter clip is repeated to fill it."""
    samples: NDArray[Any] = cut(pool, clip, offset)
    return np.resize(samples, PATCH_SAMPLES) if len(samples) < PATCH_SAMPLES else samples
