"""The classes that a model distinguishes, by index, id and display name."""

from __future__ import annotations

import csv
import difflib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from audio_classifier.errors import BundleInvalidError, UnknownLabelError

HEADER: Final = ("index", "mid", "display_name")
SUGGESTIONS: Final = 3


@dataclass(frozen=True, slots=True)
class Label:
    """One class: its index in the model's output, its AudioSet id and its English name."""

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
        self._by_text: dict[str, Label] = {}
        self._max_parts = 1 + max((label.name.count(",") for label in self._labels), default=0)
        for position, label in enumerate(self._labels):
            if label.index != position:
                raise BundleInvalidError(f"labels: expected index {position}, got {label.index}")
            if not (label.label_id + label.name).isprintable():
                raise BundleInvalidError(f"labels: {label.name!r} contains unprintable characters")
            for text in {label.label_id.casefold(), label.name.casefold()}:
                if text in self._by_text:
                    raise BundleInvalidError(f"labels: {text!r} occurs twice")
                self._by_text[text] = label

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

    def find(self, text: str) -> Label:
        """Find a class by display name or id, ignoring case.

        Raises
        ------
        UnknownLabelError
            If there is no such class; the hint of the error suggests similar names.
        """
        label = self._by_text.get(text.strip().casefold())
        if label is None:
            raise UnknownLabelError("label", f"no class is called {text!r}", hint=self._suggest(text))
        return label

    def split(self, text: str) -> list[str]:
        """Split a comma-separated list of names or ids, where names can contain commas themselves.

        Empty entries are dropped.  Unknown entries are kept, so that `find` reports them.
        """
        parts = text.split(",")
        names: list[str] = []
        start = 0
        while start < len(parts):
            for stop in range(min(start + self._max_parts, len(parts)), start, -1):
                name = ",".join(parts[start:stop]).strip()
                if stop == start + 1 or name.casefold() in self._by_text:
                    break
            names += [name] if name else []
            start = stop
        return names

    def search(self, text: str) -> list[Label]:
        """Return the classes whose name or id contains the text, ignoring case, in the model's order."""
        wanted = text.strip().casefold()
        return [
            label for label in self if wanted in label.name.casefold() or wanted in label.label_id.casefold()
        ]

    def _suggest(self, text: str) -> str:
        near = difflib.get_close_matches(text.strip().casefold(), self._by_text, n=SUGGESTIONS)
        found = [*(self.search(text) if text.strip() else ()), *(self._by_text[match] for match in near)]
        names = list(dict.fromkeys(label.name for label in found))[:SUGGESTIONS]
        return f"Did you mean {' or '.join(repr(name) for name in names)}?" if names else ""
