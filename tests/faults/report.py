"""What a campaign injected, and what came out of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

COLUMNS: Final = ("inputs", "faults", "lost", "wrong", "crashes", "hangs", "worst stall", "memory")


@dataclass(slots=True)
class Outcome:
    """The row of a campaign.

    Attributes
    ----------
    inputs
        Files, requests, events, uploads or states.
    faults
        How many faults of each kind were injected.
    lost
        Inputs without a result at the end.
    wrong
        Inputs with a result or an answer other than the right one.
    crashes
        Processes that ended, apart from those that were killed on purpose.
    hangs
        Inputs without an answer in time.
    stall_s
        For how long the server did not answer a health check; None if there is no server.
    memory_bytes
        The highest memory use of the processes under test; None if not measured.
    findings
        A line for each loss, wrong result, crash and hang.
    """

    campaign: str
    inputs: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    lost: int = 0
    wrong: int = 0
    crashes: int = 0
    hangs: int = 0
    stall_s: float | None = None
    memory_bytes: int | None = None
    findings: list[str] = field(default_factory=list)

    def cells(self) -> list[str]:
        """Return the cells of the row."""
        counts = (self.inputs, self.faults.total(), self.lost, self.wrong, self.crashes, self.hangs)
        stall = "-" if self.stall_s is None else f"{1000 * self.stall_s:.0f} ms"
        memory = "-" if self.memory_bytes is None else f"{self.memory_bytes >> 20} MB"
        return [self.campaign, *(f"{count:,}" for count in counts), stall, memory]


def table(outcomes: Sequence[Outcome]) -> str:
    """Format all rows as a Markdown table, followed by the faults and the findings of each."""
    rows = [["campaign", *COLUMNS], *(outcome.cells() for outcome in outcomes)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["| " + " | ".join(map(str.ljust, row, widths)) + " |" for row in rows]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    for outcome in outcomes:
        faults = ", ".join(f"{count:,} {fault}" for fault, count in sorted(outcome.faults.items()))
        lines += ["", f"{outcome.campaign}: {faults}"] if faults else []
    lines += ["", *(f"{outcome.campaign}: {line}" for outcome in outcomes for line in outcome.findings)]
    return "\n".join(lines).rstrip()


def has_findings(outcomes: Sequence[Outcome]) -> bool:
    """Return whether anything was lost, wrong, crashed or hung."""
    return any(outcome.findings for outcome in outcomes)
