"""What lies where on a map: decoded images laid over it, place by place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

from ..brief import brief_repr
from ..checks import checked_number, finite_array
from .frame import draw_scale_bar, fitting_limits, frame_axes
from .heatmaps import picture
from .layout import map_axes
from .legends import legend_beside
from .outlines import Outline, class_outlines, told_apart
from .placement import FEW_NAMES, label_spots
from .style import ClassNames, ClassStyle, class_labels, class_styles, draw_title, root_figure

_GAP = 0.06  # share of a cell's side that stays white between images


@dataclass(frozen=True, eq=False)
class MapGrid:
    """Square cells over the part of a map that holds points.

    Attributes:
        positions: Centres of the cells, float32 `(cells, 2)`, in units of the map.
        side: Length of a cell's side.
        limits: Ends of both components, `(x0, x1, y0, y1)`, that whole cells fill.
    """

    positions: NDArray[np.float32]
    side: float
    limits: tuple[float, float, float, float]

    __repr__ = brief_repr


def map_grid(embedding: ArrayLike, *, columns: int = 24, least: int = 1) -> MapGrid:
    """Returns the places of a map to decode: the centres of square cells that hold points.

    Far from all points a decoder can only guess, so empty cells are left out.

    Args:
        embedding: Positions of the points, shape `(samples, 2)`.
        columns: Cells across the map.
        least: Points that a cell must hold; 0 for every cell.

    Raises:
        ValueError: If positions are not finite or of another shape, a number is out of range, or no cell
            holds so many points.

    Example:
        >>> grid = map_grid([[0.0, 0.0], [10.0, 10.0]], columns=4)
        >>> len(grid.positions)
        2
    """
    points = _plane(embedding, "embedding")
    checked_number(columns, "columns", least=1, whole=True)
    checked_number(least, "least", least=0, whole=True)
    x0, x1, y0, y1 = fitting_limits([points])
    side = (x1 - x0) / columns
    rows = int(np.ceil((y1 - y0) / side - 1e-6))
    y0 = (y0 + y1) / 2 - rows * side / 2
    cell = np.floor((points - [x0, y0]) / side).astype(np.int64)
    counts = np.zeros((rows, columns), dtype=np.int64)
    np.add.at(counts, (cell[:, 1].clip(0, rows - 1), cell[:, 0].clip(0, columns - 1)), 1)
    row, column = np.nonzero(counts >= least)
    if not len(row):
        raise ValueError(
            f"No cell holds `least` = {least} points; the fullest holds {counts.max()}. "
            "Ask for fewer points, or for fewer and so larger cells with `columns`."
        )
    centres = np.stack([x0 + (column + 0.5) * side, y0 + (row + 0.5) * side], axis=1)
    return MapGrid(
        centres.astype(np.float32), float(side), (x0, x1, float(y0), float(y0 + rows * side))
    )


def decoding_map(
    images: ArrayLike,
    grid: MapGrid,
    *,
    embedding: ArrayLike | None = None,
    labels: ArrayLike | None = None,
    class_names: ClassNames | None = None,
    value_range: tuple[float, float] | None = None,
    invert: bool = False,
    contours: bool | None = None,
    direct_labels: bool = True,
    title: str | None = None,
    ax: Axes | None = None,
) -> Figure:
    """Draws what lies where on a map: an image in each cell of a grid.

    With the points and their classes, lines at the density threshold 1/N (see `class_density`) and names
    say whose region it is, as in `embedding_map`.

    Args:
        images: What each cell stands for, `(cells, height, width)`, or with a last axis of 1 or 3, such as
            `MapDecoder.images(grid.positions)`.
        grid: The cells, of `map_grid`.
        embedding: Positions of points, `(samples, 2)`, for the outlines of their classes.
        labels: Their classes, `(samples,)`.
        class_names: A sequence that integer labels index, or a mapping from label to name.
        value_range: The values drawn black and white. By default 0 to 255 for unsigned bytes, 0 to 1 for
            values within it, and otherwise the smallest and largest value of all images.
        invert: Whether to draw the greatest value black: bright strokes on black become ink on paper.
        contours: Whether to draw the outlines; by default unless they overlap too much to be followed.
        direct_labels: Whether to write the class names into the map; without, and for more than twelve
            classes, there is a legend.
        title: What stands above the map.
        ax: Axes to draw in.

    Returns:
        The figure, a new one or the one that `ax` lies in.

    Raises:
        ValueError: If images are of another number or shape, a value is not finite, only one of `embedding`
            and `labels` is given, or a class has no name.

    Example:
        >>> grid = map_grid(np.random.default_rng(0).normal(size=(60, 2)), columns=8)
        >>> figure = decoding_map(np.zeros((len(grid.positions), 8, 8)), grid)
        >>> len(figure.axes)
        1
    """
    shown = _cells(images, grid, value_range, invert)
    if (embedding is None) != (labels is None):
        raise ValueError("`embedding` and `labels` belong together. Received only one of them.")
    points = grid.positions if embedding is None else _plane(embedding, "embedding")
    classes = class_labels(labels, len(points))
    styles = class_styles(classes, class_names if labels is not None else None)
    outlines: Mapping[Any, Outline] = {}
    if labels is not None:
        outlines = class_outlines(points, classes, width=grid.limits[1] - grid.limits[0])
    if contours is None:
        contours = told_apart([(outlines.values(), points)])
    in_legend: list[ClassStyle] = []
    if labels is not None and (not direct_labels or len(styles) > FEW_NAMES):
        in_legend = list(styles.values())
    height = None
    if ax is None:
        ax, height = map_axes(grid.limits, in_legend)
    frame_axes(ax, grid.limits)
    _draw_cells(ax, shown, grid)
    draw_title(ax, title)
    draw_scale_bar(ax, grid.limits)
    for label, outline in outlines.items():
        if contours:
            outline.draw(ax, styles[label].ink)
    if in_legend:
        legend_beside(ax, in_legend, height=height)
    if outlines and direct_labels:
        _draw_names(ax, [(styles[label], found) for label, found in outlines.items()], grid)
    return root_figure(ax)


def _cells(
    images: ArrayLike, grid: MapGrid, value_range: tuple[float, float] | None, invert: bool
) -> NDArray[np.float64]:
    """Returns the images in RGB, in [0, 1]."""
    shape = np.shape(images)
    if len(shape) not in (3, 4) or (len(shape) == 4 and shape[3] not in (1, 3)):
        raise ValueError(
            "`images` must have shape (cells, height, width), or with a last axis of 1 or 3. "
            f"Received shape {shape}."
        )
    if len(shape) and shape[0] != len(grid.positions):
        raise ValueError(
            f"`images` must have one entry for each of the {len(grid.positions)} cells of the grid. "
            f"Received: {shape[0]}."
        )
    shown = picture(images, dimensions=3, value_range=value_range, name="images")
    if shown.ndim == 3:
        shown = np.repeat(shown[..., None], 3, axis=3)
    return 1.0 - shown if invert else shown


def _draw_cells(ax: Axes, shown: NDArray[np.float64], grid: MapGrid) -> None:
    """Draws all images as one, clear where there is none."""
    columns, rows, place = _places(grid)
    height, width = shown.shape[1:3]
    # Of one cell's pixels; small images are repeated, so that the gap is thinner than a pixel of theirs.
    times = max(1, -(-32 // max(height, width)))
    shown = shown.repeat(times, axis=1).repeat(times, axis=2)
    side = round(max(shown.shape[1:3]) * (1 + _GAP))
    canvas = np.zeros((rows * side, columns * side, 4), dtype=np.uint8)
    top, left = (side - shown.shape[1]) // 2, (side - shown.shape[2]) // 2
    for image, (column, row) in zip(shown, place, strict=True):
        first, start = (rows - 1 - row) * side + top, column * side + left
        cell = canvas[first : first + image.shape[0], start : start + image.shape[1]]
        cell[..., :3], cell[..., 3] = np.rint(255 * image), 255
    ax.imshow(canvas, extent=grid.limits, interpolation="antialiased", zorder=1)


def _draw_names(ax: Axes, named: Sequence[tuple[ClassStyle, Outline]], grid: MapGrid) -> None:
    """Writes names beside the images of their class, which they would hide."""
    columns, rows, place = _places(grid)
    free = np.ones((rows, columns), dtype=bool)
    free[place[:, 1], place[:, 0]] = False
    wide = free.copy()  # with free neighbours to both sides, as names are wider than images
    wide[:, 1:] &= free[:, :-1]
    wide[:, :-1] &= free[:, 1:]
    row, column = np.nonzero(wide)
    corner = np.array([grid.limits[0], grid.limits[2]])
    centres = corner + (np.stack([column, row], axis=1) + 0.5) * grid.side
    spots = []
    for _, outline in named:
        away = np.linalg.norm(centres - outline.density.peak, axis=1)
        spots.append(tuple(centres[away.argmin()]) if len(centres) else outline.density.peak)
    label_spots(ax, spots, [style for style, _ in named])


def _places(grid: MapGrid) -> tuple[int, int, NDArray[np.int64]]:
    """Returns the columns and rows of cells in the limits, and the column and row of each that is drawn."""
    x0, x1, y0, y1 = grid.limits
    place = np.floor((grid.positions - [x0, y0]) / grid.side).astype(np.int64)
    return round((x1 - x0) / grid.side), round((y1 - y0) / grid.side), place


def _plane(embedding: ArrayLike, name: str) -> NDArray[np.float32]:
    points = finite_array(embedding, name, ndim=2)
    if points.shape[1] != 2:
        raise ValueError(f"`{name}` must have 2 components. Received shape {points.shape}.")
    return points
