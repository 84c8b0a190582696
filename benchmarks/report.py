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
from benchmarks.cold import CPUS, MODELS
from benchmarks.documents import replace_block, table
from benchmarks.limits import Results, limits
from benchmarks.prices import costs
from benchmarks.warm import STAGES


def main() -> None:
    results = Results(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))
    folder = Path(sys.argv[2])
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "pictures").mkdir(exist_ok=True)
    drawn = pictures.draw(results.values, folder / "pictures")
    parts = {
        "Limits": limits(results),
        "Cold starts": cold(results),
        "Warm answers": f"{warm(results)}\n\n{stages(results)}",
        "Recordings, and many files": recordings(results),
        "Under load": load(results),
        "What was tried": tried(results),
        "Costs": costs(results),
    }
    machine = {
        **results.values["machine"],
        "threads": f"{CPUS} of networks, peers and the GEMM; 1 of numpy's BLAS in ours",
    }
    text = HEAD + table(("", ""), machine.items())
    for title, content in parts.items():
        picture = f"\n\n![{title}](pictures/{drawn[title]})" if title in drawn else ""
        text += f"\n\n## {title}\n\n{content}{picture}"
    (folder / "results.md").write_text(text + "\n", encoding="utf-8")
    for document in map(Path, sys.argv[3:]):
        replace_block(document, "stages", stages(results))
        replace_block(document, "tried", tried(results))
        replace_block(document, "costs", costs(results))


HEAD: Final = """# Benchmarks

Written by `make bench`, which measures all of it in one run, in turn: whatever else the machine did hit all
that is compared. Medians, with the least and the most behind them; of memory the most. It is the process' own
peak (`ru_maxrss`); MB are 10⁶ bytes. [docs/performance.md](../docs/performance.md) says what it means.

"""


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
    return table(
        ("ms", *STAGES.values(), "the rest", "together"),
        (
            (
                f"`{model}`",
                *(f"{1e3 * results.median('warm', model, stage):.1f}" for stage in STAGES),
                f"{1e3 * results.door(model):.1f}",
                f"{1e3 * results.median('warm', model):.1f}",
            )
            for model in MODELS
        ),
    )


def recordings(results: Results) -> str:
    """What is long, in S3, or many."""
    told = {"events": "events", "fetched_bytes": "bytes fetched", "requests": "requests"}
    hour_s = results.median("recordings", "timeline of an hour")
    rows = (
        (
            name,
            _seconds(values["seconds"]),
            # Of the process that reads from S3 most is the S3, which it runs, too.
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
        + f"\n\nA timeline hears {3600 / hour_s:,.0f} seconds in one; 200 files of 1 to 10 s are classified "
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


def tried(results: Results) -> str:
    """What was tried beside what was kept."""
    values = results.values["tried"]
    names = list(values)

    def told(name: str) -> str:
        error = f", off by {max(values[name]['error']):.0e}" if any(values[name].get("error", ())) else ""
        peak = f", {max(values[name]['peak_mb']):.0f} MB" if "peak_mb" in values[name] else ""
        return f"{name}: {_seconds(values[name]['seconds'])}{error}{peak}"

    return table(
        ("kept", "tried", "× as long"),
        (
            (told(kept), told(other), f"{results.ratio('tried', other, kept):.2f}")
            for kept, other in zip(names[::2], names[1::2], strict=True)
        ),
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
