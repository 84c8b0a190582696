"""Find classes and groups of classes by name or id."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from functools import cached_property
from typing import Final, Generic, Protocol, TypeVar

from audio_classifier.errors import UnknownLabelError

SUGGESTIONS: Final = 3
MIN_WORD_LETTERS: Final = 3  # of a name, to be found within another word
MIN_SHARED: Final = 0.3  # of the letters of an unknown name, in words of the suggested one
MIN_SIMILARITY: Final = 0.75  # of words with a spelling mistake, by `difflib`
MAX_LETTERS: Final = 100  # of an unknown name that are compared

_WORD: Final = re.compile(rf"\w{{{MIN_WORD_LETTERS},}}")


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
        """Return the items whose name or id contains the text, ignoring case, spaces and punctuation."""
        wanted, squeezed = text.strip().casefold(), _squeezed(text)
        return list(
            dict.fromkeys(
                item
                for known, item in self._by_text.items()
                if wanted in known or (squeezed and squeezed in _squeezed(known))
            )
        )

    def _suggest(self, text: str) -> str:
        contained = self.search(text) if _squeezed(text) else []
        found = [*(item.name for item in contained), *self._with_shared_words(text), *self._misspelt(text)]
        names = list(dict.fromkeys(found))[:SUGGESTIONS]
        return f"Did you mean {' or '.join(repr(name) for name in names)}?" if names else ""

    @cached_property
    def _words(self) -> dict[str, list[str]]:
        """The words of each name."""
        return {item.name: _WORD.findall(item.name.casefold()) for item in self._by_text.values()}

    def _with_shared_words(self, text: str) -> list[str]:
        """Return the names that share words with the text: Bark and Dog with "dogs barking"."""
        squeezed = _squeezed(text[:MAX_LETTERS])
        shared = {name: _share_covered(squeezed, words) for name, words in self._words.items()}
        best = [name for name, share in shared.items() if share >= MIN_SHARED]
        return sorted(best, key=lambda name: (-shared[name], len(name)))

    def _misspelt(self, text: str) -> list[str]:
        """Return the names with a word that is almost a word of the text, or almost the text."""
        words: dict[str, list[str]] = {}
        for name, parts in self._words.items():
            for part in (name.casefold(), *parts):
                words.setdefault(part, []).append(name)
        wanted = dict.fromkeys(
            [text.strip().casefold()[:MAX_LETTERS], *_WORD.findall(text[:MAX_LETTERS].casefold())]
        )
        near = [
            match
            for one in wanted
            for match in difflib.get_close_matches(one, words, n=SUGGESTIONS, cutoff=MIN_SIMILARITY)
        ]
        return [name for match in near for name in words[match]]


def _squeezed(text: str) -> str:
    return re.sub(r"\W+", "", text.casefold())


def _share_covered(text: str, words: list[str]) -> float:
    """Return the share of a text's letters that are in words."""
    covered: set[int] = set()
    for word in words:
        covered.update(
            at for match in re.finditer(re.escape(word), text) for at in range(match.start(), match.end())
        )
    return len(covered) / max(1, len(text))
