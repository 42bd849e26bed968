"""What stands around slices: letters of the body, marks of the voxel, a bar of length, a note."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.markers import CARETDOWN, CARETLEFT, CARETRIGHT, CARETUP
from matplotlib.ticker import MaxNLocator

from .style import INK, MUTED, SMALL_SIZE, TEXT_SIZE, plain

_LETTER = 10.5  # points from the edge of a slice to the middle of its letter


def draw_letters(ax: Axes, letters: Sequence[str] | None, *, name: float = 0.0) -> None:
    """Writes which side of the body lies left, right, below and above a slice, outside of it.

    Args:
        ax: The slice.
        letters: Those of the four sides, or None for a grid of unknown place.
        name: Inches above the slice that its name takes up.
    """
    if letters is None:
        return
    places = ((0.0, 0.5, -1, 0), (1.0, 0.5, 1, 0), (0.5, 0.0, 0, -1), (0.5, 1.0, 0, 1))
    for letter, (x, y, right, up) in zip(letters, places, strict=True):
        ax.annotate(
            letter,
            (x, y),
            xycoords="axes fraction",
            xytext=(_LETTER * right, _LETTER * up + 72 * name * (y == 1.0)),
            textcoords="offset points",
            ha="center",
            va="center",
            fontsize=SMALL_SIZE,
            color=INK,
            annotation_clip=False,
        )


def draw_marks(ax: Axes, down: int, across: int) -> None:
    """Points from all four sides at a voxel, from outside of the slice, so that nothing is hidden."""
    style: dict[str, Any] = {
        "clip_on": False,
        "markersize": 4.5,
        "color": "#B35A00",
        "linestyle": "",
    }
    for side, (below, above) in enumerate(((CARETUP, CARETDOWN), (CARETRIGHT, CARETLEFT))):
        for end, marker in ((0.0, below), (1.0, above)):
            if side == 0:
                ax.plot([across], [end], marker=marker, transform=ax.get_xaxis_transform(), **style)
            else:
                ax.plot([end], [down], marker=marker, transform=ax.get_yaxis_transform(), **style)


def draw_length(figure: Figure, right: float, up: float, inches: float, longest: float) -> None:
    """Draws a bar of round length, in millimetres, that ends at a place in inches of a figure.

    Args:
        figure: What to draw in.
        right: Where the bar ends, from the left.
        up: Its height above the bottom.
        inches: Inches of a millimetre.
        longest: Millimetres that it must not exceed.
    """
    power = 10.0 ** np.floor(np.log10(longest))
    length = max(step * power for step in (1, 2, 5) if step * power <= longest)
    across, height = figure.get_size_inches()
    ends = np.array([right - length * inches, right]) / across
    bar = Line2D(ends, [up / height] * 2, color=MUTED, linewidth=1.6, solid_capstyle="butt")
    figure.add_artist(bar)
    figure.text(
        ends[0] - 0.05 / across,
        up / height,
        f"{length:g} mm",
        ha="right",
        va="center",
        fontsize=SMALL_SIZE,
        color=MUTED,
    )


def draw_note(figure: Figure, note: str) -> None:
    """Writes what must be known to read the letters, in the lower left corner of a figure."""
    across, height = figure.get_size_inches()
    style: dict[str, Any] = {"fontsize": SMALL_SIZE, "color": MUTED, "ha": "left", "va": "center"}
    figure.text(0.04 / across, 0.1 / height, note, **style)


def name_axes(ax: Axes, down: str, across: str) -> None:
    """Gives a slice of a mere grid the names of its axes and a few of its indices."""
    ax.set_xlabel(plain(across), fontsize=TEXT_SIZE, color=INK)
    ax.set_ylabel(plain(down), fontsize=TEXT_SIZE, color=INK)
    ax.xaxis.set_major_locator(MaxNLocator(4, integer=True))
    ax.yaxis.set_major_locator(MaxNLocator(4, integer=True))
    ax.tick_params(length=0, pad=5, labelsize=SMALL_SIZE, labelcolor=MUTED)
