from __future__ import annotations

import re
from pathlib import Path

import pytest

from benchmarks.cost_report import BLOCKS, Subject

DOCUMENT = Path(__file__).parents[2] / "docs" / "costs.md"


@pytest.mark.parametrize("name", BLOCKS)
def test_table_of_costs_is_that_of_the_template_the_measurements_and_the_prices(name: str) -> None:
    """`make costs` updates the tables."""
    block = (
        f"<!-- {name}: written by `make costs` -->\n\n{BLOCKS[name](Subject.read())}\n\n<!-- {name}: end -->"
    )
    assert block in DOCUMENT.read_text(encoding="utf-8")


def test_document_has_no_other_blocks() -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    assert re.findall(r"<!-- (\w+): written by `make costs` -->", text) == list(BLOCKS)
