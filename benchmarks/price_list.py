"""AWS's prices, from aws_prices.json, and their tables."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from benchmarks.documents import table

_LIST: Final = json.loads(Path(__file__).with_name("aws_prices.json").read_text(encoding="utf-8"))
REGION: Final[str] = _LIST["region"]
DATE: Final[str] = _LIST["date"]


@dataclass(frozen=True, slots=True)
class Price:
    """A price.

    Attributes
    ----------
    service, item
        What it is charged for.
    usd
        US dollars for a unit.
    unit
        What is counted.
    page
        AWS's page with the price.
    confirmed
        Pages that state the same price.
    free
        Units that are free in each month, without an end.
    """

    service: str
    item: str
    usd: float
    unit: str
    page: str
    confirmed: Sequence[str]
    free: float = 0


PRICES: Final[Mapping[str, Price]] = {name: Price(**price) for name, price in _LIST["prices"].items()}


def price_table() -> str:
    """Format all prices, and where they were confirmed."""
    rows = (
        (price.service, price.item, _amount(price.usd), price.unit, _links(price.confirmed) or "no")
        for price in PRICES.values()
    )
    head = ("service", "charged", "price", "for each", "confirmed")
    return f"{table(head, rows)}\n\nPrices of {REGION}, {DATE}."


def free_table() -> str:
    """Format what is free in every month."""
    rows = (
        (price.service, price.item, f"{price.free:,.0f}", price.unit)
        for price in PRICES.values()
        if price.free
    )
    return table(("service", "charged", "free in each month", "unit"), rows)


def _amount(usd: float) -> str:
    return f"${usd:.10f}".rstrip("0").rstrip(".")


def _links(pages: Sequence[str]) -> str:
    return ", ".join(f"[{urlsplit(page).netloc.removeprefix('www.')}]({page})" for page in pages)
