"""Embed all patches with the exported network, and fit the PCA that converts embeddings to 8-bit codes."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from audio_classifier.constants import EMBEDDING_SIZE, QUANTIZE_MAX, QUANTIZE_MIN
from audio_classifier.cpus import available_cpus
from audio_classifier.model.attention import Dense
from audio_classifier.model.bundle import hash_file
from audio_classifier.model.embedding import Embedder
from audio_classifier.model.postprocess import Postprocessor
from training.logs import Progress
from training.teacher.shards import ShardReader

BATCH_PATCHES: Final = 64
CODE_ZERO: Final = 128  # codes are dequantised as (code - 128) / 128
SMALLEST_VARIANCE: Final = 1e-4  # lower bound for a principal direction, to avoid amplifying noise
DEVIATION: Final = 0.5  # of a coded direction; codes end at +-2, which leaves room for rare large values


def embed_shard(model: Path, shard: ShardReader, cache: Path, progress: Progress) -> NDArray[np.float32]:
    """Embed all patches of a shard, ``(n, 128)`` float32, reusing embeddings that this model computed before.

    Parameters
    ----------
    model
        ``embedding.tflite``.
    shard
        The patches to embed.
    cache
        Path of the cache file without a suffix; the model's hash is appended to its name.
    progress
        Called after each batch.
    """
    path = cache.with_name(f"{cache.name}-{hash_file(model, 'sha256')[:8]}.npy")
    known = np.load(path) if path.exists() else np.empty((0, EMBEDDING_SIZE), np.float32)
    if len(known) >= shard.count:
        return np.asarray(known[: shard.count])
    embedder = Embedder(model, threads=available_cpus())
    parts = [known]
    for start in range(len(known), shard.count, BATCH_PATCHES):
        end = min(start + BATCH_PATCHES, shard.count)
        parts.append(embedder.embed(shard.mel[start:end].astype(np.float32)))
        progress(end, shard.count)
    embeddings = np.concatenate(parts)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    with partial.open("wb") as file:
        np.save(file, embeddings)
    partial.replace(path)
    return embeddings


def fit_pca(embeddings: NDArray[np.float32]) -> Postprocessor:
    """Fit the principal directions of ``(n, 128)`` embeddings, all scaled to the same deviation.

    Clipping at +-2 and quantising to 8 bits then suit all directions equally, as in VGGish's PCA.
    """
    means = embeddings.mean(axis=0, dtype=np.float64)
    variances, directions = np.linalg.eigh(np.cov(embeddings.T.astype(np.float64)))
    order = np.argsort(variances)[::-1]
    scale = np.sqrt(np.maximum(variances[order], SMALLEST_VARIANCE))
    eigenvectors = DEVIATION * (directions[:, order] / scale).T
    return Postprocessor(eigenvectors.astype(np.float32), means.astype(np.float32))


def layer_for_codes(classes: Dense, postprocessor: Postprocessor) -> Dense:
    """Convert a layer that takes embeddings into an equivalent layer that takes their dequantised codes.

    A code represents the middle of the interval that is truncated to it, ``(code + 1/2) * 4 / 255 - 2``.
    """
    step = (QUANTIZE_MAX - QUANTIZE_MIN) / 255
    back = np.linalg.inv(postprocessor.eigenvectors.astype(np.float64)).T @ classes.kernel
    middle = QUANTIZE_MIN + step * (CODE_ZERO + 0.5)
    bias = classes.bias + postprocessor.means @ classes.kernel + middle * back.sum(axis=0)
    return Dense((CODE_ZERO * step * back).astype(np.float32), bias.astype(np.float32))
