"""From the values to what is read: ``python -m benchmarks.report RESULTS FOLDER [DOCUMENT...]``.

Writes ``results.md`` and its pictures into the folder, and tables into the documents' blocks.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Final

from benchmarks import pictures
from benchmarks.cold import MODELS, is_peer
from benchmarks.documents import replace_block, table
from benchmarks.limits import Results, limits
from benchmarks.prices import costs
from benchmarks.warm import STAGES


def main() -> None:
    results = Results(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))
    folder = Path(sys.argv[2])
    (folder / "pictures").mkdir(parents=True, exist_ok=True)
    drawn = pictures.draw(results.values, folder / "pictures")
    parts = {
        "Limits": limits(results),
        "Beside the published pipeline": beside(results),
        "Cold starts": cold(results),
        "Warm answers": f"{warm(results)}\n\n{stages(results)}",
        "Recordings, and many files": recordings(results),
        "Under load": load(results),
    }
    # Where the CPUs of others cannot be limited, there are no costs, and documents keep those they have.
    if results.values["costs"]:
        parts["Costs"] = costs(results)
    text = HEAD + table(("", ""), results.values["machine"].items())
    for title, content in parts.items():
        picture = f"\n\n![{title}](pictures/{drawn[title]})" if title in drawn else ""
        text += f"\n\n## {title}\n\n{content}{picture}"
    (folder / "results.md").write_text(text + "\n", encoding="utf-8")
    for document in map(Path, sys.argv[3:]):
        for title, block in BLOCKS.items():
            if title in parts:
                replace_block(document, block, stages(results) if block == "stages" else parts[title])


# Which parts of the report documents repeat, and what they call them.
BLOCKS: Final = {
    "Beside the published pipeline": "beside",
    "Warm answers": "stages",
    "Costs": "costs",
}
HEAD: Final = """# Benchmarks

Written by `make bench`, which measures all of it in one run, in turn: whatever else the machine did hit all
that is compared. Medians, with the least and the most behind them; of memory the most. It is the process' own
peak (`ru_maxrss`); MB are 10⁶ bytes. [docs/performance.md](../docs/performance.md) says what it means.

"""


def beside(results: Results) -> str:
    """What the same takes by us and by the peers."""

    def times(section: str, name: str) -> str:
        unit, scale, digits = ("s", 1, 2) if section == "cold" else ("ms", 1e3, 0)
        times = f"{results.ratio(section, name, 'tensorflow'):.2f}" if "tensorflow" in names else ""
        return f"{scale * results.median(section, name):.{digits}f} {unit}, {times} ×"

    names = ["compact", "max-float32", *_peers(results)]
    return table(
        ("", "start and first answer", "a warm answer", "peak memory"),
        (
            (
                _shown(name),
                times("cold", name),
                times("warm", name),
                f"{results.worst('cold', name, 'peak_mb'):.0f} MB",
            )
            for name in names
        ),
    )


def cold(results: Results) -> str:
    """Start of the process to the first answer."""
    return table(
        ("", "first answer", "of it, until ready", "peak memory"),
        (
            (
                name,
                _seconds(values["seconds"]),
                _seconds(values["init"]) if "init" in values else "",
                f"{max(values['peak_mb']):.0f} MB",
            )
            for name, values in results.values["cold"].items()
        ),
    )


def warm(results: Results) -> str:
    """Answers of processes that have been at work."""
    return table(
        ("", "an answer"),
        ((name, _seconds(values["seconds"])) for name, values in results.values["warm"].items()),
    )


def stages(results: Results) -> str:
    """Where a warm answer's time goes."""
    quantities = (*STAGES, "rest", "seconds")
    return table(
        ("ms", *STAGES.values(), "the rest", "together"),
        (
            (
                _shown(name),
                *(f"{1e3 * results.median('warm', name, quantity):.1f}" for quantity in quantities),
            )
            for name in (*MODELS, *_peers(results))
        ),
    )


def recordings(results: Results) -> str:
    """What is long, in S3, or many."""
    told = {"events": "events", "files": "files", "fetched_bytes": "bytes fetched", "requests": "requests"}
    hour_s = results.median("recordings", "timeline of an hour")
    rows = (
        (
            name,
            # The process that reads from S3 runs it, too.
            "" if "fetched_bytes" in values else _seconds(values["seconds"]),
            f"{max(values['peak_mb']):.0f} MB"
            if "peak_mb" in values and "fetched_bytes" not in values
            else "",
            ", ".join(f"{median(values[key]):,.0f} {text}" for key, text in told.items() if key in values),
        )
        for name, values in results.values["recordings"].items()
    )
    faster = results.ratio("recordings", "many files, one at a time", "many files, side by side")
    return (
        table(("", "", "peak memory", ""), rows)
        + f"\n\nA timeline hears {3600 / hour_s:,.0f} seconds in one; many files of 1 to 10 s are classified "
        + f"{faster:.2f} × as fast side by side."
    )


def load(results: Results) -> str:
    """Answers a second."""
    return table(
        ("clients", "answers a second", "half of them within", "99 of 100 within", "errors"),
        (
            (
                clients,
                f"{median(values['answers_per_s']):.0f}",
                _seconds(values["p50_s"]),
                _seconds(values["p99_s"]),
                f"{sum(values['errors']):.0f}",
            )
            for clients, values in results.values["load"].items()
        ),
    )


def _peers(results: Results) -> list[str]:
    return [*filter(is_peer, results.values["cold"])]


def _shown(name: str) -> str:
    """A model as what it is called; a peer in words."""
    return (
        name.replace("tensorflow", "TensorFlow").replace("pytorch", "PyTorch")
        if is_peer(name)
        else f"`{name}`"
    )


def _seconds(values: Sequence[float]) -> str:
    """The median, and the least and the most."""
    scale, unit, digits = (
        (1, "s", 2) if median(values) >= 1 else (1e3, "ms", 0 if median(values) >= 0.1 else 1)
    )
    middle, least, most = (
        f"{scale * value:.{digits}f}" for value in (median(values), min(values), max(values))
    )
    return f"{middle} {unit} ({least} … {most})"


if __name__ == "__main__":
    main()
