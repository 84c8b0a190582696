"""Find classes and groups of classes by name or id."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Final, Generic, Protocol, TypeVar

from audio_classifier.errors import UnknownLabelError

SUGGESTIONS: Final = 3


class Named(Protocol):
    """A class or a group."""

    @property
    def name(self) -> str: ...


T = TypeVar("T", bound=Named)


class NameIndex(Generic[T]):
    """Items by their names and ids, ignoring case.

    Parameters
    ----------
    by_text
        The items by their case-folded names and ids.
    kind
        What errors call an item.
    """

    def __init__(self, by_text: Mapping[str, T], kind: str) -> None:
        self._by_text = by_text
        self._kind = kind
        self._max_parts = 1 + max((text.count(",") for text in by_text), default=0)

    def find(self, text: str, *, parameter: str = "label") -> T:
        """Find an item by name or id.

        Raises
        ------
        UnknownLabelError
            If there is no such item; the error names ``parameter``, and its hint suggests similar names.
        """
        item = self._by_text.get(text.strip().casefold())
        if item is None:
            raise UnknownLabelError(
                parameter, f"no {self._kind} is called {text!r}", hint=self._suggest(text)
            )
        return item

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

    def search(self, text: str) -> list[T]:
        """Return the items whose name or id contains the text, in their order."""
        wanted = text.strip().casefold()
        return list(dict.fromkeys(item for known, item in self._by_text.items() if wanted in known))

    def _suggest(self, text: str) -> str:
        near = difflib.get_close_matches(text.strip().casefold(), self._by_text, n=SUGGESTIONS)
        found = [*(self.search(text) if text.strip() else ()), *(self._by_text[match] for match in near)]
        names = list(dict.fromkeys(item.name for item in found))[:SUGGESTIONS]
        return f"Did you mean {' or '.join(repr(name) for name in names)}?" if names else ""
