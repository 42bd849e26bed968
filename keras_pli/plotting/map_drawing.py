"""One map drawn into axes: points, contours, names and marks."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import ArrayLike, NDArray

from ..checks import quoted
from .frame import fitting_limits, frame_axes, point_alpha, point_size
from .map_inputs import with_grey
from .outlines import Outline, class_outlines, told_apart
from .placement import FEW_NAMES, label_spots
from .style import (
    INK,
    MUTED,
    NO_LABEL,
    PALE,
    TEXT_SIZE,
    ClassStyle,
    halo,
    marker_path,
    root_figure,
)


@dataclass(frozen=True)
class MapData:
    """One checked map: what the drawing functions below share."""

    points: NDArray[np.float32]
    labels: NDArray[Any]
    styles: Mapping[Any, ClassStyle]
    pale: frozenset[Any] = field(default_factory=frozenset)
    outlines: Mapping[Any, Outline] = field(default_factory=dict)


def map_outlines(
    maps: Iterable[NDArray[Any]],
    labels: Iterable[NDArray[Any]],
    limits: Sequence[float],
    styles: Mapping[Any, ClassStyle],
) -> list[dict[Any, Outline]]:
    """Returns the outlines of each map by class; there are none in three components, and of no label."""
    unlabelled = {label for label, style in styles.items() if style.name == NO_LABEL}
    width = limits[1] - limits[0]
    return [
        {
            label: outline
            for label, outline in class_outlines(points, classes, width=width).items()
            if label not in unlabelled
        }
        if len(limits) == 4
        else {}
        for points, classes in zip(maps, labels, strict=True)
    ]


def with_contours(asked: bool | None, maps: Sequence[MapData]) -> bool:
    """Whether to draw contour lines: as asked, or where an eye can tell them apart."""
    if asked is None:
        return told_apart([(data.outlines.values(), data.points) for data in maps])
    return asked


def fitting_contours(maps: Sequence[MapData]) -> tuple[float, ...]:
    """The limits that show all points and contours."""
    corners = [outline.corners for data in maps for outline in data.outlines.values()]
    return fitting_limits([*(data.points for data in maps), *(c for c in corners if len(c))])


def draw_map(
    ax: Axes, data: MapData, limits: Sequence[float], *, contours: bool, named: bool
) -> None:
    """Draws the frame, the points and the contour lines of a map, without its names."""
    if len(limits) == 6 and ax.name != "3d":
        raise ValueError(f"Three components need three-dimensional `ax`. Received {ax.name} axes.")
    if len(limits) == 4 and ax.name == "3d":
        raise ValueError("Two components need two-dimensional `ax`. Received 3d axes.")
    frame_axes(ax, limits)
    colors = None if named else MUTED
    _draw_points(ax, data, colors)
    if contours:
        for label, style in data.styles.items():
            if label in data.outlines:
                color = "#ABABAB" if label in data.pale else style.ink
                data.outlines[label].draw(ax, color)


def _draw_points(ax: Axes, data: MapData, color: str | None) -> None:
    """Scatters the points in random order, so that no class hides another by coming last."""
    count = len(data.points)
    width = ax.get_window_extent().width / root_figure(ax).dpi
    alpha = point_alpha(count)
    shuffled = np.random.default_rng(0).permutation(count)
    names, position = np.unique(data.labels[shuffled], return_inverse=True)
    drawn = [data.styles[label] for label in names.tolist()]
    faces = np.array([color or style.color for style in drawn])
    sizes = point_size(count, width) * np.array([style.area for style in drawn])
    grey = np.array([label in data.pale for label in names.tolist()])
    shapes = np.array([style.marker for style in drawn])
    # A collection may hold points of many shapes in one order, but in perspective it sorts colours alone.
    apart = (
        [shapes == shape for shape in dict.fromkeys(shapes)] if ax.name == "3d" else [shapes != ""]
    )
    paths = np.array([marker_path(style.marker) for style in drawn], dtype=object)
    # The greyed classes below all others.
    for of_class in apart:
        for below in (True, False):
            chosen = (of_class & (grey == below))[position]
            if not chosen.any():
                continue
            # Any: mplot3d's scatter takes a third position.
            points = cast(Any, ax).scatter(
                *data.points[shuffled[chosen]].T,
                c=PALE if below else faces[position[chosen]],
                marker=shapes[of_class][0],
                s=sizes[position[chosen]],
                alpha=alpha,
                linewidths=0,
                rasterized=True,
                zorder=1 if below else 2,
            )
            if ax.name != "3d":
                points.set_paths(paths[position[chosen]].tolist())


def draw_names(
    ax: Axes, data: MapData, avoid: NDArray[Any], first: Collection[Any] = frozenset()
) -> None:
    """Names the classes at their densest spots: `first`, then coloured before grey, large before small."""
    spots = _spots(ax, data)
    present = [label for label in data.styles if label in spots]
    present.sort(
        key=lambda label: (
            label not in first,
            label in data.pale,
            -int((data.labels == label).sum()),
        )
    )
    inked = [with_grey(data.styles, data.pale, MUTED)[label] for label in present]
    important = len(set(first) & set(present))
    # Of many, with the lines to them one would see little else.
    important = important if important <= FEW_NAMES else 0
    avoid = avoid if ax.name != "3d" else _seen(ax, avoid)
    places = [spots[label] for label in present]
    label_spots(ax, places, inked, avoid=avoid, important=important)


def _spots(ax: Axes, data: MapData) -> dict[Any, tuple[float, float]]:
    """Where each class's name belongs: its densest spot, or in perspective its middle."""
    if ax.name != "3d":
        return {label: outline.density.peak for label, outline in data.outlines.items()}
    named = [label for label, style in data.styles.items() if style.name != NO_LABEL]
    members = {label: data.points[data.labels == label] for label in named}
    return {
        label: tuple(_seen(ax, np.median(points, axis=0)[None])[0])
        for label, points in members.items()
        if len(points)
    }


def _seen(ax: Axes, points: NDArray[Any]) -> NDArray[np.float64]:
    """Positions in perspective, in the plane that is looked at."""
    points = np.reshape(points, (-1, 3))
    seen = np.c_[points, np.ones(len(points))] @ cast(Any, ax).get_proj().T
    return np.asarray(seen[:, :2] / seen[:, 3:])  # homogeneous coordinates


def draw_marks(ax: Axes, points: NDArray[Any], mark: ArrayLike | None) -> NDArray[Any]:
    """Rings and numbers samples; returns their positions."""
    if mark is None:
        return points[:0]
    rows = np.asarray(mark)
    wrong = rows[(rows < 0) | (rows >= len(points))] if rows.dtype.kind in "iu" else rows
    if rows.ndim != 1 or len(wrong):
        raise ValueError(
            f"`mark` must be a list of sample indices below {len(points)}. "
            f"Received shape {rows.shape} with {quoted(wrong.ravel())}."
        )
    ring = {"s": 70, "facecolors": "none", "edgecolors": INK, "linewidths": 1.4, "zorder": 7}
    cast(Any, ax).scatter(*points[rows].T, **ring)
    for number, row in enumerate(rows, start=1):
        if points.shape[1] == 3:
            cast(Any, ax).text(*points[row], f"  {number}", fontsize=TEXT_SIZE, color=INK)
            continue
        ax.annotate(
            str(number),
            tuple(points[row]),
            xytext=(6, 5),
            textcoords="offset points",
            fontsize=TEXT_SIZE,
            fontweight="bold",
            color=INK,
            path_effects=halo(),
            zorder=8,
        )
    return points[rows]
