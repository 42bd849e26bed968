"""Three orthogonal slices through a volume and its attribution."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike, NDArray

from ..checks import quoted
from .attributions import axes_at, draw_color_bar, draw_heat, draw_picture
from .heatmaps import (
    Heatmap,
    central_peak,
    checked_alpha,
    faded,
    finite_values,
    heatmap,
    picture,
    spatial_dimensions,
)
from .style import INK, MUTED, SMALL_SIZE, TEXT_SIZE, TITLE_SIZE, new_figure, plain

# The axes that each panel shows down and across; it is cut across the remaining one.
_PANELS = ((1, 2), (0, 2), (0, 1))
_LONGEST = 2.6  # inches of the volume's longest edge
_BESIDE, _BELOW = 0.6, 0.45
_HOLE = 0.05  # of the longer edge, on each side of the voxel


def volume_slices(
    volume: ArrayLike,
    attribution: ArrayLike | None = None,
    *,
    at: Sequence[int] | None = None,
    voxel_size: Sequence[float] = (1.0, 1.0, 1.0),
    axis_names: Sequence[str] = ("depth", "height", "width"),
    signed: bool | None = None,
    percentile: float = 99.9,
    limit: float | None = None,
    alpha: float = 0.9,
    value_range: tuple[float, float] | None = None,
    label: str = "attribution",
    title: str | None = None,
) -> Figure:
    """Draws the three orthogonal slices of a volume that meet in one voxel.

    Lines mark in each slice where the two others cut it. All slices have one scale of length, in
    the unit of `voxel_size`, and, with an attribution, one scale of colours, which is that of
    the whole volume. Colours are those of `attribution_overlay`.

    Args:
        volume: One sample of shape `(depth, height, width)`, or with a last axis of channels:
            three are drawn as RGB, or in grey below a map; others as their mean.
        attribution: The same shape, or that without the channel axis; None draws the volume alone.
        at: Index of the voxel. By default where the absolute attribution is greatest, of
            several such voxels the most central, and without attribution the centre.
        voxel_size: Edges of a voxel along the three axes, such as the zooms of a NIfTI file.
        axis_names: What the three axes are called.
        signed: Whether to show the signs; by default where there are negative values.
        percentile: Share of the voxels, in percent, that lie within the scale. The default is
            higher than for images, as what is sought fills a smaller part of a volume.
        limit: The end of the scale itself, so that several figures compare.
        alpha: Opacity at the end of the scale.
        value_range: The volume's values drawn black and white; see `image_strip`.
        label: What the scale measures.
        title: What stands above the slices.

    Returns:
        A new figure; its first three axes are the slices across depth, height and width.

    Raises:
        ValueError: If shapes do not fit, a value is not finite, the voxel lies outside, an edge of
            a voxel is not positive, or `percentile`, `limit` or `alpha` is out of range.

    Example:
        >>> attribution = np.zeros((8, 9, 10))
        >>> attribution[2, 3, 4] = -1.0
        >>> figure = volume_slices(np.ones((8, 9, 10, 1)), attribution)
        >>> [ax.get_title() for ax in figure.axes[:3]]
        ['depth 2', 'height 3', 'width 4']
    """
    shape = finite_values(volume, "volume").shape
    spatial_dimensions(shape, (), dimensions=3)
    heat = None
    if attribution is not None:
        scale: dict[str, Any] = {"signed": signed, "percentile": percentile, "limit": limit}
        heat = heatmap(attribution, shape, dimensions=3, **scale)
    checked_alpha(alpha)
    voxel = _checked_voxel(at, shape[:3], heat)
    edges, names = _checked_edges(voxel_size), _checked_names(axis_names)
    shown = picture(volume, dimensions=3, value_range=value_range)
    figure, panels = _place_panels(np.multiply(shape[:3], edges), title, heat is not None)
    for cut, ax in enumerate(panels[:3]):
        here = (slice(None),) * cut + (voxel[cut],)
        plane = shown[here]
        draw_picture(ax, plane if heat is None else faded(plane))
        if heat is not None:
            draw_heat(ax, heat.plane(here), alpha)
        _draw_cross(ax, plane.shape, [voxel[axis] for axis in _PANELS[cut]], heat is not None)
        _name_panel(ax, cut, voxel[cut], names, edges)
    if heat is not None:
        draw_color_bar(figure, heat, alpha, label, cax=panels[3])
    return figure


def _place_panels(
    lengths: NDArray[np.float64], title: str | None, with_bar: bool
) -> tuple[Figure, list[Axes]]:
    """Places the slices side by side on one scale of length, and the colour bar after them."""
    inches = lengths * _LONGEST / lengths.max()
    head = 0.52 if title else 0.25
    tallest = max(inches[:2])
    across = sum(inches[axis] + _BESIDE for _, axis in _PANELS) + (0.75 if with_bar else 0.0)
    figure = new_figure(across, head + tallest + _BELOW)
    figure.set_layout_engine("none")
    panels, left = [], _BESIDE
    for down, axis in _PANELS:
        panels.append(axes_at(figure, left, head, inches[axis], inches[down]))
        left += inches[axis] + _BESIDE
    if with_bar:
        panels.append(axes_at(figure, left - 0.7 * _BESIDE, head, 0.14, tallest))
    if title:
        figure.suptitle(plain(title), fontsize=TITLE_SIZE, color=INK, x=0.0, y=1.0, ha="left")
    return figure, panels


def _draw_cross(ax: Axes, shape: Sequence[int], voxel: Sequence[int], pale: bool) -> None:
    """Draws where the other slices cut this one, open at the voxel so as not to hide it."""
    down, across = voxel
    hole = _HOLE * max(shape[:2]) + 0.5
    style: dict[str, Any] = {"color": INK if pale else "#E69F00", "linewidth": 0.7, "alpha": 0.8}
    ax.hlines([down, down], [-0.5, across + hole], [across - hole, shape[1] - 0.5], **style)
    ax.vlines([across, across], [-0.5, down + hole], [down - hole, shape[0] - 0.5], **style)
    ax.set(xlim=(-0.5, shape[1] - 0.5), ylim=(shape[0] - 0.5, -0.5))


def _name_panel(
    ax: Axes, cut: int, place: int, names: Sequence[str], edges: NDArray[np.float64]
) -> None:
    down, across = _PANELS[cut]
    ax.set_aspect(edges[down] / edges[across])
    ax.set_title(plain(f"{names[cut]} {place}"), fontsize=TEXT_SIZE, color=INK)
    ax.set_xlabel(plain(names[across]), fontsize=TEXT_SIZE, color=INK)
    ax.set_ylabel(plain(names[down]), fontsize=TEXT_SIZE, color=INK)
    ax.xaxis.set_major_locator(MaxNLocator(4, integer=True))
    ax.yaxis.set_major_locator(MaxNLocator(4, integer=True))
    ax.tick_params(length=0, labelsize=SMALL_SIZE, labelcolor=MUTED)


def _checked_voxel(
    at: Sequence[int] | None, shape: Sequence[int], heat: Heatmap | None
) -> tuple[int, ...]:
    if at is None:
        return central_peak(np.zeros(shape) if heat is None else np.abs(heat.values))
    voxel = tuple(operator.index(place) for place in at)
    if len(voxel) != 3 or not all(0 <= i < size for i, size in zip(voxel, shape, strict=True)):
        raise ValueError(
            f"`at` must be the index of a voxel of the volume of shape {tuple(shape)}. "
            f"Received: {voxel}."
        )
    return voxel


def _checked_edges(voxel_size: Sequence[float]) -> NDArray[np.float64]:
    edges = np.asarray(voxel_size, np.float64)
    if edges.shape != (3,) or not (np.isfinite(edges) & (edges > 0)).all():
        raise ValueError(f"`voxel_size` must be three positive lengths. Received: {voxel_size}.")
    return edges


def _checked_names(axis_names: Sequence[str]) -> Sequence[str]:
    if len(axis_names) != 3:
        raise ValueError(f"`axis_names` must be three. Received: {quoted(axis_names)}.")
    return axis_names
