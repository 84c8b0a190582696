"""The classes that a model distinguishes, by index, id and display name."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from audio_classifier.errors import BundleInvalidError
from audio_classifier.model.name_index import NameIndex

HEADER: Final = ("index", "mid", "display_name")


@dataclass(frozen=True, slots=True)
class Label:
    """One class: its index in the model's output, its id and its name.

    AudioSet's ids begin with ``/``; the id of an own class is its name.
    """

    index: int
    label_id: str
    name: str


class LabelSet:
    """The classes of one model, in the order of its output.

    Parameters
    ----------
    labels
        One per output, with ``labels[i].index == i``; names and ids must be unique, ignoring case.

    Raises
    ------
    BundleInvalidError
        If an index is out of order, or a name or id occurs twice or contains unprintable characters.
    """

    def __init__(self, labels: Sequence[Label]) -> None:
        self._labels = tuple(labels)
        by_text: dict[str, Label] = {}
        for position, label in enumerate(self._labels):
            if label.index != position:
                raise BundleInvalidError(f"labels: expected index {position}, got {label.index}")
            if not (label.label_id + label.name).isprintable():
                raise BundleInvalidError(f"labels: {label.name!r} contains unprintable characters")
            for text in {label.label_id.casefold(), label.name.casefold()}:
                if text in by_text:
                    raise BundleInvalidError(f"labels: {text!r} occurs twice")
                by_text[text] = label
        self._index = NameIndex(by_text, "class")

    @classmethod
    def read(cls, path: Path) -> LabelSet:
        """Read AudioSet's ``class_labels_indices.csv`` format: a header, then index, id and name.

        Raises
        ------
        BundleInvalidError
            If the file is not such a table.
        """
        try:
            with path.open(encoding="utf-8", newline="") as file:
                rows = csv.reader(file)
                if tuple(next(rows, ())) != HEADER:
                    raise BundleInvalidError(f"{path.name}: the header must be {','.join(HEADER)}")
                return cls([Label(int(index), label_id, name) for index, label_id, name in rows])
        except (ValueError, csv.Error) as error:  # UnicodeDecodeError is a ValueError
            raise BundleInvalidError(f"{path.name}: {error}") from error

    def __getitem__(self, index: int) -> Label:
        return self._labels[index]

    def __len__(self) -> int:
        return len(self._labels)

    def __iter__(self) -> Iterator[Label]:
        return iter(self._labels)

    def find(self, text: str, *, parameter: str = "label") -> Label:
        """Find a class by display name or id, ignoring case.

        Raises
        ------
        UnknownLabelError
            If there is no such class; the error names ``parameter``, and its hint suggests similar names.
        """
        return self._index.find(text, parameter=parameter)

    def members(self, text: str, *, parameter: str = "label") -> Sequence[Label]:
        """Return the classes that a name or id stands for: the one that `find` returns; raise its error."""
        return (self.find(text, parameter=parameter),)

    def split(self, text: str) -> list[str]:
        """Split a comma-separated list of names or ids.  See `NameIndex.split`."""
        return self._index.split(text)

    def search(self, text: str) -> list[Label]:
        """Return the classes whose name or id contains the text, ignoring case, in the model's order."""
        return self._index.search(text)
