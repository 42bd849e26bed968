"""Training curves: one small chart a logged metric, training and validation together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from .style import INK, TEXT_SIZE, draw_title, new_figure, quiet_axes

_SERIES = {"training": "#0072B2", "validation": "#D55E00"}


def training_curves(
    history: Mapping[str, Sequence[float]],
    *,
    columns: int = 3,
    title: str | None = None,
) -> Figure:
    """Draws logged metrics over epochs, `x` and `val_x` on one chart.

    Args:
        history: Metric to one value an epoch, as in `keras.callbacks.History.history`. NaN stands
            for an epoch without a value, which the line passes over.
        columns: Charts in a row.
        title: What stands above all charts.

    Returns:
        A new figure with one axes a metric, in the order in which they were logged.

    Raises:
        ValueError: If nothing was logged, lists differ in length, or `columns` is less than 1.

    Example:
        >>> figure = training_curves({"loss": [2.0, 1.0], "val_loss": [2.1, 1.4], "lr": [0.1, 0.1]})
        >>> [ax.get_title(loc="left") for ax in figure.axes]
        ['loss', 'lr']
    """
    if not history:
        raise ValueError(f"`history` must hold at least one metric. Received: {history!r}.")
    if columns < 1:
        raise ValueError(f"`columns` must be at least 1. Received: {columns}.")
    lengths = {name: len(values) for name, values in history.items()}
    if len(set(lengths.values())) > 1 or not any(lengths.values()):
        raise ValueError(
            "Every metric of `history` must have one value an epoch (NaN where there is none). "
            f"Received lengths {lengths}."
        )
    metrics = list(dict.fromkeys(name.removeprefix("val_") for name in history))
    columns = min(columns, len(metrics))
    rows = -(-len(metrics) // columns)
    figure = new_figure(max(4.0, 3.0 * columns), 2.3 * rows + 0.4, pad=0.07)
    drawn: dict[str, str] = {}
    for index, metric in enumerate(metrics):
        ax = figure.add_subplot(rows, columns, index + 1)
        for series, name in (("training", metric), ("validation", f"val_{metric}")):
            if name in history:
                _draw_series(ax, np.asarray(history[name], np.float64), _SERIES[series])
                drawn[series] = _SERIES[series]
        _finish(ax, metric, bottom=index + columns >= len(metrics))
    if title:
        figure.suptitle(title, fontsize=12, color=INK, x=0.01, ha="left")
    if "validation" in drawn:
        figure.legend(
            handles=[Line2D([], [], color=hue, lw=2, label=name) for name, hue in drawn.items()],
            loc="outside lower right",
            ncols=len(drawn),
            frameon=False,
            fontsize=TEXT_SIZE,
            labelcolor=INK,
        )
    return figure


def _draw_series(ax: Axes, values: NDArray[np.float64], color: str) -> None:
    known = np.flatnonzero(np.isfinite(values))
    # Dots while they can be told apart: they show how many epochs there are, and a lone value.
    marker = "o" if len(known) <= 25 else None
    ax.plot(known + 1, values[known], color=color, linewidth=1.8, marker=marker, markersize=3.5)


def _finish(ax: Axes, metric: str, *, bottom: bool) -> None:
    quiet_axes(ax, grid="y")
    ax.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    ax.yaxis.set_major_locator(MaxNLocator(4))
    draw_title(ax, metric)
    if bottom:
        ax.set_xlabel("epoch", fontsize=TEXT_SIZE, color=INK)
