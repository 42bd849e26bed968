"""Text that finds a free place near what it names."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.text import Text
from matplotlib.transforms import Bbox
from numpy.typing import ArrayLike, NDArray

from .style import SMALL_SIZE, ClassStyle, halo, plain, root_figure

FEW_NAMES = 12
# Up to how many names are how many points larger than small text.
_SIZES = ((FEW_NAMES, 0.5), (30, -0.5), (np.inf, -1.5))
_REACH = 26.0  # points that one of many names may move
_DIRECTIONS = 24
_LONGEST_LINE = 24  # letters


def label_spots(
    ax: Axes,
    spots: Sequence[tuple[float, float]],
    styles: Sequence[ClassStyle],
    *,
    avoid: ArrayLike = (),
    important: int = 0,
) -> list[Text]:
    """Writes each class's name at its spot, moved aside where names would overlap.

    The names are placed in the order given, so put the most important first. A name that had to
    move far keeps a thin line to its spot. No two overlap, and all stay inside the axes: a name that finds
    no place is left out. More than twelve are written smaller, and only near their spots, where they need no
    lines; these would be all that one sees. The important ones may move far all the same.

    Args:
        ax: Axes with their final limits.
        spots: One position a name, in data coordinates.
        styles: The classes to name.
        avoid: Positions of marks that no name may cover, shape `(marks, 2)`.
        important: How many names, the first ones, must find a place wherever there is one.

    Returns:
        The texts that found a place, in the order of `spots`.
    """
    size = SMALL_SIZE + next(more for most, more in _SIZES if len(styles) <= most)
    texts = [
        Axes.text(  # of the plane that is looked at, also in perspective
            ax,
            *spot,
            _wrapped(style.name),
            color=style.ink,
            fontsize=size,
            fontweight="bold",
            ha="center",
            va="center",
            linespacing=1.0,
            path_effects=halo(3.0),
            zorder=6,
        )
        for spot, style in zip(spots, styles, strict=True)
    ]
    # Text must not count in the layout, or moving it would move the axes it was measured in.
    for text in texts:
        text.set_in_layout(False)
    figure = root_figure(ax)
    figure.draw_without_rendering()
    frame, pixel = ax.get_window_extent(), figure.dpi / 100
    # A mark's ring, 11 pixels about its position, and its number to the upper right.
    marks = _pixels(ax, avoid)
    taken = [(*(mark - 11 * pixel), *(mark + 21 * pixel)) for mark in marks]
    anywhere = float(np.hypot(frame.width, frame.height))
    near = _REACH * figure.dpi / 72 if len(styles) > FEW_NAMES else anywhere
    placed = []
    for index, (text, spot, style) in enumerate(zip(texts, spots, styles, strict=True)):
        anchor = _pixels(ax, spot)[0]
        extent = text.get_window_extent()
        room = np.array([extent.width + 4 * pixel, extent.height + 2 * pixel])
        furthest = anywhere if index < important else near
        centre = _free_centre(anchor, room, frame, np.reshape(taken, (-1, 4)), furthest)
        if centre is None:
            text.remove()
            continue
        placed.append(text)
        taken.append((*(centre - room / 2), *(centre + room / 2)))
        if not np.allclose(centre, anchor):
            _move(ax, text, centre, spot, style.ink, far=room / 2 + 26 * pixel)
    return placed


def _pixels(ax: Axes, places: ArrayLike) -> NDArray[np.float64]:
    return np.asarray(ax.transData.transform(np.reshape(np.asarray(places, np.float64), (-1, 2))))


def _wrapped(name: str) -> str:
    """Breaks a long name into lines: at the spaces that keep it narrow, and within words that have none."""
    lines = [""]
    for word in name.split():
        if lines[-1] and len(lines[-1]) + len(word) >= 16:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
        while len(lines[-1]) > _LONGEST_LINE:
            lines[-1:] = [lines[-1][:_LONGEST_LINE], lines[-1][_LONGEST_LINE:]]
    return plain("\n".join(lines))


def _free_centre(
    anchor: NDArray[np.float64],
    room: NDArray[np.float64],
    frame: Bbox,
    taken: NDArray[np.float64],
    furthest: float,
) -> NDArray[np.float64] | None:
    """Returns the nearest place that has room, all in pixels, or None.

    Args:
        anchor: Where a text would stand.
        room: Its width and height.
        frame: Where it must stay.
        taken: Boxes that it must leave free, as x0, y0, x1, y1.
        furthest: How far from the anchor it may stand.
    """
    step = 0.45 * min(room[1], 18.0)
    angles = np.arange(_DIRECTIONS) * 2 * np.pi / _DIRECTIONS + np.pi / 2
    around = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    rings = np.arange(1, int(furthest / step) + 1)[:, None, None] * step * around
    centres = np.concatenate([anchor[None], anchor + rings.reshape(-1, 2)])
    low, high = centres - room / 2, centres + room / 2
    inside = ((low >= frame.min) & (high <= frame.max)).all(axis=1)
    centres, low, high = centres[inside], low[inside], high[inside]
    # Sides that touch do not count.
    meets = (low[:, None] < taken[:, 2:]) & (high[:, None] > taken[:, :2])
    free = np.flatnonzero(~np.any(np.all(meets, axis=2), axis=1))
    return centres[free[0]] if len(free) else None


def _move(
    ax: Axes,
    text: Text,
    centre: NDArray[np.float64],
    spot: tuple[float, float],
    color: str,
    *,
    far: NDArray[np.float64],
) -> None:
    place = ax.transData.inverted().transform(centre)
    text.set_position((float(place[0]), float(place[1])))
    # A name on its spot or right beside it needs no line to it.
    if not np.all(np.abs(_pixels(ax, spot)[0] - centre) <= far):
        Axes.plot(
            ax,
            [spot[0], place[0]],
            [spot[1], place[1]],
            color=color,
            linewidth=0.9,
            path_effects=halo(2.2),
            zorder=5,
            scalex=False,
            scaley=False,
        )
