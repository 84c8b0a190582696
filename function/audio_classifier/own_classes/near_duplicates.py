"""Near-duplicates: examples whose embeddings are almost the same, such as copies of a recording."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

MIN_COSINE: Final = 0.98
ROWS: Final = 1024  # of the matrix of similarities that are computed at once


def near_duplicates(embeddings: NDArray[np.float32]) -> NDArray[np.intp]:
    """Return the pairs of examples whose cosine similarity exceeds 0.98, ``(pairs, 2)``, the lower first.

    Parameters
    ----------
    embeddings
        ``(examples, n)``.
    """
    norms = np.linalg.norm(embeddings, axis=1, keepdims=True)
    unit = embeddings / np.maximum(norms, np.finfo(np.float32).tiny)
    pairs = [np.empty((0, 2), np.intp)]
    for first in range(0, len(unit), ROWS):
        rows, columns = np.nonzero(unit[first : first + ROWS] @ unit[first:].T > MIN_COSINE)
        later = columns > rows
        pairs.append(np.stack([rows[later], columns[later]], axis=1) + first)
    return np.concatenate(pairs)


def touching(pairs: NDArray[np.intp], members: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return whether each example is a near-duplicate of a member, ``(examples,)``."""
    found = np.zeros_like(members)
    for one, other in (pairs.T, pairs.T[::-1]):
        found[other[members[one]]] = True
    return found
