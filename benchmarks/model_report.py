"""Write the table and the plot of docs/models.md: ``python -m benchmarks.model_report [FOLDER]``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

import matplotlib as mpl

mpl.use("agg")
from matplotlib import pyplot as plt
from matplotlib.ticker import NullLocator

from audio_classifier.convert.catalogue import Catalogue, CatalogueEntry, read_catalogue
from benchmarks.documents import replace_block, table

TICKS_MS: Final = (5, 10, 20, 50, 100, 200, 500)
DOCS: Final = Path(__file__).parents[1] / "docs"
COLOUR, OTHER = "#0072B2", "#D55E00"  # distinguishable without colour vision (Okabe and Ito)


def main() -> None:
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else DOCS
    catalogue = read_catalogue()
    replace_block(folder / "models.md", "models", model_table(catalogue))
    draw(catalogue, folder / "pictures" / "models.png")


def model_table(catalogue: Catalogue) -> str:
    """Format all models, and the machine on which they were measured."""
    head = ("model", "published mAP", "size", "clip", "of which network", "weights")
    machine = catalogue.machine
    rows = table(head, (_row(entry) for entry in catalogue.entries))
    return f"{rows}\n\nMeasured on {machine['CPU']}, on {machine['date']}."


def _row(entry: CatalogueEntry) -> tuple[str, ...]:
    published = entry.mean_average_precision
    return (
        f"`{entry.name}`",
        "none" if published is None else f"{published:.3f}",
        "" if entry.size_bytes is None else f"{entry.size_bytes / 1e6:.1f} MB",
        "" if entry.clip_ms is None else f"{entry.clip_ms:.1f} ms",
        "" if entry.network_ms is None else f"{entry.network_ms:.1f} ms",
        entry.licence.partition(";")[0],
    )


def draw(catalogue: Catalogue, path: Path) -> None:
    """Plot the published quality of each measured model against its time per clip."""
    figure, axes = plt.subplots(figsize=(8, 4), dpi=110, layout="constrained")
    for entry in catalogue.entries:
        if entry.clip_ms is None:
            continue
        if entry.mean_average_precision is None:
            axes.axvline(entry.clip_ms, color=OTHER, linestyle="--")
            label = (entry.clip_ms, 0.31)
            axes.annotate(f"{entry.name}: none published", label, (-12, 0), textcoords="offset points",
                          rotation=90, color=OTHER)  # fmt: skip
        else:
            point = (entry.clip_ms, entry.mean_average_precision)
            axes.plot(*point, "o", color=OTHER if entry.name == "max" else COLOUR)
            axes.annotate(entry.name, point, (6, -12), textcoords="offset points")
    axes.set_xscale("log")
    axes.set_xticks(TICKS_MS, [str(tick) for tick in TICKS_MS])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlabel("CPU time for a clip of ten seconds, in milliseconds")
    axes.set_ylabel("published mAP on AudioSet")
    axes.set_ylim(0.28, 0.5)
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path)
    plt.close(figure)


if __name__ == "__main__":
    main()
