"""What regions of a brain, or other parts, carry: bars, one a region, for several methods or classes."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from numpy.typing import NDArray

from ..checks import checked_number, quoted
from .heatmaps import number
from .legends import legend_above
from .scores import check_columns, check_unique
from .style import (
    INK,
    MUTED,
    SMALL_SIZE,
    TEXT_SIZE,
    class_styles,
    draw_title,
    new_figure,
    plain,
    quiet_axes,
    root_figure,
)

_POSITIVE, _NEGATIVE = "#D55E00", "#0072B2"
_MOST_GROUPS = 8


def region_bars(
    table: pd.DataFrame,
    *,
    group: str | None = None,
    value: str = "mean",
    most: int = 20,
    label: str = "mean attribution",
    title: str | None = None,
    ax: Axes | None = None,
) -> Figure:
    """Draws the mean attribution of each region as a bar from zero, the strongest first.

    Without groups a bar is vermilion above zero and blue below, as in maps. With groups, such as methods
    or classes, each has its colour, and regions are sorted by the greatest size that any group gives
    them.

    Args:
        table: Columns `region` and that of the values, one row a region and group; further, if there are
            intervals, `low` and `high`, with NaN for none.
        group: Column that tells methods or classes apart; None for one bar a region.
        value: Column of the values.
        most: How many regions are drawn; how many were left out stands below.
        label: What the values are.
        title: What stands above the bars.
        ax: Axes to draw in.

    Returns:
        The figure, a new one or the one that `ax` lies in.

    Raises:
        ValueError: If columns are missing, the table is empty, a region and group come twice, a value is
            not finite, there are more than eight groups, or `most` is less than 1.

    Example:
        >>> table = pd.DataFrame({"region": ["left hippocampus", "cerebellum"], "mean": [-0.2, 0.5]})
        >>> figure = region_bars(table)
        >>> [tick.get_text() for tick in figure.axes[0].get_yticklabels()]
        ['cerebellum', 'left hippocampus']
    """
    checked_number(most, "most", least=1, whole=True)
    rows = _checked_regions(table, group, value)
    sizes = rows.assign(size=rows[value].abs()).groupby("region", sort=False)["size"].max()
    regions = list(sizes.sort_values(ascending=False, kind="stable").index)
    shown, left_out = regions[:most], max(len(regions) - most, 0)
    groups = [None] if group is None else list(rows[group].unique())
    if ax is None:
        inches = len(shown) * (0.16 * len(groups) + 0.12) + 0.85 + 0.3 * (len(groups) > 1)
        ax = new_figure(6.4, inches).add_subplot()
    quiet_axes(ax)
    ax.axvline(0.0, color=MUTED, linewidth=0.9, zorder=1)
    styles = (
        {}
        if group is None
        else class_styles([str(name) for name in groups], [str(g) for g in groups])
    )
    thick = 0.78 / len(groups)
    for index, name in enumerate(groups):
        of_group = rows if name is None else rows[rows[group] == name]
        of_group = of_group.set_index("region").reindex(shown)
        values = of_group[[value, "low", "high"]].to_numpy(np.float64)
        middle = (index - (len(groups) - 1) / 2) * thick
        places = np.arange(len(shown), dtype=np.float64) + middle
        signs = np.where(values[:, 0] < 0, _NEGATIVE, _POSITIVE)
        colors = signs if name is None else np.full(len(values), styles[str(name)].color)
        _draw_bars(ax, places, values, colors, 0.9 * thick)
    ax.set_yticks(range(len(shown)), [plain(str(region)) for region in shown])
    ax.set_ylim(len(shown) - 0.45, -0.55)
    ax.margins(x=0.1)
    some = "region" if left_out == 1 else "regions"
    text = f"{label}  ({left_out} weaker {some} left out)" if left_out else label
    ax.set_xlabel(plain(text), fontsize=TEXT_SIZE, color=INK)
    if len(groups) > 1:
        handles = [Patch(color=style.color, label=plain(style.name)) for style in styles.values()]
        legend_above(ax, handles, title)
    else:
        draw_title(ax, title)
    return root_figure(ax)


def _draw_bars(
    ax: Axes,
    places: NDArray[np.float64],
    values: NDArray[np.float64],
    colors: NDArray[np.str_],
    thickness: float,
) -> None:
    held = np.isfinite(values[:, 0])
    ax.barh(places[held], values[held, 0], height=thickness, color=colors[held], zorder=2)
    for place, (mean, low, high) in zip(places[held], values[held], strict=True):
        ends = [end for end in (mean, low, high) if np.isfinite(end)]
        if np.isfinite([low, high]).all():
            ax.plot([low, high], [place, place], color=INK, linewidth=1.1, zorder=3)
        # The value stands beyond the bar's end and its interval, on the side that the bar points to.
        ax.annotate(
            number(mean),
            (min(ends) if mean < 0 else max(ends), place),
            xytext=(-4 if mean < 0 else 4, 0),
            textcoords="offset points",
            ha="right" if mean < 0 else "left",
            va="center_baseline",
            fontsize=SMALL_SIZE,
            color=INK,
        )


def _checked_regions(table: pd.DataFrame, group: str | None, value: str) -> pd.DataFrame:
    keys = ["region"] if group is None else ["region", group]
    check_columns(table, [*keys, value])
    check_unique(table, keys)
    values = table[value].to_numpy(np.float64)
    if not np.isfinite(values).all():
        without = table.loc[~np.isfinite(values), "region"]
        raise ValueError(f"Values must be finite. Not so in the regions {quoted(without)}.")
    groups = 1 if group is None else table[group].nunique()
    if groups > _MOST_GROUPS:
        raise ValueError(f"At most {_MOST_GROUPS} groups can be told apart. Received: {groups}.")
    ends = {name: np.nan for name in ("low", "high") if name not in table.columns}
    return table.assign(**ends)
