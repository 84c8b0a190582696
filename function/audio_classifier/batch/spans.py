"""Keep parts of a file and remove the rest, safely even if the power fails meanwhile."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Final, TypeAlias

from audio_classifier.durability import sync_directory

Span: TypeAlias = tuple[int, int]  # the first byte, and the one after the last

COPY_BYTES: Final = 1 << 20


def add_span(spans: list[Span], span: Span) -> None:
    """Append a span, or extend the last one if they are adjacent."""
    if spans and spans[-1][1] == span[0]:
        spans[-1] = spans[-1][0], span[1]
    else:
        spans.append(span)


def keep_spans(path: Path, spans: list[Span]) -> None:
    """Reduce a file to some of its parts.

    Parameters
    ----------
    spans
        The parts, in order, and no two of them adjacent.

    Raises
    ------
    OSError
        If the file cannot be written; it is unchanged then.
    """
    if all(begin == 0 for begin, _ in spans):
        _truncate(path, spans[0][1] if spans else 0)
        return
    partial = path.with_name(f".{path.name}.partial")
    try:
        with path.open("rb") as source, partial.open("wb") as target:
            for begin, end in spans:
                source.seek(begin)
                while begin < end:
                    begin += target.write(source.read(min(COPY_BYTES, end - begin)))
            target.flush()
            os.fsync(target.fileno())
        shutil.copymode(path, partial)
        partial.replace(path)
        sync_directory(path.parent)
    finally:
        partial.unlink(missing_ok=True)


def _truncate(path: Path, size: int) -> None:
    with path.open("r+b") as file:
        if os.fstat(file.fileno()).st_size > size:
            file.truncate(size)
            os.fsync(file.fileno())  # before lines are appended, so that old and new ones are not mixed
