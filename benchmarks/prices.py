"""Compute the price of a thousand clips on Lambda."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from benchmarks.costs import MB_PER_CPU, SIZES_MB
from benchmarks.documents import table
from benchmarks.limits import Results
from benchmarks.price_list import PRICES

USD_PER_GB_S: Final = PRICES["lambda_gb_s"].usd
USD_PER_REQUEST: Final = PRICES["lambda_request"].usd


def costs(results: Results) -> str:
    """Format the table of US dollars per thousand clips of ten seconds, by memory size."""
    values = results.values["costs"]
    models = dict.fromkeys(subject.split(", ")[0] for subject in values)

    def rows() -> Iterator[Sequence[str]]:
        for size_mb in SIZES_MB:
            cells: list[str] = []
            for model in models:
                subject = _measured_for(values, model, size_mb)
                cells += _cost_cells(results, subject, size_mb) if subject else ["", "does not fit"]
            note = "" if any(f", {size_mb} MB" in subject for subject in values) else ", upper bound"
            yield f"{size_mb} MB ({size_mb / MB_PER_CPU:.2f} CPUs){note}", *cells

    head = [
        cell for model in models for cell in (f"`{model}`, warm / cold request", "$ per 1,000, warm / cold")
    ]
    return table(("", *head), rows())


def _measured_for(values: Iterable[str], model: str, size_mb: int) -> str | None:
    """Return the subject of a size, or of the largest smaller size if this machine has too few CPUs."""
    sizes = sorted(int(subject.split()[1]) for subject in values if subject.startswith(f"{model}, "))
    fitting = [size for size in sizes if size <= size_mb]
    return f"{model}, {fitting[-1]} MB" if fitting else None


def _cost_cells(results: Results, subject: str, size_mb: int) -> list[str]:
    init_s, first_s, warm_s = (
        results.median("costs", subject, quantity) for quantity in ("init", "first", "warm")
    )

    def usd(seconds: float) -> float:
        billed_s = math.ceil(seconds * 1e3) / 1e3
        return 1000 * (billed_s * size_mb / 1024 * USD_PER_GB_S + USD_PER_REQUEST)

    cold_s = init_s + first_s
    return [f"{1e3 * warm_s:.0f} ms / {cold_s:.2f} s", f"{usd(warm_s):.5f} / {usd(cold_s):.4f}"]
