"""Scores class by class and run by run, and how far runs differ beyond the noise of seeds."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from numpy.typing import NDArray

from ..checks import one_of, quoted
from ..intervals import mean_interval
from .mean_marks import mark_mean, write_beside
from .style import (
    FRAME,
    INK,
    MUTED,
    SMALL_SIZE,
    TEXT_SIZE,
    draw_title,
    new_figure,
    plain,
    quiet_axes,
    root_figure,
    run_colors,
    short,
)

METRICS = {
    "accuracy": "Accuracy",
    "auc": "Area under the ROC curve",
    "f1": "F₁ score",
    "precision": "Precision",
    "recall": "Recall",
    "specificity": "Specificity",
}


def class_scores(
    table: pd.DataFrame,
    *,
    metric: str = "f1",
    emphasise: Collection[str] = (),
    title: str | None = None,
    ax: Axes | None = None,
) -> Figure:
    """Draws one group of bars a class, one bar a run, with the value at its end.

    Bars start at 0, so that their lengths compare. Classes and runs keep the order of the table;
    baseline and control are grey, PLI is blue.

    Args:
        table: Columns `class`, `run`, `mean`, `low`, `high`, one row a class and run; values in
            [0, 1], `low` and `high` the ends of a confidence interval or NaN for none. A mean of
            NaN is a class without samples and printed as a dash.
        metric: Name of the score: "accuracy", "auc", "f1", "precision", "recall" or "specificity".
        emphasise: Classes to set in bold on a shaded band, such as those that the plan moved.
        title: What stands above the bars.
        ax: Axes to draw in.

    Returns:
        The figure, a new one or the one that `ax` lies in.

    Raises:
        ValueError: If columns are missing, the table is empty, a class and run come twice, a value
            lies outside [0, 1], an emphasised class is not in the table, or the metric is unknown.

    Example:
        >>> table = pd.DataFrame({"class": ["cat", "cat"], "run": ["control", "PLI"],
        ...                       "mean": [0.61, 0.70], "low": [0.58, 0.66], "high": [0.64, 0.74]})
        >>> figure = class_scores(table, emphasise=["cat"])
        >>> figure.axes[0].get_xlabel()
        'F₁ score'
    """
    one_of(metric, METRICS, "metric")
    check_columns(table, ["class", "run", "mean", "low", "high"])
    _check_scores(table)
    classes, runs = list(table["class"].unique()), list(table["run"].unique())
    unknown = [name for name in emphasise if name not in classes]
    if unknown:
        raise ValueError(
            f"`emphasise` must list classes of the table. Not in it: {quoted(unknown)}."
        )
    if ax is None:
        rows = len(classes) * (0.2 * len(runs) + 0.16)
        ax = new_figure(6.4, rows + 0.9).add_subplot()
    quiet_axes(ax)
    colors = run_colors([str(run) for run in runs])
    thick = 0.8 / len(runs)
    for index, run in enumerate(runs):
        rows_of_run = table[table["run"] == run].set_index("class").reindex(classes)
        # A pair that the table lacks stays empty; only a NaN that it holds is printed as a dash.
        held = [name in set(table.loc[table["run"] == run, "class"]) for name in classes]
        places = np.arange(len(classes)) + (index - (len(runs) - 1) / 2) * thick
        values = rows_of_run[["mean", "low", "high"]].to_numpy(np.float64)
        _draw_bars(ax, places[held], values[held], colors[str(run)], 0.9 * thick)
    _name_rows(ax, [str(name) for name in classes], [str(name) for name in emphasise])
    ax.set_xlim(0.0, 1.0)
    ax.set_xlabel(METRICS[metric], fontsize=TEXT_SIZE, color=INK)
    draw_title(ax, title)
    if len(runs) > 1:
        _draw_run_legend(ax, colors)
    return root_figure(ax)


def paired_differences(
    differences: pd.DataFrame,
    *,
    confidence: float = 0.95,
    label: str = "PLI \N{MINUS SIGN} control",
    emphasise: Collection[str] = (),
    title: str | None = None,
    ax: Axes | None = None,
) -> Figure:
    """Draws the difference of two runs for each seed, with its mean, interval and a zero line.

    A single retraining says little: another seed may reverse it. Every dot is one seed's pair; the
    interval of the mean is Student's t over the seeds, and it is drawn in colour only where it
    leaves out zero.

    Args:
        differences: Columns `name` (a class or group), `seed`, `difference`; rows with a NaN
            difference are left out.
        confidence: Level of the interval, in (0, 1).
        label: Name of the axis: what was taken from what.
        emphasise: Names to set in bold on a shaded band.
        title: What stands above the dots.
        ax: Axes to draw in.

    Returns:
        The figure, a new one or the one that `ax` lies in. A name with one seed has no interval.

    Raises:
        ValueError: If columns are missing, no difference is left, a difference is infinite, a name
            and seed come twice, an emphasised name is not there, or `confidence` is out of range.

    Example:
        >>> table = pd.DataFrame({"name": ["cat"] * 3, "seed": [0, 1, 2],
        ...                       "difference": [0.02, 0.05, 0.03]})
        >>> figure = paired_differences(table)
        >>> figure.axes[0].get_yticklabels()[0].get_text()
        'cat'
    """
    if not 0 < confidence < 1:
        raise ValueError(f"`confidence` must lie between 0 and 1. Received: {confidence}.")
    table = _checked_differences(differences)
    names = list(table["name"].unique())
    unknown = [name for name in emphasise if name not in names]
    if unknown:
        raise ValueError(f"`emphasise` must list names of the table. Not in it: {quoted(unknown)}.")
    if ax is None:
        ax = new_figure(6.4, 0.42 * len(names) + 1.0).add_subplot()
    quiet_axes(ax)
    ax.axvline(0.0, color=INK, linewidth=1.0, zorder=1)
    for place, name in enumerate(names):
        values = table.loc[table["name"] == name, "difference"].to_numpy(np.float64)
        _draw_seeds(ax, place, values, confidence)
    _name_rows(ax, [str(name) for name in names], [str(name) for name in emphasise])
    # Zero in view and room for the dots, whichever side they lie on.
    ax.margins(x=0.08)
    ax.set_xlabel(
        f"{label}  (dot: one seed; line: {100 * confidence:g} % interval of the mean)",
        fontsize=TEXT_SIZE,
        color=INK,
    )
    draw_title(ax, title)
    return root_figure(ax)


def _draw_bars(
    ax: Axes, places: NDArray[Any], values: NDArray[Any], color: str, thickness: float
) -> None:
    ax.barh(places, np.nan_to_num(values[:, 0]), height=thickness, color=color, zorder=2)
    for place, (mean, low, high) in zip(places, values, strict=True):
        if np.isfinite(low) and np.isfinite(high):
            ax.plot([low, high], [place, place], color=INK, linewidth=1.1, zorder=3)
        shown = [value for value in (mean, high) if np.isfinite(value)]
        ax.annotate(
            f"{mean:.2f}" if np.isfinite(mean) else "\N{EN DASH}",
            (max(shown, default=0.0), place),
            xytext=(4, 0),
            textcoords="offset points",
            va="center_baseline",
            fontsize=SMALL_SIZE,
            color=INK,
            annotation_clip=False,
        )


def _draw_seeds(ax: Axes, place: int, values: NDArray[Any], confidence: float) -> None:
    mean, low, high = mean_interval(values, confidence)
    clear = np.isfinite(low) and (low > 0 or high < 0)
    color = ("#0072B2" if mean > 0 else "#D55E00") if clear else MUTED
    ax.scatter(
        values,
        np.full(len(values), place + 0.17),
        s=22,
        color=color,
        alpha=0.55,
        linewidths=0,
        zorder=3,
    )
    mark_mean(ax, place - 0.15, (mean, low, high), color=color)
    text = f"{mean:+.3f}".replace("-", "\N{MINUS SIGN}")
    write_beside(ax, place, text, color=color, bold=bool(clear))


def _name_rows(ax: Axes, names: list[str], emphasised: list[str]) -> None:
    """Writes row names top to bottom and shades the emphasised rows."""
    ax.set_yticks(range(len(names)), [plain(short(name)) for name in names])
    ax.set_ylim(len(names) - 0.45, -0.55)
    for row, (name, tick) in enumerate(zip(names, ax.get_yticklabels(), strict=True)):
        if name in emphasised:
            tick.set_fontweight("bold")
            ax.axhspan(row - 0.5, row + 0.5, color="#F3F1E7", linewidth=0, zorder=0)


def _draw_run_legend(ax: Axes, colors: dict[str, str]) -> None:
    ax.legend(
        handles=[Patch(color=color, label=plain(run)) for run, color in colors.items()],
        loc="lower right",
        bbox_to_anchor=(1.0, 1.0),
        ncols=len(colors),
        frameon=False,
        fontsize=TEXT_SIZE,
        labelcolor=INK,
        borderaxespad=0.2,
        handlelength=1.0,
        edgecolor=FRAME,
    )


def check_columns(table: pd.DataFrame, columns: list[str]) -> None:
    """Raises a `ValueError` if a table lacks a column or has no row."""
    missing = [column for column in columns if column not in table.columns]
    if missing:
        raise ValueError(
            f"The table must have the columns {quoted(columns)}. Missing: {quoted(missing)}; "
            f"received: {quoted(table.columns)}."
        )
    if table.empty:
        raise ValueError("The table must have at least one row. Received an empty one.")


def _check_scores(table: pd.DataFrame) -> None:
    check_unique(table, ["class", "run"])
    values = table[["mean", "low", "high"]].to_numpy(np.float64)
    wrong = values[(values < 0) | (values > 1)]
    if len(wrong):
        raise ValueError(f"Scores must lie in [0, 1]. Received: {quoted(wrong)}.")


def _checked_differences(differences: pd.DataFrame) -> pd.DataFrame:
    check_columns(differences, ["name", "seed", "difference"])
    check_unique(differences, ["name", "seed"])
    table = differences.dropna(subset=["difference"])
    if table.empty:
        raise ValueError("`differences` must hold a difference. Received NaN in every row.")
    values = table["difference"].to_numpy(np.float64)
    if np.isinf(values).any():
        raise ValueError(
            f"Differences must be finite. Received: {quoted(values[np.isinf(values)])}."
        )
    return table


def check_unique(table: pd.DataFrame, keys: list[str]) -> None:
    """Raises a `ValueError` if two rows agree in all keys."""
    twice = table[table.duplicated(keys)]
    if len(twice):
        pairs = [tuple(row) for row in twice[keys].to_numpy().tolist()]
        raise ValueError(f"Each pair of {quoted(keys)} may come once. Repeated: {quoted(pairs)}.")
