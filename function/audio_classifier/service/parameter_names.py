"""Recognise misspelled names of parameters, which would otherwise be ignored."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import islice
from typing import Final

MIN_CHARACTERS: Final = 5  # of names in which one wrong character is recognised
MAX_NAMES: Final = 100  # of a request are compared, because comparing takes time
MAX_EXTRA_CHARACTERS: Final = 8  # such as [], - and _; longer names are not compared


def misspelled(names: Iterable[str], known: Mapping[str, str]) -> tuple[str, str] | None:
    """Find the first name that is nearly a known one: in case, punctuation or one character.

    Parameters
    ----------
    names
        The names of a request's parameters.
    known
        The parameters, by their names and by other names that people may use for them.

    Returns
    -------
    The name and the parameter that was probably meant; None if every name is known, or not similar to one.
    """
    plain_names = {_plain(name): parameter for name, parameter in known.items()}
    max_characters = max(map(len, known)) + MAX_EXTRA_CHARACTERS
    parameters = set(known.values())
    for name in islice(names, MAX_NAMES):
        if name in parameters or len(name) > max_characters:
            continue
        plain = _plain(name)
        for plain_name, parameter in plain_names.items():
            if plain == plain_name or (len(plain_name) >= MIN_CHARACTERS and _is_one_edit(plain, plain_name)):
                return name, parameter
    return None


def _plain(name: str) -> str:
    return "".join(filter(str.isalnum, name)).casefold()


def _is_one_edit(a: str, b: str) -> bool:
    """Return whether one character was added, left out or replaced, or two were swapped."""
    start = _common_characters(a, b)
    a, b = a[start:], b[start:]
    end = _common_characters(a[::-1], b[::-1])
    a, b = a[: len(a) - end], b[: len(b) - end]
    return max(len(a), len(b)) <= 1 or (len(a) == 2 and a == b[::-1])


def _common_characters(a: str, b: str) -> int:
    """Return how many characters at the beginning are equal."""
    for count, (left, right) in enumerate(zip(a, b, strict=False)):
        if left != right:
            return count
    return min(len(a), len(b))
