"""Is an explanation worth believing: randomisation tests, deletion and insertion, as curves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import PercentFormatter
from numpy.typing import ArrayLike, NDArray
from scipy.integrate import trapezoid

from ..checks import one_of, quoted
from .heatmaps import finite_values
from .scores import check_columns, check_unique
from .style import (
    INK,
    MUTED,
    SMALL_SIZE,
    TEXT_SIZE,
    TITLE_SIZE,
    ClassStyle,
    class_styles,
    draw_title,
    halo,
    new_figure,
    plain,
    quiet_axes,
    root_figure,
)

Level: TypeAlias = float | Mapping[str, float]

MEASURES = {
    "spearman": "Spearman",
    "ssim": "SSIM",
    "top_k": "Top-k overlap",
}
_KEYS = ["method", "mode", "step", "measure", "absolute"]
_MODES = {
    "cascading": "layers randomised, from the top down",
    "independent": "layer randomised, all others as trained",
    "data": "labels permuted in training",
}
_BETTER = {"deletion": ("deleted", "less"), "insertion": ("inserted", "more")}
_COLUMNS = ["method", "mode", "layer", "step", "measure", "absolute", "mean", "low", "high"]
_LEGEND: dict[str, Any] = {
    "frameon": False,
    "fontsize": TEXT_SIZE,
    "labelcolor": INK,
    "alignment": "left",
    "borderaxespad": 0.0,
}
_BASELINE: dict[str, Any] = {"color": MUTED, "lw": 1.5, "ls": "--"}
_MOST_BANDS = 8
_MOST_LAYERS = 10
_LETTER, _LINE = 0.075, 0.2  # inches of a legend's letter and line


def randomization_curves(
    table: pd.DataFrame,
    *,
    mode: str = "cascading",
    chance: Level | None = None,
    threshold: Level | None = None,
    title: str | None = None,
) -> Figure:
    """Draws how similar maps stay to those of the trained model while its layers are randomised.

    An explanation of what a model has learned must change when the weights are replaced by random
    ones (Adebayo et al. 2018, section 3); a line that stays high tells of a method that does not
    look at them. There is a column of panels for each measure, and a row for maps with their
    signs and one for their absolute values. In cascading mode the layers are randomised from the top down
    and stay so, and a line joins the steps; in independent mode one layer at a time is, and
    there are only dots. So there are in data mode, where the labels that the model learned are random.

    Args:
        table: Columns `method`, `mode` ("cascading", "independent" or "data"), `layer` (its name), `step`
            (its place from the top), `measure`, `absolute` (whether signs were dropped), `mean`,
            `low` and `high`, one row a method, mode, step, measure and `absolute`. `low` and `high`
            are the ends of an interval, or NaN for none; bands are drawn for up to eight methods.
        mode: Which rows of the table to draw.
        chance: Similarity of unrelated maps, one for all or a mapping from measure.
        threshold: Similarity from which on a method counts as insensitive, likewise.
        title: What stands above all panels.

    Returns:
        A new figure. All panels share the vertical axis.

    Raises:
        ValueError: If columns are missing, no row has the mode, a row comes twice, a step has two
            layers, or a similarity lies outside [-1, 1].

    Example:
        >>> row = {"method": "saliency", "mode": "cascading", "measure": "ssim", "absolute": True,
        ...        "low": np.nan, "high": np.nan}
        >>> table = pd.DataFrame([{**row, "layer": "logits", "step": 0, "mean": 0.4},
        ...                       {**row, "layer": "conv", "step": 1, "mean": 0.1}])
        >>> figure = randomization_curves(table, threshold=0.5)
        >>> [ax.get_title(loc="left") for ax in figure.axes]
        ['SSIM, absolute values']
    """
    rows = _checked_rows(table, mode)
    measures, kinds = list(rows["measure"].unique()), sorted(rows["absolute"].unique())
    styles = class_styles(rows["method"], list(rows["method"].unique()))
    beside = 0.9 + _LETTER * max(len(style.name) for style in styles.values())
    height = max(2.1 * len(kinds) + 0.9, _LINE * (len(styles) + 1)) + (0.3 if title else 0.0)
    figure = new_figure(2.6 * len(measures) + beside, height, pad=0.06)
    panels = figure.subplots(len(kinds), len(measures), sharey=True, squeeze=False)
    # Correlations below zero are rare and small: room for them only where there are any.
    panels[0, 0].set_ylim(min(0.0, float(rows[["mean", "low"]].min().min())) - 0.04, 1.04)
    for place, ax in np.ndenumerate(panels):
        measure, absolute = measures[place[1]], kinds[place[0]]
        _draw_similarities(ax, rows, styles, measure, absolute)
        _draw_level(ax, chance, measure, "chance")
        _draw_level(ax, threshold, measure, "threshold")
        _name_layers(ax, rows, named=absolute == kinds[-1])
    figure.supylabel("similarity to the trained model", fontsize=TEXT_SIZE, color=INK)
    figure.supxlabel(_MODES[mode], fontsize=TEXT_SIZE, color=INK)
    strokes = {name: _stroke(style, mode) for name, style in styles.items()}
    handles = [Line2D([], [], label=plain(str(name)), **strokes[name]) for name in styles]
    figure.legend(handles=handles, loc="outside right upper", **_LEGEND)
    if title:
        figure.suptitle(plain(title), fontsize=TITLE_SIZE, color=INK, x=0.01, ha="left")
    return figure


def faithfulness_curves(
    curves: Mapping[str, ArrayLike],
    fractions: ArrayLike,
    *,
    kind: str = "deletion",
    baseline: str | None = None,
    bands: Mapping[str, tuple[ArrayLike, ArrayLike]] | None = None,
    score: str = "score",
    title: str | None = None,
    ax: Axes | None = None,
) -> Figure:
    """Draws a model's score while the pixels of greatest attribution are deleted or inserted.

    A faithful map finds the pixels that count: deleting them lets the score fall early, inserting
    them lets it rise early (Petsiuk et al. 2018, RISE). The legend gives the area under
    each curve, by the trapezoidal rule, the best method first.

    Args:
        curves: Method to the mean score at each fraction.
        fractions: Shares of the pixels deleted or inserted, increasing in [0, 1].
        kind: "deletion", where a small area is good, or "insertion", where a large one is.
        baseline: Method to draw in grey and dashed, such as a random order of the pixels.
        bands: Method to the lower and upper ends of its interval at each fraction, of those that have one.
        score: What the vertical axis measures.
        title: What stands above the curves.
        ax: Axes to draw in.

    Returns:
        The figure, a new one or the one that `ax` lies in.

    Raises:
        ValueError: If there is no curve, a shape is not that of `fractions`, a value is not finite,
            fractions do not increase in [0, 1], or `kind`, `baseline` or the method of a band is unknown.

    Example:
        >>> figure = faithfulness_curves({"random": [1.0, 0.5, 0.0], "saliency": [1.0, 0.2, 0.0]},
        ...                              [0.0, 0.5, 1.0], baseline="random")
        >>> [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
        ['0.350  saliency', '0.500  random']
    """
    one_of(kind, _BETTER, "kind")
    shares, scores = _checked_curves(curves, fractions)
    if baseline is not None:
        one_of(baseline, scores, "baseline")
    within = _checked_bands(bands or {}, scores, shares)
    styles = class_styles(list(scores), list(scores))
    areas = {name: float(trapezoid(values, shares)) for name, values in scores.items()}
    best_first = sorted(areas, key=areas.__getitem__, reverse=kind == "insertion")
    if ax is None:
        beside = 1.2 + _LETTER * max(len(name) for name in scores)
        ax = new_figure(4.6 + beside, max(3.2, _LINE * len(scores) + 0.8)).add_subplot()
    quiet_axes(ax, grid="y")
    handles = []
    for name in best_first:
        stroke = _BASELINE if name == baseline else _stroke(styles[name])
        if name in within:
            low, high = within[name]
            ax.fill_between(shares, low, high, color=stroke["color"], alpha=0.16, linewidth=0)
        ax.plot(shares, scores[name], markevery=max(len(shares) // 6, 1), **stroke)
        handles.append(Line2D([], [], label=plain(f"{areas[name]:.3f}  {name}"), **stroke))
    ax.xaxis.set_major_formatter(PercentFormatter(1.0))
    ax.set_xlim(shares[0], shares[-1])
    # An area is read from zero up.
    drawn = [*scores.values(), *(low for low, _ in within.values())]
    ax.set_ylim(bottom=min(0.0, *(values.min() for values in drawn)))
    ax.set_xlabel(f"pixels {_BETTER[kind][0]}", fontsize=TEXT_SIZE, color=INK)
    ax.set_ylabel(plain(score), fontsize=TEXT_SIZE, color=INK)
    draw_title(ax, title)
    legend = ax.legend(
        handles=handles,
        title=f"area, {_BETTER[kind][1]} is better",
        title_fontsize=SMALL_SIZE,
        loc="upper left",
        bbox_to_anchor=(1.01, 1.0),
        **_LEGEND,
    )
    legend.get_title().set_color(MUTED)
    return root_figure(ax)


def _draw_similarities(
    ax: Axes,
    rows: pd.DataFrame,
    styles: Mapping[str, ClassStyle],
    measure: str,
    absolute: bool,
) -> None:
    """Draws a line for each method, or its dots, those of several methods side by side."""
    shown = rows[(rows["measure"] == measure) & (rows["absolute"] == absolute)]
    ax.set_visible(not shown.empty)
    quiet_axes(ax, grid="y")
    kind = "absolute values" if absolute else "signed"
    draw_title(ax, f"{MEASURES.get(measure, str(measure).replace('_', ' '))}, {kind}")
    places = {step: place for place, step in enumerate(sorted(rows["step"].unique()))}
    mode = rows["mode"].iloc[0]
    for index, (method, style) in enumerate(styles.items()):
        part = shown[shown["method"] == method].sort_values("step")
        x = part["step"].map(places).to_numpy(np.float64)
        mean, low, high = part[["mean", "low", "high"]].to_numpy(np.float64).T
        if mode != "cascading":
            x += 0.6 * ((index + 0.5) / len(styles) - 0.5)
            ax.vlines(x, low, high, color=style.color, linewidth=1.0)
        elif len(styles) <= _MOST_BANDS:
            ax.fill_between(x, low, high, color=style.color, alpha=0.13, linewidth=0)
        ax.plot(x, mean, **_stroke(style, mode))


def _draw_level(ax: Axes, level: Level | None, measure: str, name: str) -> None:
    value = level.get(measure) if isinstance(level, Mapping) else level
    if value is None:
        return
    ax.axhline(value, color=MUTED, linewidth=1.0, linestyle=(0, (4, 3)), zorder=1)
    ax.annotate(
        name,
        (1.0, value),
        xycoords=ax.get_yaxis_transform(),
        xytext=(0, 2 if name == "threshold" else -2),
        textcoords="offset points",
        ha="right",
        va="bottom" if name == "threshold" else "top",
        fontsize=SMALL_SIZE,
        color=MUTED,
        path_effects=halo(),
    )


def _name_layers(ax: Axes, rows: pd.DataFrame, *, named: bool) -> None:
    """Writes the layers below the lowest panels, not more of them than can be read."""
    layers = rows.drop_duplicates("step").sort_values("step")["layer"]
    every = -(-len(layers) // _MOST_LAYERS)
    names = [plain(str(name)) for name in layers.iloc[::every]]
    ax.set_xticks(range(0, len(layers), every), names if named else [""] * len(names))
    ax.set_xlim(-0.5, len(layers) - 0.5)
    for text in ax.get_xticklabels():
        text.set(rotation=40, ha="right", rotation_mode="anchor")


def _stroke(style: ClassStyle, mode: str = "cascading") -> dict[str, Any]:
    # Layers randomised one at a time are no course of events that a line could show.
    line = "-" if mode == "cascading" else ""
    return {"color": style.color, "marker": style.marker, "ms": 4, "lw": 1.5, "ls": line}


def _checked_rows(table: pd.DataFrame, mode: str) -> pd.DataFrame:
    check_columns(table, _COLUMNS)
    one_of(mode, _MODES, "mode")
    rows = table[table["mode"] == mode]
    if rows.empty:
        raise ValueError(
            f"The table has no row of mode {mode!r}. Its modes: {quoted(table['mode'].unique())}."
        )
    check_unique(rows, _KEYS)
    named = rows.groupby("step")["layer"].nunique()
    if (named > 1).any():
        raise ValueError(
            f"A step must have one layer. Several at the steps {quoted(named[named > 1].index)}."
        )
    values = rows[["mean", "low", "high"]].to_numpy(np.float64)
    wrong = values[np.abs(values) > 1 + 1e-6]
    if len(wrong):
        raise ValueError(f"Similarities must lie in [-1, 1]. Received: {quoted(wrong)}.")
    return rows


def _checked_curves(
    curves: Mapping[str, ArrayLike], fractions: ArrayLike
) -> tuple[NDArray[np.float64], dict[str, NDArray[np.float64]]]:
    shares = finite_values(fractions, "fractions")
    rising = shares.ndim == 1 and len(shares) > 1 and (np.diff(shares) > 0).all()
    if not rising or shares[0] < 0 or shares[-1] > 1:
        raise ValueError(f"`fractions` must increase within [0, 1]. Received: {fractions!r}.")
    if not curves:
        raise ValueError(f"`curves` must hold at least one method. Received: {curves!r}.")
    scores = {name: finite_values(values, name) for name, values in curves.items()}
    for name, values in scores.items():
        if values.shape != shares.shape:
            raise ValueError(
                f"The curve of {name!r} must have a score for each fraction, shape {shares.shape}. "
                f"Received shape {values.shape}."
            )
    return shares, scores


def _checked_bands(
    bands: Mapping[str, tuple[ArrayLike, ArrayLike]],
    scores: Mapping[str, NDArray[np.float64]],
    shares: NDArray[np.float64],
) -> dict[str, tuple[NDArray[np.float64], ...]]:
    found = {}
    for name, ends in bands.items():
        one_of(name, scores, "bands")
        found[name] = tuple(finite_values(end, f"the band of {name}") for end in ends)
        if [end.shape for end in found[name]] != [shares.shape] * 2:
            raise ValueError(
                f"The band of {name!r} must be two ends of shape {shares.shape}. Received shapes "
                f"{[end.shape for end in found[name]]}."
            )
    return found
