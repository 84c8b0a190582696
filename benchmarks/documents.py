"""Tables in documents, and what replaces them when they are measured anew."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table in Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def replace_block(document: Path, name: str, content: str) -> None:
    """Put something between ``<!-- name: ... -->`` and ``<!-- name: end -->``.

    Raises
    ------
    ValueError
        If the document has no such block.
    """
    text = document.read_text(encoding="utf-8")
    begin = text.find(f"<!-- {name}: written by ")
    end = text.find(f"<!-- {name}: end -->")
    if not 0 <= begin < end:
        raise ValueError(f"{document} has no block {name}")
    begin = text.index("-->", begin) + len("-->")
    document.write_text(f"{text[:begin]}\n\n{content}\n\n{text[end:]}", encoding="utf-8")
