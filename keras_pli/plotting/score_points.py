"""Scores of several rows, such as ways of preprocessing or methods: each fold's, their mean, and chance."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from ..checks import checked_number, one_of, quoted
from ..intervals import mean_interval
from .heatmaps import number
from .legends import legend_above
from .mean_marks import mark_mean, write_beside
from .scores import check_columns
from .style import (
    INK,
    TEXT_SIZE,
    new_figure,
    plain,
    quiet_axes,
    root_figure,
)

_COLOR = "#0072B2"
_SPREAD = 0.24  # half of the height over which points are strewn
_ORDERS = ("given", "score")


def score_points(
    table: pd.DataFrame,
    *,
    chance: float | Mapping[str, float] | None = None,
    confidence: float = 0.95,
    points: str = "fold",
    order: str = "given",
    percent: bool = False,
    label: str = "accuracy",
    title: str | None = None,
    ax: Axes | None = None,
) -> Figure:
    """Draws one row a name: its scores as points, their mean, its interval, and where chance lies.

    It serves accuracies of several ways of preprocessing over folds, and how well several methods localise
    over subjects. The interval is Student's t over the points; those of folds share training data, so
    that it is rather too short.

    Args:
        table: Columns `name` and `score`, a row for each fold, seed or subject.
        chance: What a score is by chance: one for all, or one a name.
        confidence: Level of the interval, in (0, 1).
        points: What a point is, for the axis's label.
        order: "given", as in the table, or "score", the highest mean first.
        percent: Whether scores in [0, 1] are written in percent.
        label: What the scores are.
        title: What stands above.
        ax: Axes to draw in.

    Returns:
        The figure, a new one or the one that `ax` lies in. A name with one score has no interval.

    Raises:
        ValueError: If columns are missing, the table is empty, a score is not finite, a name has no
            chance, `confidence` is out of range, or `order` is unknown.

    Example:
        >>> table = pd.DataFrame({"name": ["stripped", "stripped", "scaled"], "score": [0.7, 0.8, 0.9]})
        >>> figure = score_points(table, chance=0.5, order="score")
        >>> [tick.get_text() for tick in figure.axes[0].get_yticklabels()]
        ['scaled', 'stripped']
    """
    if not 0 < confidence < 1:
        raise ValueError(f"`confidence` must lie between 0 and 1. Received: {confidence}.")
    one_of(order, _ORDERS, "order")
    scores = _checked_scores(table)
    if order == "score":
        scores = dict(sorted(scores.items(), key=lambda item: -item[1].mean()))
    levels = _checked_chance(chance, list(scores))
    if ax is None:
        ax = new_figure(6.4, 0.4 * len(scores) + (1.1 if title else 0.85)).add_subplot()
    quiet_axes(ax)
    for place, (name, values) in enumerate(scores.items()):
        if len(set(levels.values())) > 1:
            ax.plot([levels[name]] * 2, [place - 0.38, place + 0.38], **_CHANCE)
        _draw_row(ax, place, values, confidence, percent)
    if len(set(levels.values())) == 1:
        ax.axvline(next(iter(levels.values())), **_CHANCE)
    ax.set_yticks(range(len(scores)), [plain(name) for name in scores])
    ax.set_ylim(len(scores) - 0.45, -0.55)
    ax.margins(x=0.06)
    if percent:
        ax.xaxis.set_major_formatter(lambda value, _: f"{100 * value:g}")
    ax.set_xlabel(plain(f"{label}, %" if percent else label), fontsize=TEXT_SIZE, color=INK)
    several = any(len(values) > 1 for values in scores.values())
    handles = _handles(points, f"mean, {100 * confidence:g} % interval" if several else "mean")
    legend_above(ax, handles if levels else handles[:2], title)
    return root_figure(ax)


_CHANCE: dict[str, Any] = {"color": INK, "linewidth": 1.2, "linestyle": (0, (3, 2)), "zorder": 1}


def _draw_row(
    ax: Axes, place: int, values: NDArray[np.float64], confidence: float, percent: bool
) -> None:
    mean, low, high = mean_interval(values, confidence)
    if percent:  # an interval of few folds may reach beyond what a share can be
        low, high = max(low, 0.0), min(high, 1.0)
    # Strewn evenly in the order of the scores, so that equal ones stand apart.
    strewn = np.linspace(-_SPREAD, _SPREAD, len(values)) if len(values) > 1 else np.zeros(1)
    mixed = np.random.default_rng(0).permutation(strewn)
    alpha = float(np.clip(3.0 / np.sqrt(len(values)), 0.15, 0.5))
    ax.scatter(values, place + mixed, s=16, color=_COLOR, alpha=alpha, linewidths=0, zorder=2)
    mark_mean(ax, place, (mean, low, high), color=_COLOR)
    text = f"{100 * mean:.1f}" if percent else number(mean, digits=3)
    write_beside(ax, place, text, color=INK)


def _handles(points: str, mean: str) -> list[Line2D]:
    dot: dict[str, Any] = {"marker": "o", "ms": 4, "color": _COLOR, "ls": "", "alpha": 0.5}
    line: dict[str, Any] = {"marker": "D", "ms": 5, "mec": "white", "color": _COLOR, "lw": 2.2}
    return [
        Line2D([], [], label=plain(f"one {points}"), **dot),
        Line2D([], [], label=mean, **line),
        Line2D([], [], label="chance", **_CHANCE),
    ]


def _checked_scores(table: pd.DataFrame) -> dict[str, NDArray[np.float64]]:
    check_columns(table, ["name", "score"])
    values = table["score"].to_numpy(np.float64)
    if not np.isfinite(values).all():
        raise ValueError(
            f"Scores must be finite. Not so in the rows {quoted(table.index[~np.isfinite(values)])}."
        )
    groups = table.groupby("name", sort=False)["score"]
    return {str(name): group.to_numpy(np.float64) for name, group in groups}


def _checked_chance(
    chance: float | Mapping[str, float] | None, names: list[str]
) -> dict[str, float]:
    if chance is None:
        return {}
    if not isinstance(chance, Mapping):
        return dict.fromkeys(names, checked_number(chance, "chance"))
    missing = [name for name in names if name not in chance]
    if missing:
        raise ValueError(
            f"`chance` must name every row. None for {quoted(missing)}; received: {quoted(chance)}."
        )
    return {name: checked_number(chance[name], f"chance[{name!r}]") for name in names}
