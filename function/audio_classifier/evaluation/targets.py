"""Targets: the labels of recordings, each with the classes of a model that count as right for it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from audio_classifier.errors import UnknownLabelError
from audio_classifier.evaluation.recordings import invalid, read_table, split_labels
from audio_classifier.model.labels import Label, LabelSet


@dataclass(frozen=True, slots=True)
class Target:
    """A label and the names or ids of the classes that count as right for it."""

    label: str
    classes: tuple[str, ...]


def read_mapping(path: Path) -> dict[str, Target]:
    """Read a CSV file with the columns ``label`` and ``class``; return targets by their casefolded label.

    A label may occur in several rows; a row may have several classes, separated by semicolons.

    Raises
    ------
    InvalidParameterError, OSError
        If it is not such a file, or cannot be read.
    """
    targets: dict[str, Target] = {}
    for line, row in read_table(path, "label", "class"):
        classes = split_labels(row["class"])
        if not row["label"] or not classes:
            invalid(path, line, "expected a label and a class")
        target = targets.get(row["label"].casefold(), Target(row["label"], ()))
        merged = tuple(dict.fromkeys([*target.classes, *classes]))
        targets[row["label"].casefold()] = Target(target.label, merged)
    return targets


def find_targets(
    labels: Iterable[str], mapping: Mapping[str, Target], known: LabelSet
) -> tuple[list[Target], dict[str, int]]:
    """Find the target of each label; labels that are not in the mapping are names or ids of classes.

    Returns
    -------
    targets, positions
        The targets, and the position of the target of each label.

    Raises
    ------
    UnknownLabelError
        If a label is neither in the mapping nor a class.
    """
    targets: dict[Target, int] = {}
    positions = {}
    for label in labels:
        target = mapping.get(label.casefold())
        if target is None:
            name = _find(known, label).name
            target = Target(name, (name,))
        positions[label] = targets.setdefault(target, len(targets))
    return [*targets], positions


class TargetColumns:
    """The classes of all targets, as columns of a model's probabilities.

    Parameters
    ----------
    targets
        At least one.
    known
        The model's classes.

    Raises
    ------
    UnknownLabelError
        If the model has no such class.
    """

    def __init__(self, targets: Sequence[Target], known: LabelSet) -> None:
        self.classes: list[list[Label]] = [
            list(dict.fromkeys(_find(known, name) for name in target.classes)) for target in targets
        ]
        self._columns = np.array([label.index for found in self.classes for label in found], np.intp)
        self._starts = np.cumsum([0, *(len(found) for found in self.classes)])[:-1]

    def scores(self, probabilities: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the highest probability of each target's classes, ``(targets,)``."""
        return np.maximum.reduceat(probabilities[self._columns], self._starts)

    def among_top(self, probabilities: NDArray[np.float32], count: int) -> NDArray[np.bool_]:
        """Return whether a class of each target is among the ``count`` most probable of all classes."""
        top = np.argsort(-probabilities, kind="stable")[:count]
        return np.logical_or.reduceat(np.isin(self._columns, top), self._starts)


def _find(known: LabelSet, text: str) -> Label:
    try:
        return known.find(text)
    except UnknownLabelError as error:
        hint = f"{error.hint} Or map the label to classes with --map.".lstrip()
        raise UnknownLabelError("labels", error.reason, hint=hint) from error
