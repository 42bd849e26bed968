"""A mean with its interval in a row of scores, and its value beside the axes."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes

from .style import SMALL_SIZE


def mark_mean(ax: Axes, place: float, interval: tuple[float, float, float], *, color: str) -> None:
    """Draws the mean as a diamond and its interval, if there is one, as a line.

    Args:
        ax: The axes, with scores along x.
        place: The row, along y.
        interval: Mean, low and high; low is NaN where there is no interval.
        color: Of both.
    """
    mean, low, high = interval
    if np.isfinite(low):
        ax.plot([low, high], [place] * 2, color=color, linewidth=2.2, zorder=3)
    ax.plot(mean, place, marker="D", markersize=6, color=color, mec="white", zorder=4)


def write_beside(ax: Axes, place: float, text: str, *, color: str, bold: bool = False) -> None:
    """Writes a text to the right of the axes, at the height of a row."""
    ax.annotate(
        text,
        (1.0, place),
        xycoords=ax.get_yaxis_transform(),
        xytext=(6, 0),
        textcoords="offset points",
        va="center_baseline",
        fontsize=SMALL_SIZE,
        fontweight="bold" if bold else "normal",
        color=color,
        annotation_clip=False,
    )
