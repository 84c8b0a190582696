"""Recognise what a killed process or a power loss leaves of a result that was being written."""

from __future__ import annotations

from typing import Final

RESULT_START: Final = b'{"status"'
RESULT_END: Final = b"}\n"


def is_damaged(content: bytes) -> bool:
    """Return whether content that is not JSON is the remains of a result.

    These are the beginning of a result, and results with zeros where the file system had not written yet.
    Other content is that of another program or a person.
    """
    beginning, zero, _ = content.partition(b"\0")
    beginning = b"".join(beginning.split())[: len(RESULT_START)]
    if not RESULT_START.startswith(beginning) or not content.isascii():
        return False
    return bool(zero) or not content.endswith(RESULT_END)
