"""Many slices of one volume, side by side."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from ..checks import checked_number, one_of
from .anatomy import PLANES
from .attributions import axes_at, draw_color_bar
from .slice_marks import draw_length, draw_letters, draw_note
from .slice_panels import SlicedVolume, sliced_volume
from .style import INK, SMALL_SIZE, TITLE_SIZE, new_figure, plain

_WIDEST, _LARGEST = 9.0, 2.2  # inches of all slices in a row, and of one
_NARROWEST = 0.75  # inches that the place of a slice takes up
_GAP, _NAME, _LETTERS = 0.06, 0.2, 0.22
_SCREEN = 1.7  # width over height
_OVER = ("body", "map")
_SEEN = 0.1  # of the map's scale


def volume_mosaic(
    volume: ArrayLike,
    attribution: ArrayLike | None = None,
    *,
    axis: str | int | None = None,
    slices: int = 12,
    columns: int | None = None,
    over: str = "body",
    affine: ArrayLike | None = None,
    outline: ArrayLike | None = None,
    convention: str = "neurological",
    crop: bool = True,
    voxel_size: Sequence[float] | None = None,
    axis_names: Sequence[str] | None = None,
    signed: bool | None = None,
    percentile: float = 99.9,
    limit: float | None = None,
    alpha: float = 0.9,
    value_range: tuple[float, float] | None = None,
    label: str = "attribution",
    title: str | None = None,
) -> Figure:
    """Draws slices of a volume along one axis, evenly spaced over where the body is.

    All slices have one scale of length and of colours. With an affine they are upright, and their places
    are in millimetres. Letters stand at the sides of the grid, and hold for each slice. They are drawn
    from the lowest index on, with an affine from inferior, posterior or left.

    Args:
        volume: One sample, as in `volume_slices`.
        attribution: The same shape, or that without the channel axis; None draws the volume alone.
        axis: "axial", "coronal" or "sagittal" with an affine, by default axial; without one the axis of
            the array that slices cut across, by default 0.
        slices: How many; fewer where there are fewer.
        columns: Slices in a row, by default as many as make a figure of one screen's shape.
        over: "body", or "map" for those slices in which the map exceeds a tenth of its scale.
        affine: From an index of the volume to millimetres, as in `volume_slices`.
        outline: Mask whose edge is drawn.
        convention: "neurological" or "radiological"; see `volume_slices`.
        crop: Whether to leave out what is empty around the body.
        voxel_size: Edges of a voxel along the three axes; by default those that the affine tells, or 1.
        axis_names: What the slices across the three axes are called.
        signed: Whether to show the signs; by default where there are negative values.
        percentile: Share of the voxels of the whole volume, in percent, that lie within the scale.
        limit: The end of the scale itself.
        alpha: Opacity at the end of the scale.
        value_range: The volume's values drawn black and white.
        label: What the scale measures.
        title: What stands above the slices.

    Returns:
        A new figure with one axes a slice, row by row, and with an attribution that of the scale.

    Raises:
        ValueError: As in `volume_slices`, or if `axis`, `slices`, `columns` or `over` is none of those
            above, or `over="map"` is asked for without a map.

    Example:
        >>> volume = np.pad(np.ones((6, 6, 6)), 4)
        >>> figure = volume_mosaic(volume, slices=3, affine=np.diag([2, 2, 2, 1]))
        >>> [ax.get_title() for ax in figure.axes]
        ['z = 10 mm', 'z = 14 mm', 'z = 18 mm']
    """
    checked_number(slices, "slices", least=1, whole=True)
    if columns is not None:
        checked_number(columns, "columns", least=1, whole=True)
    scene = sliced_volume(
        volume,
        attribution,
        affine=affine,
        outline=outline,
        voxel_size=voxel_size,
        axis_names=axis_names,
        convention=convention,
        crop=crop,
        alpha=alpha,
        value_range=value_range,
        scale={"signed": signed, "percentile": percentile, "limit": limit},
    )
    cut = _checked_axis(axis, scene)
    places = _places(scene, cut, slices, one_of(over, _OVER, "over"))
    figure, panels, bar = _place_grid(scene, cut, len(places), columns, title)
    for place, ax in zip(places, panels, strict=True):
        scene.draw(ax, cut, place)
        voxel = [(low + high) // 2 for low, high in scene.box]
        voxel[cut] = place
        where = scene.where(cut, voxel)
        ax.set_title(plain(where), fontsize=SMALL_SIZE, color=INK, pad=3.0)
    if scene.heat is not None:
        draw_color_bar(figure, scene.heat, alpha, label, cax=bar)
    return figure


def _checked_axis(axis: str | int | None, scene: SlicedVolume) -> int:
    if scene.anatomy is None:
        if isinstance(axis, str):
            raise ValueError(
                f"Of a volume without an `affine` it is not known which axis is {axis!r}: give the affine, "
                "or the axis as 0, 1 or 2."
            )
        return int(one_of(0 if axis is None else axis, range(3), "axis"))
    return PLANES.index(one_of("axial" if axis is None else axis, PLANES, "axis"))


def _places(scene: SlicedVolume, cut: int, slices: int, over: str) -> list[int]:
    """Returns the middles of equal parts of where there is something to see."""
    first, last = scene.extent[cut]
    if over == "map":
        if scene.heat is None:
            raise ValueError("`over='map'` needs an `attribution`. Received: None.")
        others = tuple(other for other in range(3) if other != cut)
        seen = np.flatnonzero((scene.heat.strength > _SEEN).any(axis=others))
        first, last = (int(seen[0]), int(seen[-1])) if len(seen) else (first, last)
    count = min(slices, last - first + 1)
    middles = first + (np.arange(count) + 0.5) * (last - first + 1) / count
    return [int(place) for place in np.floor(middles)]


def _place_grid(
    scene: SlicedVolume, cut: int, count: int, columns: int | None, title: str | None
) -> tuple[Figure, list[Axes], Axes | None]:
    """Places the slices row by row, and the colour bar after them."""
    height, width = scene.inches(cut)
    columns = _columns(count, height / width) if columns is None else min(columns, count)
    rows = -(-count // columns)
    unit = min(_WIDEST / (columns * width), _LARGEST / max(height, width))
    height, width = height * unit, width * unit
    column, row = max(width, _NARROWEST) + _GAP, height + _NAME + _GAP
    body = scene.anatomy is not None
    side = _LETTERS if body else 0.05
    head = (0.28 if title else 0.04) + (_LETTERS if body else 0.0)
    tall = rows * row - _GAP
    with_bar = scene.heat is not None
    across = columns * column - _GAP + 2 * side + (0.85 if with_bar else 0.0)
    figure = new_figure(across, head + tall + (_LETTERS + 0.24 if body else 0.05))
    figure.set_layout_engine("none")
    panels = []
    for index in range(count):
        down, beside = divmod(index, columns)
        left = side + beside * column + (column - _GAP - width) / 2
        panels.append(axes_at(figure, left, head + down * row + _NAME, width, height))
    bar = None
    if with_bar:
        left = side + columns * column - _GAP + max(side, 0.15)
        bar = axes_at(figure, left, head + _NAME, 0.13, tall - _NAME)
    if title:
        figure.suptitle(plain(title), fontsize=TITLE_SIZE, color=INK, x=0.0, y=1.0, ha="left")
    letters = scene.letters(cut)
    if letters is not None:
        _draw_outer_letters(panels, letters, columns)
        draw_length(figure, side + columns * column - _GAP, 0.1, unit, 0.7 * width / unit)
        draw_note(figure, scene.note)
    return figure, panels, bar


def _columns(count: int, aspect: float) -> int:
    """Slices in a row: as many as make a figure wider than high, and leave few places empty."""
    wanted = float(np.sqrt(_SCREEN * count * aspect))
    near = range(max(1, round(0.7 * wanted)), min(count, round(1.5 * wanted)) + 1)
    return min(near, key=lambda columns: (-count % columns, abs(columns - wanted)), default=count)


def _draw_outer_letters(panels: Sequence[Axes], letters: Sequence[str], columns: int) -> None:
    """Writes the letters around the grid: at the first and last slice of rows and columns."""
    left, right, below, above = letters
    last = len(panels) - 1
    for index, ax in enumerate(panels):
        ends = index % columns == columns - 1 or index == last
        draw_letters(
            ax,
            (
                left if index % columns == 0 else "",
                right if ends else "",
                below if index + columns > last else "",
                "",
            ),
        )
        if index < columns:
            draw_letters(ax, ("", "", "", above), name=_NAME)
