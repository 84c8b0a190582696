from __future__ import annotations

from pathlib import Path

import pytest

from tests.docs.format_table import measured_table

DOCUMENT = Path(__file__).parents[2] / "docs" / "formats.md"


def test_table_of_formats_equals_what_is_read() -> None:
    """`make formats` updates the table."""
    pytest.importorskip("av", reason="the extra formats is not installed")
    assert measured_table() in DOCUMENT.read_text(encoding="utf-8")
