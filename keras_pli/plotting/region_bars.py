"""What regions of a brain, or other parts, carry: bars, one a region, for several methods or classes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
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
_CHANCE: dict[str, Any] = {"color": INK, "linewidth": 1.2, "linestyle": (0, (2, 1)), "zorder": 4}


def region_bars(
    table: pd.DataFrame,
    *,
    group: str | None = None,
    value: str = "mean",
    interval: tuple[str, str] | None = None,
    chance: str | None = None,
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
        table: Columns `region` and that of the values, one row a region and group, such as a `region_table`.
            Rows whose value is NaN are left out.
        group: Column that tells methods or classes apart; None for one bar a region.
        value: Column of the values, such as "mean" or "share".
        interval: Columns of the lower and upper end of an interval of the values; in a `region_table`,
            "low" and "high" are those of "share". None draws none.
        chance: Column of what the values are by chance, such as a region's share of all voxels, drawn as a
            dashed line across the bar.
        most: How many regions are drawn; how many were left out stands below.
        label: What the values are.
        title: What stands above the bars.
        ax: Axes to draw in.

    Returns:
        The figure, a new one or the one that `ax` lies in.

    Raises:
        ValueError: If columns are missing, no row has a value, a region and group come twice, a value is
            infinite, there are more than eight groups, or `most` is less than 1.

    Example:
        >>> table = pd.DataFrame({"region": ["left hippocampus", "cerebellum"], "mean": [-0.2, 0.5]})
        >>> figure = region_bars(table)
        >>> [tick.get_text() for tick in figure.axes[0].get_yticklabels()]
        ['cerebellum', 'left hippocampus']
    """
    checked_number(most, "most", least=1, whole=True)
    columns = [value, *(interval or (None, None)), chance]
    rows = _checked_regions(table, group, [name for name in columns if name is not None])
    sizes = rows.assign(size=rows[value].abs()).groupby("region", sort=False)["size"].max()
    regions = list(sizes.sort_values(ascending=False, kind="stable").index)
    shown, left_out = regions[:most], max(len(regions) - most, 0)
    groups = [None] if group is None else list(rows[group].unique())
    names = [] if group is None else [str(name) for name in groups]
    styles = list(class_styles(names, names).values()) if names else []
    handles: list[Artist] = [Patch(color=s.color, label=plain(s.name)) for s in styles]
    if chance is not None:
        handles.append(Line2D([], [], label="chance", **_CHANCE))
    if ax is None:
        tall = len(shown) * (0.16 * len(groups) + 0.12) + (1.15 if handles else 0.85)
        ax = new_figure(6.4, tall).add_subplot()
    quiet_axes(ax)
    ax.axvline(0.0, color=MUTED, linewidth=0.9, zorder=1)
    thick = 0.78 / len(groups)
    for index, name in enumerate(groups):
        of_group = rows if name is None else rows[rows[group] == name]
        values = _numbers(of_group.set_index("region").reindex(shown), columns)
        signs = np.where(values[:, 0] < 0, _NEGATIVE, _POSITIVE)
        colors = np.full(len(values), styles[index].color) if styles else signs
        middle = (index - (len(groups) - 1) / 2) * thick
        places = np.arange(len(shown), dtype=np.float64) + middle
        _draw_bars(ax, places, values, colors, 0.9 * thick)
    ax.set_yticks(range(len(shown)), [plain(str(region)) for region in shown])
    ax.set_ylim(len(shown) - 0.45, -0.55)
    ax.margins(x=0.1)
    some = "region" if left_out == 1 else "regions"
    text = f"{label}  ({left_out} weaker {some} left out)" if left_out else label
    ax.set_xlabel(plain(text), fontsize=TEXT_SIZE, color=INK)
    if handles:
        legend_above(ax, handles, title)
    else:
        draw_title(ax, title)
    return root_figure(ax)


def _numbers(rows: pd.DataFrame, columns: list[str | None]) -> NDArray[np.float64]:
    """Value, lower and upper end, and chance of each row; NaN where there is none."""
    nothing = pd.Series(np.nan, rows.index)
    found = [nothing if name is None else rows[name] for name in columns]
    return np.column_stack([one.to_numpy(np.float64) for one in found])


def _draw_bars(
    ax: Axes,
    places: NDArray[np.float64],
    values: NDArray[np.float64],
    colors: NDArray[np.str_],
    thickness: float,
) -> None:
    held = np.isfinite(values[:, 0])
    ax.barh(places[held], values[held, 0], height=thickness, color=colors[held], zorder=2)
    for place, (mean, low, high, chance) in zip(places[held], values[held], strict=True):
        ends = [end for end in (mean, low, high, chance) if np.isfinite(end)]
        if np.isfinite([low, high]).all():
            ax.plot([low, high], [place, place], color=INK, linewidth=1.1, zorder=3)
        if np.isfinite(chance):
            half = 0.55 * thickness
            ax.plot([chance, chance], [place - half, place + half], **_CHANCE)
        # The value stands beyond the bar's end and what is drawn over it, on the side that the bar points to.
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


def _checked_regions(table: pd.DataFrame, group: str | None, columns: list[str]) -> pd.DataFrame:
    keys = ["region"] if group is None else ["region", group]
    check_columns(table, [*keys, *columns])
    check_unique(table, keys)
    value = columns[0]
    rows = table.dropna(subset=[value])
    if rows.empty:
        raise ValueError(f"A row must have a value. Received NaN in all of {value!r}.")
    infinite = np.isinf(rows[value].to_numpy(np.float64))
    if infinite.any():
        raise ValueError(
            f"Values must be finite. Not so in the regions {quoted(rows.loc[infinite, 'region'])}."
        )
    groups = 1 if group is None else rows[group].nunique()
    if groups > _MOST_GROUPS:
        raise ValueError(f"At most {_MOST_GROUPS} groups can be told apart. Received: {groups}.")
    return rows
