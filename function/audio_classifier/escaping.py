"""Escape characters that could forge a line of a log, hide text or control a terminal.

Names of objects and files, labels and headers may contain any character.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import logging


def printable(text: str) -> str:
    r"""Replace unprintable characters by their escapes in Python, such as ``\n`` or ``\u202e``.

    These are control and format characters (such as bidirectional overrides), separators other than the
    space, surrogates and unassigned characters.  Backslashes are kept, so that a second call changes nothing.
    """
    return _escaped(text, ascii)


def printable_json(value: Any) -> str:
    """Serialise a value, as text if JSON does not represent it, in one line of printable characters."""
    text = json.dumps(value, default=str, separators=(",", ":"), ensure_ascii=False)
    return _escaped(text, json.dumps)


class PrintableRecords:
    """A filter for handlers of `logging`: the records that they write contain no control characters.

    A traceback keeps its lines; they are indented, so that none of them resembles another record.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Escape the message, its arguments (which uvicorn formats on its own) and the traceback."""
        if isinstance(record.args, tuple):
            record.args = tuple(map(_printable_argument, record.args))
        elif record.args:
            record.args = {name: _printable_argument(value) for name, value in record.args.items()}
        record.msg = printable(str(record.msg).rstrip())
        if record.exc_info and not record.exc_text:
            import logging

            lines = logging.Formatter().formatException(record.exc_info).split("\n")
            record.exc_text = "\n".join(f"  {printable(line)}" for line in lines)
        return True


def _printable_argument(argument: object) -> object:
    return argument if isinstance(argument, int | float) else printable(str(argument))


def _escaped(text: str, quoted: Callable[[str], str]) -> str:
    if text.isprintable():
        return text
    return "".join(character if character.isprintable() else quoted(character)[1:-1] for character in text)
