"""Where points came from: an arrow for each class that moved, and the outline of where it was."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from .outlines import class_outlines
from .style import INK, MUTED, SMALL_SIZE, ClassStyle, halo

# Of a shorter arrow, as a share of the map's width, one would see the head alone, bigger than the way.
SHORTEST = 0.035
_MOST_OUTLINES = 8


def draw_arrow(
    ax: Axes, start: NDArray[Any], stop: NDArray[Any], color: str, *, width: float = 2.2
) -> None:
    """Draws an arrow that lies above points and outlines, and does not count in the layout."""
    arrow = ax.annotate(
        "",
        (float(stop[0]), float(stop[1])),
        xytext=(float(start[0]), float(start[1])),
        arrowprops={
            "arrowstyle": "-|>,head_length=0.55,head_width=0.28",
            "color": color,
            "linewidth": width,
            "shrinkA": 0,
            "shrinkB": 0,
            "path_effects": halo(width + 2.3),
        },
        zorder=4,
    )
    arrow.set_in_layout(False)


def draw_origins(
    ax: Axes,
    before: NDArray[Any],
    after: NDArray[Any],
    labels: NDArray[Any],
    moved: NDArray[np.bool_],
    styles: Mapping[Any, ClassStyle],
) -> NDArray[np.float64]:
    """Draws the way of each moved class: an arrow of its mean, and a dashed line around where it was.

    More than eight such classes have arrows alone. A class that was contracted or turned in place has no
    arrow; the dashed line shows it.

    Args:
        ax: A map of the new positions, with its final limits.
        before: Old positions, shape `(samples, 2)` or `(samples, 3)`; the latter have arrows alone.
        after: New positions.
        labels: Classes.
        moved: Which points moved.
        styles: What stands for each class.

    Returns:
        Positions that a text should leave free, shape `(marks, components)`.
    """
    moved = moved & np.any(before != after, axis=1)
    names = [label for label in np.unique(labels[moved]).tolist() if label in styles]
    if not names:
        return np.zeros((0, before.shape[1]))
    ends = {
        label: (before[chosen].mean(axis=0), after[chosen].mean(axis=0))
        for label in names
        for chosen in [moved & (labels == label)]
    }
    if before.shape[1] == 3:
        for label, (start, stop) in ends.items():
            way = {"color": styles[label].ink, "linewidth": 2.0, "arrow_length_ratio": 0.2}
            cast(Any, ax).quiver(*start, *(stop - start), **way)
        return np.concatenate([_along(start, stop) for start, stop in ends.values()])
    span = float(np.ptp(ax.get_xlim()))
    if len(names) <= _MOST_OUTLINES:
        found = class_outlines(before[moved], labels[moved], width=span, total=len(before))
        for label, outline in found.items():
            if label in styles:
                outline.draw(ax, styles[label].ink, dashed=True)
    kept = []
    for label, (start, stop) in ends.items():
        if np.hypot(*(stop - start)) > SHORTEST * span:
            color = styles[label].ink
            ax.plot(*start, marker="o", markersize=3.5, color=color, path_effects=halo(), zorder=4)
            draw_arrow(ax, start, stop, color, width=1.9)
            kept.append(_along(start, stop))
    return np.concatenate(kept) if kept else np.zeros((0, 2))


def _along(start: NDArray[Any], stop: NDArray[Any]) -> NDArray[np.float64]:
    """Places on an arrow, close enough for no text to lie between them."""
    return start + np.array([[0.0], [0.35], [0.7], [1.0]]) * (stop - start)


def origin_key(before: NDArray[Any], after: NDArray[Any], labels: NDArray[Any], moved: Any) -> str:
    """What explains the arrows and dashed lines of `draw_origins`, in a few words."""
    chosen = moved & np.any(before != after, axis=1)
    if not chosen.any() or before.shape[1] == 3:
        return ""
    few = len(np.unique(labels[chosen])) <= _MOST_OUTLINES
    return f"{'dashed: before; ' if few else ''}arrow: the mean's way"


# What is done to a sample, how it is marked on a map, and the mark as a letter.
_SIGNS = {
    "weighed": (
        {"marker": "o", "facecolors": "none", "s": 30, "linewidths": 0.9},
        "\N{WHITE CIRCLE}",
    ),
    "relabelled": (
        {"marker": "s", "facecolors": "none", "s": 34, "linewidths": 0.9},
        "\N{WHITE SQUARE}",
    ),
    "excluded": ({"marker": "x", "s": 22, "linewidths": 1.1}, "\N{MULTIPLICATION SIGN}"),
}


def draw_signs(ax: Axes, points: NDArray[Any], signs: Mapping[str, NDArray[np.bool_]]) -> str:
    """Marks samples that are weighed, relabelled or excluded; returns the words that explain the marks."""
    said = []
    for what, (look, letter) in _SIGNS.items():
        rows = signs.get(what)
        if rows is not None and rows.any():
            color = {"edgecolors": INK} if "facecolors" in look else {"color": INK}
            cast(Any, ax).scatter(*points[rows].T, alpha=0.85, zorder=3.5, **look, **color)
            said.append(f"{letter} {what}")
    return "  ".join(said)


def draw_key(ax: Axes, lines: Sequence[str]) -> None:
    """Writes what explains the marks below the left corner of a map."""
    said = [line for line in lines if line]
    if not said:
        return
    write: dict[str, Any] = {
        "transform": ax.transAxes,
        "fontsize": SMALL_SIZE,
        "color": MUTED,
        "ha": "left",
        "va": "top",
    }
    any_axes = cast(Any, ax)
    (any_axes.text2D if ax.name == "3d" else ax.text)(0.0, -0.005, "\n".join(said), **write)
