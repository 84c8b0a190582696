"""Write Markdown tables, and replace the generated blocks of documents."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Format a Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def replace_block(document: Path, name: str, content: str) -> None:
    """Replace the text between ``<!-- name: written by ... -->`` and ``<!-- name: end -->``.

    Raises
    ------
    ValueError
        If the document has no such block.
    """
    text = document.read_text(encoding="utf-8")
    begin = text.find(f"<!-- {name}: written by ")
    end = text.find(f"<!-- {name}: end -->")
    if not 0 <= begin < end:
        raise ValueError(
            f"{document} has no block {name}: "
            f"expected '<!-- {name}: written by ... -->' followed by '<!-- {name}: end -->'"
        )
    begin = text.index("-->", begin) + len("-->")
    document.write_text(f"{text[:begin]}\n\n{content}\n\n{text[end:]}", encoding="utf-8")
