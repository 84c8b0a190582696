"""Near-duplicates: examples whose embeddings are almost the same, such as copies of a recording."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

MIN_COSINE: Final = 0.98
MAX_PAIRS: Final = 10_000
ROWS: Final = 1024  # of the matrix of similarities that are computed at once


def near_duplicates(embeddings: NDArray[np.float32], groups: NDArray[np.intp]) -> NDArray[np.intp]:
    """Return the pairs of examples of different groups whose cosine similarity exceeds 0.98.

    Parameters
    ----------
    embeddings
        ``(examples, n)``.
    groups
        ``(examples,)``, the number of the group of each.

    Returns
    -------
    ``(pairs, 2)``, the lower number first; the first 10,000 pairs if there are more.
    """
    unit = _unit(embeddings)
    found: list[NDArray[np.intp]] = [np.empty((0, 2), np.intp)]
    count = 0
    for first in range(0, len(unit), ROWS):
        rows, columns = np.nonzero(unit[first : first + ROWS] @ unit[first:].T > MIN_COSINE)
        pairs = np.stack([rows, columns], axis=1)[columns > rows] + first
        found.append(pairs[groups[pairs[:, 0]] != groups[pairs[:, 1]]])
        count += len(found[-1])
        if count >= MAX_PAIRS:
            break
    return np.concatenate(found)[:MAX_PAIRS]


def near(embeddings: NDArray[np.float32], members: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return which examples are not members, but near-duplicates of one, ``(examples,)``.

    Parameters
    ----------
    embeddings
        ``(examples, n)``.
    members
        ``(examples,)``.
    """
    unit = _unit(embeddings)
    others = np.flatnonzero(~members)
    found = np.zeros(len(unit), np.bool_)
    for first in range(0, len(others), ROWS):
        rows = others[first : first + ROWS]
        found[rows] = (unit[rows] @ unit[members].T > MIN_COSINE).any(axis=1)
    return found


def _unit(embeddings: NDArray[np.float32]) -> NDArray[np.float32]:
    norms = np.linalg.norm(embeddings, axis=1, keepdims=True)
    return np.asarray(embeddings / np.maximum(norms, np.finfo(np.float32).tiny), np.float32)
