"""New figures for maps, with room for their legend."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes

from .legends import legend_below, lines_below, width_beside
from .style import ClassStyle, new_figure


def map_axes(limits: Sequence[float], styles: Sequence[ClassStyle]) -> tuple[Axes, float]:
    """Returns the axes of a new figure with room for a legend, and their height in inches."""
    spans = np.diff(np.reshape(limits, (-1, 2)))[:, 0]
    width, height = 6.2 * spans[:2] / spans[:2].max()
    if len(spans) == 3:
        width = height = 6.2
    figure = new_figure(width + width_beside(styles, height), height + 0.4)
    return figure.add_subplot(projection="3d" if len(spans) == 3 else None), height


def panel_axes(
    limits: Sequence[float],
    count: int,
    columns: int,
    styles: Sequence[ClassStyle],
    *,
    below_each: float = 0.0,
) -> list[Axes]:
    """Returns the axes of a new figure of panels, with their legend below.

    Args:
        limits: Lower and upper end of each component.
        count: How many panels.
        columns: Panels in a row.
        styles: The classes in the legend.
        below_each: Inches of text below a panel.
    """
    columns = min(columns, count)
    rows = -(-count // columns)
    spans = np.diff(np.reshape(limits, (-1, 2)))[:, 0]
    width = 4.2 if columns <= 2 else 3.4
    height = width * (1.0 if len(spans) == 3 else spans[1] / spans[0])
    across, below = lines_below(styles, width * columns)
    figure = new_figure(
        width * columns, (height + 0.35 + below_each) * rows + below + 0.1, pad=0.06
    )
    axes = [
        figure.add_subplot(rows, columns, index + 1, projection="3d" if len(spans) == 3 else None)
        for index in range(count)
    ]
    if styles:
        legend_below(figure, styles, across)
    return axes


def single_axes(limits: Sequence[float], width: float) -> Axes:
    """Returns the axes of a new figure of one panel without a legend, of a width in inches."""
    spans = np.diff(np.reshape(limits, (-1, 2)))[:, 0]
    height = width * (1.0 if len(spans) == 3 else spans[1] / spans[0])
    # What is not needed of the height is trimmed when the figure is stored.
    return new_figure(width, height + 0.75).add_subplot(
        projection="3d" if len(spans) == 3 else None
    )
