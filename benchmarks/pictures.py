"""Draw the plots of the report."""

from __future__ import annotations

from pathlib import Path
from statistics import median
from typing import Any, Final

import matplotlib as mpl

mpl.use("agg")
from matplotlib import pyplot as plt

from benchmarks.cold import MODELS, is_peer
from benchmarks.warm import STAGES

# Colours that remain distinguishable without colour vision (Okabe and Ito); grey for the lower bound.
PACKAGE, PEER, BOUND = "#0072B2", "#D55E00", "#999999"
COLOURS: Final = {"lower bound": BOUND, "this package": PACKAGE, "published pipeline": PEER}
STAGE_COLOURS: Final = ("#0072B2", "#56B4E9", "#E69F00", "#009E73", "#999999")


def draw(values: dict[str, Any], folder: Path) -> dict[str, str]:
    """Draw all plots; return their file names by the title of their section."""
    mpl.rcParams.update(
        {"font.size": 10, "axes.spines.top": False, "axes.spines.right": False, "figure.dpi": 110}
    )
    _bars(values["cold"], "seconds from process start to first response", folder / "cold.png")
    _stages(values["warm"], folder / "stages.png")
    _load(values["load"], folder / "load.png")
    return {"Cold starts": "cold.png", "Warm requests": "stages.png", "Load": "load.png"}


def _bars(subjects: dict[str, Any], label: str, path: Path) -> None:
    figure, axes = plt.subplots(figsize=(8, 0.36 * len(subjects) + 0.9), layout="constrained")
    for row, (name, measured) in enumerate(subjects.items()):
        seconds = measured["seconds"]
        colour = PEER if is_peer(name) else BOUND if name == "Python and numpy" else PACKAGE
        axes.barh(row, median(seconds), color=colour, height=0.65)
        axes.plot([min(seconds), max(seconds)], [row, row], "|-", color="black", markersize=5, alpha=0.6)
        axes.text(max(seconds), row, f"  {median(seconds):.2f} s", va="center")
    axes.set_yticks(range(len(subjects)), list(subjects))
    axes.invert_yaxis()
    axes.set_xlim(0, 1.12 * max(max(measured["seconds"]) for measured in subjects.values()))
    axes.set_xlabel(label)
    _explain(axes, COLOURS)
    figure.savefig(path)
    plt.close(figure)


def _stages(subjects: dict[str, Any], path: Path) -> None:
    names = (*MODELS, *filter(is_peer, subjects))
    figure, axes = plt.subplots(figsize=(8, 0.36 * len(names) + 1), layout="constrained")
    for row, name in enumerate(names):
        left = 0.0
        for quantity, colour in zip((*STAGES, "other"), STAGE_COLOURS, strict=True):
            part = 1e3 * median(subjects[name][quantity])
            axes.barh(row, part, left=left, color=colour, height=0.65)
            left += part
        axes.text(left, row, f"  {1e3 * median(subjects[name]['seconds']):.0f} ms", va="center")
    axes.set_yticks(range(len(names)), names)
    axes.invert_yaxis()
    axes.set_xlabel("milliseconds per warm request, ten seconds of 44.1 kHz stereo")
    labels = (*STAGES.values(), "other: event, form, HTTP, JSON")
    _explain(axes, dict(zip(labels, STAGE_COLOURS, strict=True)))
    axes.set_xlim(0, 1.15 * max(1e3 * median(subjects[name]["seconds"]) for name in names))
    figure.savefig(path)
    plt.close(figure)


def _explain(axes: Any, colours: dict[str, str]) -> None:
    handles = [plt.Rectangle((0, 0), 1, 1, color=colour) for colour in colours.values()]
    axes.legend(handles, list(colours), frameon=False, loc="upper right", fontsize=9)


def _load(subjects: dict[str, Any], path: Path) -> None:
    clients = [int(name) for name in subjects]
    figure, (rate, latency) = plt.subplots(1, 2, figsize=(8, 3), layout="constrained")
    rate.plot(clients, [median(one["requests_per_s"]) for one in subjects.values()], "o-", color=PACKAGE)
    rate.set_ylabel("requests per second")
    rate.set_ylim(0, 1.15 * rate.get_ylim()[1])
    for quantity, label, style in (("p50_s", "p50", "o-"), ("p99_s", "p99", "s--")):
        values = [1e3 * median(one[quantity]) for one in subjects.values()]
        latency.plot(clients, values, style, color=PACKAGE if quantity == "p50_s" else PEER, label=label)
    latency.set_ylabel("latency, ms")
    latency.set_ylim(0, 1.15 * latency.get_ylim()[1])
    latency.legend(frameon=False)
    for axes in (rate, latency):
        axes.set_xscale("log", base=2)
        axes.set_xticks(clients, [str(count) for count in clients])
        axes.set_xlabel("concurrent clients")
    figure.savefig(path)
    plt.close(figure)
