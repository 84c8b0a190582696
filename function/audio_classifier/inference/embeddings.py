"""Embeddings of the patches of a recording: the 8-bit codes that a model's heads read."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import closing
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from audio_classifier.audio.warnings import AudioWarning
from audio_classifier.constants import EMBEDDING_SIZE, PATCH_S
from audio_classifier.errors import NoEmbeddingError
from audio_classifier.inference.blocks import Block
from audio_classifier.model.network import Network
from audio_classifier.model.patch_network import PatchNetwork
from audio_classifier.model.postprocess import dequantize


@dataclass(frozen=True, slots=True)
class Embeddings:
    """The embeddings of consecutive patches of a recording, of which each lasts 0.975 s.

    Attributes
    ----------
    start_s
        ``(patches,)`` float64: where each patch begins, a multiple of 0.96 seconds.
    codes
        ``(patches, 128)`` uint8.
    """

    start_s: NDArray[np.float64]
    codes: NDArray[np.uint8]

    @property
    def values(self) -> NDArray[np.float32]:
        """The dequantized codes, ``(patches, 128)`` float32 from -1 to 127/128: ``(code - 128) / 128``."""
        return dequantize(self.codes)

    @property
    def end_s(self) -> float:
        """Where the last patch ends and a next one would begin; 0 if there are none."""
        return round(float(self.start_s[-1]) + PATCH_S, 2) if len(self.start_s) else 0.0

    @classmethod
    def consecutive(cls, codes: NDArray[np.uint8], *, first: int = 0) -> Self:
        """Add the start times of ``(patches, 128)`` codes, the first of which is patch number ``first``."""
        return cls(patch_starts_s(first, len(codes)), codes)


def patch_starts_s(first: int, count: int) -> NDArray[np.float64]:
    """Return the start times in seconds of ``count`` patches, from patch number ``first`` on."""
    return np.round(np.arange(first, first + count) * PATCH_S, 2)


def require_embeddings(network: Network, name: str) -> PatchNetwork:
    """Return a network that computes embeddings.

    Parameters
    ----------
    name
        The name of the bundle.

    Raises
    ------
    NoEmbeddingError
        If it computes none.
    """
    if isinstance(network, PatchNetwork):
        return network
    raise NoEmbeddingError(f"{name} has no embeddings: its network computes classes from clips directly")


def embed_blocks(
    blocks: Generator[Block | AudioWarning, None, None], network: PatchNetwork
) -> Generator[Embeddings | AudioWarning, None, None]:
    """Yield the embeddings of each block, and its warnings.  The blocks are closed with the stream."""
    patches = 0
    with closing(blocks):
        for item in blocks:
            if isinstance(item, AudioWarning):
                yield item
            else:
                codes = network.encode(item.log_mel)
                yield Embeddings.consecutive(codes, first=patches)
                patches += len(codes)


def joined(parts: list[Embeddings]) -> Embeddings:
    """Join the embeddings of consecutive blocks."""
    codes = [np.empty((0, EMBEDDING_SIZE), np.uint8), *(part.codes for part in parts)]
    return Embeddings.consecutive(np.concatenate(codes))
