"""What every map has, whatever is drawn in it: limits, a frame, a scale bar, and the size of its points."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator, MultipleLocator, NullFormatter
from numpy.typing import NDArray

from .style import FRAME, MUTED, SMALL_SIZE


def fitting_limits(embeddings: Sequence[NDArray[Any]]) -> tuple[float, ...]:
    """Returns the ends of each component that show all points of all embeddings.

    There are four percent of air around them, and the sides of a map differ by no more than a
    third, so that a panel is never a sliver.

    Example:
        >>> fitting_limits([np.array([[0.0, 0.0], [100.0, 100.0]])])
        (-4.0, 104.0, -4.0, 104.0)
    """
    low = np.min([points.min(axis=0) for points in embeddings], axis=0).astype(np.float64)
    high = np.max([points.max(axis=0) for points in embeddings], axis=0).astype(np.float64)
    widest = float((high - low).max())
    # All points at one spot: any width shows them.
    side = widest if widest > 0 else max(1.0, float(np.abs(high).max()))
    half = np.maximum(high - low, side / 1.5) / 2 + 0.04 * side
    ends = np.stack([(low + high) / 2 - half, (low + high) / 2 + half], axis=1)
    return tuple(float(end) for end in ends.ravel())


def draw_scale_bar(ax: Axes, limits: Sequence[float]) -> None:
    """Draws a bar of round length under the right corner of a map; in perspective it says the grid's.

    The unit is the map's own, that in which moves say how far (`Shift(4, by=(1, 0))`).
    """
    span = limits[1] - limits[0]
    length = _round_length(limits)
    unit = f"{length:g} map {'unit' if length == 1 else 'units'}"
    if len(limits) == 6:
        where = {"transform": ax.transAxes, "ha": "right", "va": "top", "fontsize": SMALL_SIZE}
        cast(Any, ax).text2D(1.0, -0.005, f"grid: {unit}", color=MUTED, **where)
        return
    across = ax.get_xaxis_transform()
    ends = [limits[1] - length, limits[1]]
    ax.plot(
        ends,
        [-0.02, -0.02],
        transform=across,
        color=MUTED,
        linewidth=1.6,
        solid_capstyle="butt",
        clip_on=False,
    )
    ax.text(
        ends[0] - 0.012 * span,
        -0.02,
        unit,
        transform=across,
        ha="right",
        va="center",
        fontsize=SMALL_SIZE,
        color=MUTED,
    )


def _round_length(limits: Sequence[float]) -> float:
    span = limits[1] - limits[0]
    return float(next(tick for tick in MaxNLocator(6).tick_values(0.0, span) if tick > 0))


def point_size(count: int, width: float = 6.0) -> float:
    """Returns the marker area in square points: `count` points on `width` inches of map."""
    return float(np.clip(420.0 / np.sqrt(count), 1.3, 30.0) * np.clip(width / 6.0, 0.4, 1.0))


def point_alpha(count: int) -> float:
    """Returns the opacity at which `count` points still show what lies below them."""
    return float(np.clip(1.6 * count**-0.13, 0.35, 0.85))


def frame_axes(ax: Axes, limits: Sequence[float]) -> None:
    """Gives a map its limits, equal aspect and a light frame without ticks."""
    ax.set(xlim=limits[:2], ylim=limits[2:4])
    if len(limits) == 6:
        ax3 = cast(Any, ax)
        ax3.set_zlim(*limits[4:])
        ax3.set_box_aspect(np.diff(np.reshape(limits, (3, 2)))[:, 0], zoom=1.1)
        for axis in (ax3.xaxis, ax3.yaxis, ax3.zaxis):
            axis.set_pane_color((1.0, 1.0, 1.0, 0.0))
            axis.set_major_locator(MultipleLocator(_round_length(limits)))
            axis.set_major_formatter(NullFormatter())
            axis.line.set_color(FRAME)
            axis.set_tick_params(color=FRAME)
            # mplot3d ignores the usual grid arguments.
            axis._axinfo["grid"].update(color="#EBEBEB", linewidth=0.8)
            axis._axinfo["tick"].update(inward_factor=0.0, outward_factor=0.0)
        return
    ax.set_aspect("equal", adjustable="box")
    ax.set(xticks=[], yticks=[])
    for spine in ax.spines.values():
        spine.set(color=FRAME, linewidth=0.8)
