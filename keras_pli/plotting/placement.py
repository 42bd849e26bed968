"""Text that finds a free place near what it names."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.text import Text
from matplotlib.transforms import Bbox
from numpy.typing import ArrayLike, NDArray

from .style import SMALL_SIZE, ClassStyle, halo, plain, root_figure

_RINGS = 40
_DIRECTIONS = 24


def label_spots(
    ax: Axes,
    spots: Sequence[tuple[float, float]],
    styles: Sequence[ClassStyle],
    *,
    avoid: ArrayLike = (),
    size: float = SMALL_SIZE + 0.5,
) -> list[Text]:
    """Writes each class's name at its spot, moved aside where names would overlap.

    The names are placed in the order given, so put the most important first. A name that had to
    move keeps a thin line to its spot. All stay inside the axes.

    Args:
        ax: Axes with their final limits.
        spots: One position a name, in data coordinates.
        styles: The classes to name.
        avoid: Positions of marks that no name may cover, shape `(marks, 2)`.
        size: Font size in points.

    Returns:
        The texts, in the order of `spots`.
    """
    texts = [
        ax.text(
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
    root_figure(ax).draw_without_rendering()
    frame = ax.get_window_extent()
    # A mark's ring, 11 pixels about its position, and its number to the upper right.
    taken = [Bbox.from_bounds(x - 11, y - 11, 32, 32) for x, y in _pixels(ax, avoid)]
    for text, spot, style in zip(texts, spots, styles, strict=True):
        anchor = ax.transData.transform(spot)
        extent = text.get_window_extent()
        centre = _free_centre(anchor, extent, frame, taken)
        taken.append(_box(centre, extent))
        if not np.allclose(centre, anchor):
            _move(ax, text, centre, spot, style.ink)
    return texts


def _pixels(ax: Axes, places: ArrayLike) -> NDArray[np.float64]:
    return np.asarray(ax.transData.transform(np.reshape(np.asarray(places, np.float64), (-1, 2))))


def _wrapped(name: str) -> str:
    """Breaks a long name into lines at the spaces that keep it narrow."""
    lines = [""]
    for word in plain(name).split():
        if lines[-1] and len(lines[-1]) + len(word) >= 16:
            lines.append(word)
        else:
            lines[-1] = f"{lines[-1]} {word}".strip()
    return "\n".join(lines)


def _free_centre(
    anchor: NDArray[np.float64], extent: Bbox, frame: Bbox, taken: Sequence[Bbox]
) -> NDArray[np.float64]:
    step = 0.45 * min(extent.height, 16.0)
    angles = np.arange(_DIRECTIONS) * 2 * np.pi / _DIRECTIONS + np.pi / 2
    around = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    rings = [anchor[None], *(anchor + ring * step * around for ring in range(1, _RINGS))]
    for candidate in np.concatenate(rings):
        box = _box(candidate, extent)
        inside = frame.x0 <= box.x0 and box.x1 <= frame.x1
        inside = inside and frame.y0 <= box.y0 and box.y1 <= frame.y1
        if inside and not any(box.overlaps(other) for other in taken):
            return np.asarray(candidate, dtype=np.float64)
    return anchor


def _box(centre: NDArray[np.float64], extent: Bbox) -> Bbox:
    width, height = extent.width + 4.0, extent.height + 2.0
    return Bbox.from_bounds(centre[0] - width / 2, centre[1] - height / 2, width, height)


def _move(
    ax: Axes, text: Text, centre: NDArray[np.float64], spot: tuple[float, float], color: str
) -> None:
    place = ax.transData.inverted().transform(centre)
    text.set_position((float(place[0]), float(place[1])))
    anchor = ax.transData.transform(spot)
    # A name on its spot or right beside it needs no line to it.
    if not _box(centre, text.get_window_extent()).padded(26.0).contains(*anchor):
        ax.plot(
            [spot[0], place[0]],
            [spot[1], place[1]],
            color=color,
            linewidth=0.9,
            path_effects=halo(2.2),
            zorder=5,
            scalex=False,
            scaley=False,
        )
