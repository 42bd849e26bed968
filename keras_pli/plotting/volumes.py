"""Three orthogonal slices through a volume and its attribution."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from .anatomy import checked_voxel
from .attributions import axes_at, draw_color_bar
from .heatmaps import central_peak
from .slice_marks import draw_length, draw_letters, draw_marks, draw_note, name_axes
from .slice_panels import SlicedVolume, sliced_volume
from .style import INK, TEXT_SIZE, TITLE_SIZE, new_figure, plain

_TALLEST, _WIDEST = 3.2, 8.2  # inches that the slices may take up
_NARROWEST = 1.45  # inches that the name of a slice takes up
_LETTERS = 0.28  # inches around a slice for its letters and marks
_TICKS, _TICKS_BELOW = 0.5, 0.45


def volume_slices(
    volume: ArrayLike,
    attribution: ArrayLike | None = None,
    *,
    affine: ArrayLike | None = None,
    at: Sequence[int] | None = None,
    at_mm: ArrayLike | None = None,
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
    """Draws the three orthogonal slices of a volume that meet in one voxel.

    With an affine the slices stand upright in the body, whatever the order and direction of the array's
    axes: superior up in sagittal and coronal slices, anterior up in axial ones, each with its place in
    millimetres and letters at its sides (left, right, anterior, posterior, superior, inferior). Axes that
    are oblique to the body count as the nearest of its own, and positions are marked as approximate.

    Marks around each slice show where the two others cut it. All slices have one scale of length and,
    with an attribution, one scale of colours, which is that of the whole volume and symmetric where
    there are signs. Colours are those of `attribution_overlay`.

    Args:
        volume: One sample of shape `(depth, height, width)`, with an affine of any three axes, or with a
            last axis of channels: three are drawn as RGB, or in grey below a map; others as their mean.
        attribution: The same shape, or that without the channel axis; None draws the volume alone.
        affine: From an index of the volume to millimetres, to the right, to the front and up, shape
            `(4, 4)`, as that of a NIfTI image; None for a grid of unknown place.
        at: Index of the voxel in the given array. By default where the absolute attribution is greatest,
            of several such voxels the most central, and without attribution the centre.
        at_mm: The voxel's place in millimetres, instead; it needs the affine.
        outline: Mask of the volume's shape whose edge is drawn, such as a region, or where the truth lies.
        convention: "neurological", the body's left on the left and faces to the right, or "radiological",
            as seen from the feet: the body's right on the left, and faces to the left.
        crop: Whether to leave out what is empty around the body. What reaches half of the map's scale,
            the outline and the voxel are always kept.
        voxel_size: Edges of a voxel along the three axes; by default those that the affine tells, or 1.
        axis_names: What the slices across the three axes are called, by default "depth", "height" and
            "width", or "sagittal", "coronal" and "axial".
        signed: Whether to show the signs; by default where there are negative values.
        percentile: Share of the voxels, in percent, that lie within the scale. The default is
            higher than for images, as what is sought fills a smaller part of a volume.
        limit: The end of the scale itself, so that several figures compare.
        alpha: Opacity at the end of the scale.
        value_range: The volume's values drawn black and white; see `image_strip`. By default, with an
            affine, those that leave out half a percent of the body at each end.
        label: What the scale measures.
        title: What stands above the slices.

    Returns:
        A new figure; its first three axes are the slices across depth, height and width, or the sagittal,
        coronal and axial one. Of a volume that is one voxel thick there is only the slice that it is.

    Raises:
        ValueError: If shapes do not fit, a value is not finite, the voxel lies outside, an edge of
            a voxel is not positive, the affine cannot be inverted, both or neither of what needs the other
            is given, or `convention`, `percentile`, `limit` or `alpha` is out of range.

    Example:
        >>> attribution = np.zeros((8, 9, 10))
        >>> attribution[2, 3, 4] = -1.0
        >>> figure = volume_slices(np.ones((8, 9, 10, 1)), attribution)
        >>> [ax.get_title() for ax in figure.axes[:3]]
        ['depth 2', 'height 3', 'width 4']
        >>> figure = volume_slices(np.ones((8, 9, 10)), attribution, affine=np.diag([-2, 2, 2, 1]))
        >>> figure.axes[0].get_title()
        'sagittal, x = −4 mm'
    """
    scale: dict[str, Any] = {"signed": signed, "percentile": percentile, "limit": limit}
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
        scale=scale,
    )
    voxel = _voxel(scene, at, at_mm, np.shape(volume)[:3])
    scene = scene.including(voxel)
    cuts = _cuts_with_sides(scene)
    figure, panels, bar = _place_panels(scene, cuts, title)
    for cut, ax in zip(cuts, panels, strict=True):
        down, across = scene.sides(cut)
        scene.draw(ax, cut, voxel[cut])
        draw_marks(ax, voxel[down], voxel[across])
        draw_letters(ax, scene.letters(cut))
        where = scene.where(cut, voxel)
        name = where if scene.anatomy is None else f"{scene.names[cut]}, {where}"
        pad = 6.0 if scene.anatomy is None else 72 * _LETTERS + 2
        ax.set_title(plain(name), fontsize=TEXT_SIZE, color=INK, pad=pad)
        if scene.anatomy is None:
            name_axes(ax, scene.names[down], scene.names[across])
    if scene.heat is not None:
        draw_color_bar(figure, scene.heat, alpha, label, cax=bar)
    return figure


def _voxel(
    scene: SlicedVolume, at: Sequence[int] | None, at_mm: ArrayLike | None, shape: Sequence[int]
) -> tuple[int, ...]:
    """Returns the voxel in which the slices meet, in the upright array if the affine is known."""
    if at is not None and at_mm is not None:
        raise ValueError(f"Give `at` or `at_mm`, not both. Received: {at} and {at_mm}.")
    if at_mm is not None:
        if scene.anatomy is None:
            raise ValueError(f"`at_mm` needs the `affine`. Received: {at_mm} and no affine.")
        return scene.anatomy.nearest(at_mm)
    if at is not None:
        voxel = checked_voxel(at, shape)
        return voxel if scene.anatomy is None else scene.anatomy.voxel(voxel)
    heat = scene.heat
    return central_peak(np.zeros(scene.shape) if heat is None else np.abs(heat.values))


def _cuts_with_sides(scene: SlicedVolume) -> list[int]:
    """The slices to draw: of a volume one voxel thick, only the one that is more than a line."""
    wide = [cut for cut in range(3) if all(scene.shape[axis] > 1 for axis in scene.sides(cut))]
    return wide or [0, 1, 2]


def _place_panels(
    scene: SlicedVolume, cuts: Sequence[int], title: str | None
) -> tuple[Figure, list[Axes], Axes | None]:
    """Places the slices side by side on one scale of length, and the colour bar after them."""
    heights, widths = np.transpose([scene.inches(cut) for cut in cuts])
    unit = min(_TALLEST / heights.max(), _WIDEST / widths.sum())
    heights, widths = heights * unit, widths * unit
    columns = np.maximum(widths, _NARROWEST - 2 * _LETTERS)
    grid = scene.anatomy is None
    before, after = (_TICKS, 0.15) if grid else (_LETTERS, _LETTERS)
    head = (0.24 if title else 0.0) + (0.28 if grid else 0.24 + _LETTERS)
    below = _TICKS_BELOW if grid else _LETTERS + 0.24
    with_bar = scene.heat is not None
    across = float(columns.sum()) + len(cuts) * (before + after) + (0.85 if with_bar else 0.0)
    figure = new_figure(across, head + float(heights.max()) + below)
    figure.set_layout_engine("none")
    panels, left = [], before
    for height, width, column in zip(heights, widths, columns, strict=True):
        panels.append(axes_at(figure, left + (column - width) / 2, head, width, height))
        left += column + before + after
    bar = None
    if with_bar:
        bar = axes_at(figure, left - before + 0.05, head, 0.13, float(heights.max()))
    if title:
        figure.suptitle(plain(title), fontsize=TITLE_SIZE, color=INK, x=0.0, y=1.0, ha="left")
    if not grid:
        right = left - before - after - (columns[-1] - widths[-1]) / 2
        draw_length(figure, right, 0.1, unit, 0.5 * widths[-1] / unit)
        draw_note(figure, scene.note)
    return figure, panels, bar
