"""What students learn from explanations, over the number of samples they learn from."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullLocator, PercentFormatter

from .scores import check_columns
from .style import INK, MUTED, TEXT_SIZE, class_styles, draw_title, new_figure, plain, quiet_axes

_CHANCE = {0: "--", 1: ":"}


def student_curves(table: pd.DataFrame, *, title: str | None = None) -> Figure:
    """Draws the agreement of students with the classifier, a line for each explanation they learned from.

    The first two methods, which are chance, are grey; upright lines are 95 % intervals over seeds.

    Args:
        table: Columns `method`, `samples`, `agreement`, `low` and `high`, as of `StudentCurves.to_frame`.
        title: What stands above.

    Returns:
        A new figure with one axes.

    Raises:
        ValueError: If a column is missing.

    Example:
        >>> table = pd.DataFrame({"method": ["none", "none", "mask", "mask"], "samples": [8, 16, 8, 16],
        ...                       "agreement": [0.4, 0.5, 0.6, 0.8], "low": np.nan, "high": np.nan})
        >>> [line.get_label() for line in student_curves(table).axes[0].lines]
        ['none', 'mask']
    """
    check_columns(table, ["method", "samples", "agreement", "low", "high"])
    methods = list(dict.fromkeys(table["method"]))
    styles = class_styles(methods[2:], methods[2:]) if len(methods) > 2 else {}
    figure = new_figure(6.6, 3.6, pad=0.06)
    ax = figure.add_subplot()
    for place, method in enumerate(methods):
        rows = table[table["method"] == method].sort_values("samples")
        known = method in styles
        color = styles[method].color if known else MUTED
        x = rows["samples"].to_numpy()
        ax.plot(
            x,
            rows["agreement"].to_numpy(),
            color=color,
            ls="-" if known else _CHANCE[place],
            marker=styles[method].marker if known else None,
            ms=4.5,
            lw=1.8,
            label=plain(str(method)),
            zorder=3 if known else 2,
        )
        if np.isfinite(rows[["low", "high"]].to_numpy()).all():
            # Beside one another, since intervals of few seeds are wide and would hide each other.
            beside = x * 1.02 ** (place - (len(methods) - 1) / 2)
            ends = rows["low"].to_numpy(), rows["high"].to_numpy()
            ax.vlines(beside, *ends, color=color, alpha=0.45, lw=1.2, zorder=1)
    sizes = sorted(set(table["samples"]))
    quiet_axes(ax, grid="y")
    ax.set_xscale("log")
    ax.xaxis.set_minor_locator(NullLocator())
    ax.set_xticks(sizes)
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    ax.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    means = table["agreement"]
    ax.set_ylim(max(0.0, means.min() - 0.12), min(1.0, means.max() + 0.08))
    ax.set_xlabel("samples learned from", fontsize=TEXT_SIZE, color=INK)
    ax.set_ylabel("agreement on held-out inputs", fontsize=TEXT_SIZE, color=INK)
    draw_title(ax, title)
    figure.legend(loc="outside right upper", frameon=False, fontsize=TEXT_SIZE, labelcolor=INK)
    return figure
