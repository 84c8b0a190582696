"""Of all class probabilities, those that were asked for."""

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
    """One class, and how probable it is (0..1) that it is heard.  Several may be heard at once."""

    label_id: str
    label: str
    probability: float


class Selection:
    """Which predictions are wanted: checked once, applied to any number of sounds.

    Parameters
    ----------
    all_labels
        The model's classes.
    top_k
        How many at most; None for all.
    threshold
        The least probability; None for any.
    labels
        Consider these classes only (names or ids, any case); None for all.  Chosen before the best are.

    Attributes
    ----------
    classes
        Those that are considered, in the model's order.

    Raises
    ------
    InvalidParameterError, UnknownLabelError
        If an argument is out of its range, or no class has such a name.
    """

    def __init__(
        self,
        all_labels: LabelSet,
        *,
        top_k: int | None = TOP_K,
        threshold: float | None = None,
        labels: Iterable[str] | None = None,
    ) -> None:
        if top_k is not None and top_k < 1:
            raise InvalidParameterError(
                "top_k", f"{top_k} classes cannot be given", hint="Ask for 1 or more."
            )
        if threshold is not None and not 0 <= threshold <= 1:
            raise InvalidParameterError("threshold", f"{threshold} is no probability", hint="Give 0 to 1.")
        self._top_k = top_k
        self._threshold = 0.0 if threshold is None else threshold
        names = [labels] if isinstance(labels, str) else labels
        wanted = all_labels if names is None else {all_labels.find(name) for name in names}
        self.classes: list[Label] = sorted(wanted, key=lambda label: label.index)
        self._indices = np.array([label.index for label in self.classes], np.intp)

    def rank(self, probabilities: NDArray[np.float32]) -> list[Prediction]:
        """The wanted predictions of ``(classes,)`` probabilities, the most probable first."""
        wanted = probabilities[self._indices]
        best = np.argsort(-wanted, kind="stable")[: self._top_k]
        return [
            Prediction(self.classes[i].label_id, self.classes[i].name, float(wanted[i]))
            for i in best
            if wanted[i] >= self._threshold
        ]
