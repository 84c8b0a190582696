"""Cross-validation by groups: each example is predicted by a head that has not learned from its group."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from audio_classifier.own_classes.fitting import fit_head
from audio_classifier.own_classes.near_duplicates import near, near_duplicates

MAX_FOLDS: Final = 5


@dataclass(frozen=True, slots=True)
class HeldOut:
    """Predictions for examples that the head has not learned from.

    Attributes
    ----------
    scores
        ``(examples, classes)`` probabilities.
    folds
        ``(examples,)``, the fold in which each was predicted.
    pairs
        Near-duplicates of different groups; see `near_duplicates`.
    left_out
        How often an example was left out of the training of a fold, because it is a near-duplicate of an
        example in the fold.
    """

    scores: NDArray[np.float32]
    folds: NDArray[np.intp]
    pairs: NDArray[np.intp]
    left_out: int


def cross_validate(
    features: NDArray[np.float32],
    present: NDArray[np.bool_],
    embeddings: NDArray[np.float32],
    groups: Sequence[str],
    *,
    seed: int,
) -> HeldOut | None:
    """Predict all examples in up to five folds; return None if there is only one group.

    Near-duplicates of the examples of a fold are left out of its training.

    Parameters
    ----------
    features, present
        See `fit_head`.
    embeddings
        By which near-duplicates are found; see `near_duplicates`.
    groups
        One per example.
    seed
        Of the assignment of groups to folds.
    """
    folds = assign_folds(present, groups, seed=seed)
    if folds.max() == 0:
        return None
    scores = np.empty(present.shape, np.float32)
    left_out = 0
    for fold in range(folds.max() + 1):
        tested = folds == fold
        duplicates = near(embeddings, tested)
        trained = ~tested & ~duplicates
        left_out += int(duplicates.sum())
        scores[tested] = fit_head(features[trained], present[trained]).from_features(features[tested])
    _, numbers = np.unique(np.array(groups), return_inverse=True)
    return HeldOut(scores, folds, near_duplicates(embeddings, numbers), left_out)


def assign_folds(present: NDArray[np.bool_], groups: Sequence[str], *, seed: int) -> NDArray[np.intp]:
    """Assign each group to a fold, so that each class is spread over the folds; return the examples' folds.

    The largest groups are assigned first, each to the fold that has the smallest share of its classes.
    Groups of the same size are in random order.
    """
    names, members = np.unique(np.array(groups), return_inverse=True)
    counted = np.column_stack([present, ~present.any(axis=1)]).astype(np.float64)  # with negatives as a class
    counts = np.zeros((len(names), counted.shape[1]))
    np.add.at(counts, members, counted)
    shares = counts / np.maximum(counts.sum(axis=0), 1)
    order = np.random.default_rng(seed).permutation(len(names))
    order = order[np.argsort(-shares.sum(axis=1)[order], kind="stable")]
    totals = np.zeros((min(MAX_FOLDS, len(names)), counts.shape[1]))
    folds = np.empty(len(names), np.intp)
    for group in order:
        loads = (totals * shares[group]).sum(axis=1)
        folds[group] = np.lexsort((totals.sum(axis=1), loads))[0]
        totals[folds[group]] += shares[group]
    return folds[members]
