"""Pictures of measurements: reliability diagrams, bars for each class, and confusion matrices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
from matplotlib.figure import Figure

from audio_classifier.plotting.figures import COLOURS, INK, LINE, ROW_IN, WIDTH_IN, styled

SIDE_IN: Final = 5.0
BORDERS_IN: Final = 1.1
BAR_WIDTH: Final = 0.8
CELL_IN: Final = 0.4
DARK_SHARE: Final = 0.5


@styled()
def draw_reliability(curves: Mapping[str, Sequence[tuple[float, float]]]) -> Figure:
    """Draw the share of present classes over their mean probability, a curve for each model."""
    figure = Figure(figsize=(SIDE_IN, SIDE_IN), layout="constrained")
    axes = figure.add_subplot()
    axes.plot((0, 1), (0, 1), color=LINE, linewidth=0.6, linestyle="dashed")
    for (name, points), colour in zip(curves.items(), _colours(len(curves)), strict=True):
        axes.plot(*zip(*points, strict=True), color=colour, marker="o", markersize=4, label=name)
    axes.set(xlim=(0, 1), ylim=(0, 1), xlabel="probability", ylabel="share of present classes")
    axes.legend(frameon=False)
    return figure


@styled()
def draw_class_bars(labels: Sequence[str], values: Mapping[str, Sequence[float]], *, measure: str) -> Figure:
    """Draw a row of bars for each label, a bar for each model; values are from 0 to 1, or NaN for none."""
    figure = Figure(figsize=(WIDTH_IN, len(labels) * ROW_IN * len(values) + BORDERS_IN), layout="constrained")
    axes = figure.add_subplot()
    height = BAR_WIDTH / len(values)
    rows = np.arange(len(labels)) + (1 - BAR_WIDTH) / 2 + height / 2
    for index, ((name, row), colour) in enumerate(zip(values.items(), _colours(len(values)), strict=True)):
        axes.barh(rows + index * height, np.nan_to_num(row), height, color=colour, label=name)
    axes.set(xlim=(0, 1), xlabel=measure)
    axes.set_ylim(len(labels), 0)
    axes.set_yticks(np.arange(len(labels)) + 0.5, labels)
    if len(values) > 1:
        figure.legend(loc="outside upper right", ncols=len(values), frameon=False)
    return figure


@styled()
def draw_confusion(labels: Sequence[str], counts: Sequence[Sequence[int]]) -> Figure:
    """Draw the number of examples by label (rows) and prediction (columns), coloured by share of the row."""
    matrix = np.array(counts)
    side = max(SIDE_IN, len(labels) * CELL_IN + BORDERS_IN)
    figure = Figure(figsize=(side, side), layout="constrained")
    axes = figure.add_subplot()
    shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    axes.imshow(shares, vmin=0, vmax=1, cmap=COLOURS)
    for row, column in np.argwhere(matrix):
        colour = "white" if shares[row, column] > DARK_SHARE else "black"
        axes.text(column, row, str(matrix[row, column]), ha="center", va="center", color=colour, fontsize=8)
    axes.set(xlabel="predicted as", ylabel="is")
    axes.set_xticks(range(len(labels)), labels, rotation=90)
    axes.set_yticks(range(len(labels)), labels)
    return figure


def _colours(count: int) -> list[str | tuple[float, ...]]:
    import matplotlib as mpl

    return [INK, *(tuple(mpl.colormaps[COLOURS](share)) for share in np.linspace(0.6, 0.2, count)[1:])]
