"""What a plan will meet: where it sends the classes, and who lives there before and after."""

from __future__ import annotations

from collections.abc import Mapping
from textwrap import wrap
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

from .displacement import displacement_arrows
from .legends import legend_below, lines_below, text_width
from .style import (
    INK,
    MUTED,
    TEXT_SIZE,
    ClassNames,
    ClassStyle,
    class_styles,
    contrast_on_white,
    draw_title,
    new_figure,
    plain,
)

Shares = Mapping[Any, float]
_ROW = 0.95  # inches of a move
_RATIO = 0.9  # of the widths of bars and map
_LEFT, _RIGHT = -0.16, 1.02  # of the axes, in shares of neighbours
_MARGIN = 0.06  # inches about a name in a bar


def plan_figure(
    before: NDArray[Any],
    targets: NDArray[Any],
    labels: NDArray[Any],
    moved: ArrayLike,
    rows: Mapping[str, tuple[Shares, Shares]],
    *,
    class_names: ClassNames | None = None,
) -> Figure:
    """Draws the arrows of a plan on a map of two components, and the neighbours that its moves bring.

    Args:
        before: The map, shape `(samples, components)`; of other than two components nothing is drawn.
        targets: The edited map.
        labels: Classes, shape `(samples,)`.
        moved: Booleans `(samples,)`.
        rows: The moves in words, with the share of each class among the neighbours of the points before and
            after; what lacks to 1 is empty place.
        class_names: A sequence that integer labels index, or a mapping from label to name.

    Returns:
        A new figure.

    Raises:
        ValueError: If a class has no name.

    Example:
        >>> places, labels = np.array([[0.0, 0.0], [5.0, 0.0]]), np.array([0, 1])
        >>> row = {"shift class 0": ({0: 1.0}, {0: 0.4, 1: 0.6})}
        >>> len(plan_figure(places, places + 1, labels, [True, False], row).axes)
        2
    """
    styles = class_styles(labels, class_names)
    flat = before.shape[1] == 2
    width, height = (10.6 if flat else 5.2), max(_ROW * len(rows) + 0.5, 5.0 if flat else 0.0)
    of_bars = width * _RATIO / (1 + _RATIO) if flat else width
    columns, below = lines_below(list(styles.values()), width)
    figure = new_figure(width, height + below + 0.2)
    axes = figure.subplots(1, 2, width_ratios=[1, _RATIO]) if flat else [figure.add_subplot()]
    if flat:
        displacement_arrows(
            before,
            targets,
            labels,
            moved=moved,
            class_names=class_names,
            title="What the plan asks of the points it moves, on average",
            most=0,
            legend=False,
            of_moved=True,
            ax=axes[0],
        )
        key = axes[0].get_legend()
        if key is not None:
            key.remove()
    _draw_bars(axes[-1], rows, styles, 0.94 * of_bars)
    legend_below(figure, list(styles.values()), columns)
    return figure


def _draw_bars(
    ax: Axes,
    rows: Mapping[str, tuple[Shares, Shares]],
    styles: Mapping[Any, ClassStyle],
    width: float,
) -> None:
    unit = width / (_RIGHT - _LEFT)
    draw_title(ax, "Nearest neighbours, before and after")
    for place, (name, pair) in enumerate(rows.items()):
        said = plain(_wrapped(name, unit * _RIGHT))
        ax.text(0, place - 0.34, said, fontsize=TEXT_SIZE, color=INK, va="bottom")
        for when, shares, down in zip(("before", "after"), pair, (-0.13, 0.18), strict=True):
            _draw_bar(ax, place + down, shares, styles, unit)
            ax.text(
                -0.015, place + down, when, fontsize=TEXT_SIZE, color=MUTED, ha="right", va="center"
            )
    ax.set_xlim(_LEFT, _RIGHT)
    ax.set_ylim(max(len(rows), 1) - 0.4, -0.75)
    ax.set_axis_off()


def _wrapped(text: str, width: float) -> str:
    """A text in two lines of so many inches at the most, an ellipsis for what is beyond."""
    letters = max(8, int(width / text_width("n")))
    return "\n".join(wrap(text, letters, max_lines=2, placeholder=" …"))


def _draw_bar(
    ax: Axes, place: float, shares: Shares, styles: Mapping[Any, ClassStyle], unit: float
) -> None:
    left = 0.0
    for label, share in sorted(shares.items(), key=lambda item: -item[1]):
        style = styles[label]
        ax.barh(
            place,
            share,
            left=left,
            height=0.26,
            color=style.color,
            edgecolor="white",
            linewidth=0.8,
        )
        if text_width(style.name) + _MARGIN <= share * unit:
            ink = "white" if _dark(style.color) else INK
            text = plain(style.name)
            ax.text(
                left + share / 2,
                place,
                text,
                fontsize=TEXT_SIZE,
                color=ink,
                ha="center",
                va="center",
                clip_on=True,
            )
        left += share
    if left < 0.995:
        ax.barh(
            place,
            1 - left,
            left=left,
            height=0.26,
            color="none",
            edgecolor=MUTED,
            linewidth=0.6,
            linestyle=":",
        )


def _dark(color: str) -> bool:
    return contrast_on_white(np.array(to_rgb(color))) > 4.5
