"""Select the requested predictions from the probabilities of all classes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from audio_classifier.constants import TOP_K
from audio_classifier.errors import InvalidParameterError
from audio_classifier.model.labels import Label, LabelSet


@dataclass(frozen=True, slots=True)
class Prediction:
    """A class and its probability (0..1).  Several classes may be present at once."""

    label_id: str
    label: str
    probability: float


class Selection:
    """Which predictions to return: checked once, applied to any number of recordings.

    Parameters
    ----------
    all_labels
        The model's classes; in a `GroupedLabelSet`, a name also stands for the classes below it.
    top_k
        The maximum number of predictions; None for all.
    threshold
        The minimum probability; None for 0.
    labels
        Names or ids of the classes to consider, in any case; None for all.  The filter is applied before
        ``top_k``.
    exclude
        Names or ids of the classes to omit, even if ``labels`` contains them; also before ``top_k``.
    minimums
        The minimum probability of each class, ``(classes,)``, in addition to ``threshold``; None for 0.

    Attributes
    ----------
    classes
        The classes that are considered, in the model's order.
    excluded
        The classes that ``exclude`` names, in the model's order.

    Raises
    ------
    InvalidParameterError, UnknownLabelError
        If an argument is out of range, or no class has such a name.
    """

    def __init__(
        self,
        all_labels: LabelSet,
        *,
        top_k: int | None = TOP_K,
        threshold: float | None = None,
        labels: Iterable[str] | None = None,
        exclude: Iterable[str] | None = None,
        minimums: NDArray[np.float64] | None = None,
    ) -> None:
        if top_k is not None and top_k < 1:
            raise InvalidParameterError("top_k", f"must be at least 1, got {top_k}")
        if threshold is not None and not 0 <= threshold <= 1:
            raise InvalidParameterError("threshold", f"must be a probability from 0 to 1, got {threshold}")
        self._top_k = top_k
        considered = None if labels is None else _indices(all_labels, labels, "label")
        omitted = _indices(all_labels, () if exclude is None else exclude, "exclude")
        self.classes: list[Label] = [
            label
            for label in all_labels
            if (considered is None or label.index in considered) and label.index not in omitted
        ]
        self.excluded: list[Label] = [all_labels[index] for index in sorted(omitted)]
        self._indices = np.array([label.index for label in self.classes], np.intp)
        own_minimums = 0.0 if minimums is None else minimums[self._indices]
        self._minimums = np.maximum(np.full(len(self.classes), threshold or 0.0), own_minimums)

    def rank(self, probabilities: NDArray[np.float32]) -> list[Prediction]:
        """Return the selected predictions of ``(classes,)`` probabilities, the most probable first."""
        selected = probabilities[self._indices]
        best = np.argsort(-selected, kind="stable")[: self._top_k]
        return [
            Prediction(self.classes[i].label_id, self.classes[i].name, float(selected[i]))
            for i in best
            if selected[i] >= self._minimums[i]
        ]


def _indices(all_labels: LabelSet, names: Iterable[str], parameter: str) -> set[int]:
    """Return the indices of the classes that the names stand for."""
    texts = [names] if isinstance(names, str) else names
    return {label.index for text in texts for label in all_labels.members(text, parameter=parameter)}
