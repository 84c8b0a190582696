"""Write the report of measured values: ``python -m benchmarks.report RESULTS FOLDER [DOCUMENT...]``.

Writes ``results.md`` and its pictures into the folder, and replaces the generated tables of the documents.
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
        "Comparison with the published pipeline": comparison(results),
        "Cold starts": cold(results),
        "Warm requests": f"{warm(results)}\n\n{stages(results)}",
        "Recordings and batches": recordings(results),
        "Load": load(results),
    }
    # Costs are not measured if this process must not limit CPUs; documents then keep their previous table.
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


# Sections of the report that documents repeat, and the names of their blocks.
BLOCKS: Final = {
    "Comparison with the published pipeline": "comparison",
    "Warm requests": "stages",
    "Costs": "costs",
}
HEAD: Final = """# Benchmarks

`make bench` writes this file. It measures all subjects interleaved in one run, so that other load on the
machine affects all of them alike. Times are medians, followed by minimum and maximum. Memory is the peak of
each process itself (`ru_maxrss`), the maximum of all rounds; MB are 10⁶ bytes.
[docs/performance.md](../docs/performance.md) explains the results.

"""


def comparison(results: Results) -> str:
    """Compare this package with the peers."""

    def times(section: str, name: str) -> str:
        unit, scale, digits = ("s", 1, 2) if section == "cold" else ("ms", 1e3, 0)
        times = f"{results.ratio(section, name, 'tensorflow'):.2f}" if "tensorflow" in names else ""
        return f"{scale * results.median(section, name):.{digits}f} {unit}, {times} ×"

    names = ["compact", "max-float32", *_peers(results)]
    return table(
        ("", "cold start and first response", "warm request", "peak memory"),
        (
            (
                _display_name(name),
                times("cold", name),
                times("warm", name),
                f"{results.worst('cold', name, 'peak_mb'):.0f} MB",
            )
            for name in names
        ),
    )


def cold(results: Results) -> str:
    """Format the time from process start to first response."""
    return table(
        ("", "first response", "of which until ready", "peak memory"),
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
    """Format the time of warm requests."""
    return table(
        ("", "time"),
        ((name, _seconds(values["seconds"])) for name, values in results.values["warm"].items()),
    )


def stages(results: Results) -> str:
    """Format the time of warm requests by stage."""
    quantities = (*STAGES, "other", "seconds")
    return table(
        ("ms", *STAGES.values(), "other", "total"),
        (
            (
                _display_name(name),
                *(f"{1e3 * results.median('warm', name, quantity):.1f}" for quantity in quantities),
            )
            for name in (*MODELS, *_peers(results))
        ),
    )


def recordings(results: Results) -> str:
    """Format the results of long recordings, S3 objects and batches."""
    units = {"events": "events", "files": "files", "fetched_bytes": "bytes fetched", "requests": "requests"}
    hour_s = results.median("recordings", "timeline of one hour")
    rows = (
        (
            name,
            # The measured process also runs the S3 server, so its time and memory are not meaningful.
            "" if "fetched_bytes" in values else _seconds(values["seconds"]),
            f"{max(values['peak_mb']):.0f} MB"
            if "peak_mb" in values and "fetched_bytes" not in values
            else "",
            ", ".join(f"{median(values[key]):,.0f} {text}" for key, text in units.items() if key in values),
        )
        for name, values in results.values["recordings"].items()
    )
    speedup = results.ratio("recordings", "short files, one at a time", "short files, in parallel")
    return (
        table(("", "time", "peak memory", "result"), rows)
        + f"\n\nA timeline processes {3600 / hour_s:,.0f} seconds of audio per second. "
        + f"Files of 1 to 10 s are classified {speedup:.2f} × as fast in parallel as one at a time."
    )


def load(results: Results) -> str:
    """Format throughput and latency by number of clients."""
    return table(
        ("clients", "requests per second", "p50", "p99", "errors"),
        (
            (
                clients,
                f"{median(values['requests_per_s']):.0f}",
                _seconds(values["p50_s"]),
                _seconds(values["p99_s"]),
                f"{sum(values['errors']):.0f}",
            )
            for clients, values in results.values["load"].items()
        ),
    )


def _peers(results: Results) -> list[str]:
    return [*filter(is_peer, results.values["cold"])]


def _display_name(name: str) -> str:
    """Return a model's name as code, and a peer's name in words."""
    return (
        name.replace("tensorflow", "TensorFlow").replace("pytorch", "PyTorch")
        if is_peer(name)
        else f"`{name}`"
    )


def _seconds(values: Sequence[float]) -> str:
    """Format the median, followed by minimum and maximum."""
    scale, unit, digits = (
        (1, "s", 2) if median(values) >= 1 else (1e3, "ms", 0 if median(values) >= 0.1 else 1)
    )
    middle, minimum, maximum = (
        f"{scale * value:.{digits}f}" for value in (median(values), min(values), max(values))
    )
    return f"{middle} {unit} ({minimum} … {maximum})"


if __name__ == "__main__":
    main()
