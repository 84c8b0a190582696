"""Write the tables of docs/costs.md: ``python -m benchmarks.cost_report docs/costs.md``."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks import monthly_costs
from benchmarks.documents import replace_block, table
from benchmarks.monthly_costs import (
    COLD_SHARE,
    MEMORY_MB,
    ON_DEMAND,
    PROVISIONED,
    SNAPSTART,
    Bill,
    Durations,
    Stack,
    Start,
    line_usd,
    usd,
)
from benchmarks.price_list import free_table, price_table
from tests.infra.templates import IMAGE

ROOT: Final = Path(__file__).parents[1]
MODELS: Final = {"compact": "`compact`", "max-float32": "`max`"}
CLIPS: Final = tuple(COLD_SHARE)
LARGE_MB: Final = 8192
LARGEST: Final = 3  # lines that are named


@dataclass(frozen=True, slots=True)
class Subject:
    """What the tables compute with."""

    stack: Stack
    durations: Durations
    bundle_bytes: Mapping[str, float]

    @classmethod
    def read(cls) -> Subject:
        """Read the template and the measurements."""
        sizes = json.loads((ROOT / "assets" / "model_measurements.json").read_text(encoding="utf-8"))[
            "models"
        ]
        added = sizes["max"]["size_bytes"] - sizes["compact"]["size_bytes"]
        durations = Durations.read(ROOT / "benchmarks" / "results.md")
        return cls(Stack.of(IMAGE), durations, {"compact": 0, "max-float32": added})

    def idle(self, model: str) -> Bill:
        return monthly_costs.idle(self.stack, self.durations, self.bundle_bytes[model])

    def requests(self, model: str, clips: int) -> Bill:
        return monthly_costs.requests(self.durations, model, MEMORY_MB, clips)

    def uploads(self, model: str, clips: int) -> Bill:
        return monthly_costs.uploads(self.stack, self.durations, model, MEMORY_MB, clips)

    @property
    def columns(self) -> list[tuple[str, int]]:
        return [(model, clips) for model in MODELS for clips in CLIPS]


def idle_table(subject: Subject) -> str:
    """Format what a stack costs that nobody uses."""
    bills = [subject.idle(model) for model in MODELS]
    return table(("", *MODELS.values()), [*_lines(bills), _sum("total", [[bill] for bill in bills])])


def requests_table(subject: Subject) -> str:
    """Format what requests cost, with and without API Gateway."""
    columns = subject.columns
    bills = [subject.requests(*column) for column in columns]
    idle = [subject.idle(model) for model, _ in columns]
    gateways = {
        kind: [monthly_costs.gateway(kind, clips) for _, clips in columns] for kind in ("HTTP", "REST")
    }

    def rows() -> Iterator[Sequence[str]]:
        yield from _lines(bills)
        yield _sum("HTTP API", [[one] for one in gateways["HTTP"]])
        yield _sum("REST API", [[one] for one in gateways["REST"]])
        everything = list(zip(idle, bills, strict=True))
        yield _sum("**total with the idle stack, without API Gateway**", everything)
        for kind, gateway in gateways.items():
            with_api = [[*both, one] for both, one in zip(everything, gateway, strict=True)]
            yield _sum(f"**total with the idle stack and the {kind} API**", with_api)
            yield _sum(
                f"with the {kind} API, minus the [free allowances](#free-allowances)", with_api, free=True
            )

    return table(_head(columns), rows())


def uploads_table(subject: Subject) -> str:
    """Format what uploads cost."""
    columns = subject.columns
    bills = [subject.uploads(*column) for column in columns]
    everything = [[subject.idle(model), bill] for (model, _), bill in zip(columns, bills, strict=True)]
    return table(
        _head(columns),
        [
            *_lines(bills),
            _sum("**total with the idle stack**", everything),
            _sum("minus the [free allowances](#free-allowances)", everything, free=True),
        ],
    )


def largest_table(subject: Subject) -> str:
    """Format the largest lines of each bill."""

    def rows() -> Iterator[Sequence[str]]:
        for model, clips in subject.columns:
            idle = subject.idle(model)
            api = {**idle, **subject.requests(model, clips), **monthly_costs.gateway("HTTP", clips)}
            bills = {"requests, HTTP API": api, "uploads": {**idle, **subject.uploads(model, clips)}}
            for kind, bill in bills.items():
                total = usd([bill])
                lines = sorted(((line_usd(one), name) for name, one in bill.items()), reverse=True)[:LARGEST]
                named = ", ".join(f"{name} {100 * amount / total:.0f} %" for amount, name in lines)
                yield f"{MODELS[model]}, {clips:,} {kind}", _money(total), named

    return table(("a month", "total", "largest parts"), rows())


def memory_table(subject: Subject) -> str:
    """Format what the memory size changes."""
    durations = subject.durations

    def rows() -> Iterator[Sequence[str]]:
        for model in dict.fromkeys(model for model, _ in durations.warm_s):
            for memory_mb in (MEMORY_MB, LARGE_MB):
                warm_s, cold_s = (one[model, memory_mb] for one in (durations.warm_s, durations.cold_s))
                cpus = memory_mb / MEMORY_MB
                best_s = min(warm_s, monthly_costs.at_best_s(durations, model, cpus)) if cpus > 2 else warm_s
                yield (
                    f"`{model.removesuffix('-float32')}`",
                    f"{memory_mb} MB ({cpus:.2f} CPUs)",
                    _range(f"{1e3 * best_s:.0f}", f"{1e3 * warm_s:.0f}") + " ms",
                    f"{'at most ' if cpus > 2 else ''}{cold_s:.2f} s",
                    _range(_money(_million(best_s, memory_mb)), _money(_million(warm_s, memory_mb))),
                )

    return table(
        ("model", "memory", "warm request", "cold request", "Lambda, $ per million warm requests"), rows()
    )


def _million(seconds: float, memory_mb: int) -> float:
    return line_usd({"lambda_gb_s": 1e6 * round(seconds, 3) * memory_mb / 1024, "lambda_request": 1e6})


def starts_table(subject: Subject) -> str:
    """Format what starts cost without and with SnapStart, and with a provisioned instance."""
    durations = subject.durations

    def rows() -> Iterator[Sequence[str]]:
        for start in (ON_DEMAND, SNAPSTART, PROVISIONED):
            for memory_mb in (MEMORY_MB, LARGE_MB):
                fixed = usd([monthly_costs.capacity(start, memory_mb)])
                used = (
                    line_usd(monthly_costs.functions(durations, model, memory_mb, clips, start=start))
                    for model, clips in subject.columns
                )
                one = _start_usd(durations, memory_mb, start)
                yield f"{start}, {memory_mb} MB", _money(fixed), one, *(_money(fixed + each) for each in used)

    return table(("", "idle, a month", "a start, `compact` / `max`", *_head(subject.columns)[1:]), rows())


def _start_usd(durations: Durations, memory_mb: int, start: Start) -> str:
    """Return what one start costs in addition to a warm request, for both models."""
    if start == PROVISIONED:
        return ""
    if start == SNAPSTART:
        return f"{line_usd({'snapshot_restored_gb': memory_mb / 1024}):.6f}"
    more_s = [durations.cold_s[model, memory_mb] - durations.warm_s[model, memory_mb] for model in MODELS]
    return " / ".join(f"{line_usd({'lambda_gb_s': one * memory_mb / 1024}):.6f}" for one in more_s)


def source(subject: Subject) -> str:
    """Name the measurements."""
    durations, stack = subject.durations, subject.stack
    return (
        f"Durations: [benchmarks/results.md](../benchmarks/results.md), {durations.date}, "
        f"{durations.machine}.\n"
        f"Template: {stack.alarm_metrics} metrics in alarms, {stack.composite_alarms} composite alarm, "
        f"{stack.polled_queues} queues that Lambda polls, {stack.image_repositories} functions with "
        "an image.\n"
        f"An upload is stored for {stack.upload_days} days, as an old version at the end."
    )


BLOCKS: Final[Mapping[str, Callable[[Subject], str]]] = {
    "largest": largest_table,
    "source": source,
    "idle": idle_table,
    "requests": requests_table,
    "uploads": uploads_table,
    "memory": memory_table,
    "starts": starts_table,
    "free": lambda _: free_table(),
    "prices": lambda _: price_table(),
}


def _head(columns: Sequence[tuple[str, int]]) -> Sequence[str]:
    return "", *(f"{MODELS[model]}, {clips:,} clips" for model, clips in columns)


def _lines(bills: Sequence[Bill]) -> Iterator[Sequence[str]]:
    for name in bills[0]:
        yield name, *(_money(line_usd(bill[name])) for bill in bills)


def _sum(name: str, columns: Sequence[Sequence[Bill]], *, free: bool = False) -> Sequence[str]:
    return name, *(_money(usd(bills, free=free)) for bills in columns)


def _money(amount: float) -> str:
    return "< 0.01" if 0 < amount < 0.005 else f"{amount:,.2f}"


def _range(low: str, high: str) -> str:
    return high if low == high else f"{low} to {high}"


def main() -> None:
    subject = Subject.read()
    for name, content in BLOCKS.items():
        replace_block(Path(sys.argv[1]), name, content(subject))


if __name__ == "__main__":
    main()
