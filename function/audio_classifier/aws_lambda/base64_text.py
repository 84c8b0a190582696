"""Decode the base64 text in events."""

from __future__ import annotations

from typing import Any

import pybase64


def decode_base64(text: Any) -> bytes:
    """Decode base64 text, which may contain white space.

    Raises
    ------
    ValueError
        If it is something else; the message states what was found.
    """
    if not isinstance(text, str):
        raise ValueError(f"it is {type(text).__name__} instead of text")  # noqa: TRY004  # one error for all
    if text.startswith("data:"):
        raise ValueError("it is a data: URL, of which only the part after the comma is base64")
    return pybase64.b64decode("".join(text.split()), validate=True)
