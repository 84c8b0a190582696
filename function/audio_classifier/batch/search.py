"""Find the patches that are most similar to a recording, in a file of embeddings of any size."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from audio_classifier.batch.stored_embeddings import StoredEmbeddings
from audio_classifier.constants import PATCH_S
from audio_classifier.errors import InvalidParameterError, StartBeyondEndError
from audio_classifier.inference.embeddings import Embeddings

BLOCK_ROWS: Final = 8192  # 1 MiB of codes, 4 MiB of values
TOP_MATCHES: Final = 10
TINY: Final = np.float32(1e-30)  # the least length of a vector, which prevents division by zero


@dataclass(frozen=True, slots=True)
class Match:
    """A patch: its recording, where it begins in seconds, and the cosine of its angle to the query."""

    file: str
    start_s: float
    similarity: float


def query_vector(embeddings: Embeddings, time_s: float | None = None) -> NDArray[np.float32]:
    """Return what to search for: the mean of all patches, or the patch at a time.

    Returns
    -------
    ``(128,)`` float32.

    Raises
    ------
    InvalidParameterError
        If the time is negative.
    StartBeyondEndError
        If the recording ends before it.  A time in an incomplete patch at the end stands for the last patch.
    """
    if time_s is None:
        return np.asarray(embeddings.values.mean(axis=0), np.float32)
    if time_s < 0:
        raise InvalidParameterError("query", f"the time must be at least 0 s, got {time_s:g} s")
    starts_s = embeddings.start_s
    number = int(np.searchsorted(starts_s, time_s, side="right")) - 1
    if time_s >= starts_s[-1] + 2 * PATCH_S:
        raise StartBeyondEndError(
            f"the time, {time_s:g} s, is beyond the end of the recording, "
            f"whose last patch begins at {starts_s[-1]:g} s"
        )
    return np.asarray(embeddings.values[number], np.float32)


def most_similar(
    query: NDArray[np.float32], stored: StoredEmbeddings, *, top_k: int = TOP_MATCHES
) -> list[Match]:
    """Return the ``top_k`` patches with the highest cosine similarity to a query of ``(128,)`` values.

    The first patch in the file comes first if several are equally similar.  The file is read in blocks, so
    that memory does not grow with its size.

    Raises
    ------
    InvalidParameterError
        If ``top_k`` is not positive, or the file is damaged.
    """
    if top_k < 1:
        raise InvalidParameterError("top_k", f"must be at least 1, got {top_k}")
    direction = query / np.maximum(np.linalg.norm(query), TINY)
    best = np.empty(0, np.float32)  # similarities, in descending order, and the rows that they belong to
    best_start_s, best_file = np.empty(0), np.empty(0, np.int32)
    with closing(stored.blocks(BLOCK_ROWS)) as blocks:
        for rows in blocks:
            found = np.concatenate([best, _similarities(Embeddings(rows.start_s, rows.codes), direction)])
            order = np.argsort(-found, kind="stable")[:top_k]
            best = found[order]
            best_start_s = np.concatenate([best_start_s, rows.start_s])[order]
            best_file = np.concatenate([best_file, rows.file_index])[order]
    matches = zip(best_file.tolist(), best_start_s.tolist(), best.tolist(), strict=True)
    return [Match(stored.files[file], start_s, similarity) for file, start_s, similarity in matches]


def _similarities(embeddings: Embeddings, direction: NDArray[np.float32]) -> NDArray[np.float32]:
    values = embeddings.values
    norms = np.sqrt(np.einsum("ij,ij->i", values, values))
    similarities = values @ direction / np.maximum(norms, TINY)
    return np.asarray(similarities.clip(-1, 1))  # rounding can exceed 1
