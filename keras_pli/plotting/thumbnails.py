"""A map of images, laid on a grid so that none covers another."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

from ..checks import checked_number, finite_array
from ..optional import imported
from .grid_places import grid_places
from .images import scaled_pixels
from .legends import legend_beside, width_beside
from .style import ClassStyle, class_labels, class_styles, draw_title, new_figure

LONGEST_INCHES = 9.0
LONGEST = 4000  # pixels of the longer edge of a picture, unless the caller asks for more


def thumbnail_map(
    y: ArrayLike,
    images: ArrayLike,
    labels: ArrayLike | None = None,
    *,
    class_names: Sequence[str] | Mapping[Any, str] | None = None,
    room: float = 2.0,
    pixels: int | None = None,
    value_range: tuple[float, float] | None = None,
    title: str | None = None,
) -> Figure:
    """Draws a map with each sample's image in place of its point, none over another.

    Each image has a cell of a grid, near its place in the map. Up to tens of thousands of images can be
    drawn; store the figure with `dpi=300` to look at many of them.

    Args:
        y: Map of shape `(samples, 2)`.
        images: Shape `(samples, height, width)`, or with a last axis of 1 (grey) or 3 (RGB).
        labels: Classes, whose colours frame the images; None for no frames.
        class_names: As for `class_styles`.
        room: Cells for each image. With more the map's shape is kept better, and images are smaller.
        pixels: Pixels of a cell's edge. None takes the images' own size, or less where the picture would
            have more than 4,000 pixels along an edge.
        value_range: The values drawn black and white; see `image_strip`.
        title: What stands above the map.

    Raises:
        ValueError: If shapes do not fit, a value is not finite, or `room` is below 1.

    Example:
        >>> figure = thumbnail_map([[0.0, 0], [3, 1], [1, 4]], np.zeros((3, 8, 8)))
        >>> len(figure.axes)
        1
    """
    places = finite_array(y, "y", ndim=2).astype(np.float64)
    shown = scaled_pixels(images, value_range)
    if places.shape[1] != 2 or len(places) != len(shown):
        raise ValueError(
            f"`y` must have shape ({len(shown)}, 2), a place for each image. Received: {places.shape}."
        )
    cells = math.ceil(len(places) * checked_number(room, "room", least=1))
    rows, columns = _grid_size(places, cells)
    if pixels is None:
        pixels = max(2, min(max(shown.shape[1:3]), LONGEST // max(rows, columns)))
    edge = int(checked_number(pixels, "pixels", least=2, whole=True))
    classes = class_labels(labels, len(places))
    styles = {} if labels is None else class_styles(classes, class_names)
    colors = [to_rgb(styles[label].color) for label in classes] if styles else None
    picture = _picture(grid_places(places, rows, columns), shown, colors, (rows, columns), edge)
    return _drawn(picture, list(styles.values()), title)


def _grid_size(y: NDArray[np.float64], cells: int) -> tuple[int, int]:
    """Rows and columns of at least so many cells, about as wide and high as the map."""
    width, height = np.maximum(np.ptp(y, axis=0), 1e-12)
    aspect = float(np.clip(width / height, 0.25, 4.0))
    columns = max(1, math.ceil(math.sqrt(cells * aspect)))
    return math.ceil(cells / columns), columns


def _picture(
    cells: NDArray[np.intp],
    shown: NDArray[np.float64],
    colors: Sequence[tuple[float, float, float]] | None,
    size: tuple[int, int],
    edge: int,
) -> NDArray[np.float32]:
    """The whole map in pixels, white where no image lies."""
    frame = 0 if colors is None else max(1, edge // 12)
    picture = np.ones((size[0] * edge, size[1] * edge, 3), dtype=np.float32)
    for index, (row, column) in enumerate(cells):
        thumbnail = _fitted(shown[index], edge - 2 * frame)
        block = picture[row * edge : (row + 1) * edge, column * edge : (column + 1) * edge]
        if colors is not None:
            block[:] = colors[index]
        top, left = ((edge - side) // 2 for side in thumbnail.shape[:2])
        block[top : top + len(thumbnail), left : left + thumbnail.shape[1]] = thumbnail
    return picture


def _fitted(image: NDArray[np.float64], edge: int) -> NDArray[np.float32]:
    """An image in RGB whose longer side has so many pixels."""
    scale = edge / max(image.shape[:2])
    sides = tuple(max(1, round(scale * side)) for side in image.shape[:2])
    if sides != image.shape[:2]:
        resize = imported("skimage.transform", "Resizing images").resize
        # Enlarged, few pixels are meant to be seen as such.
        order = 0 if scale > 1 else 1
        image = resize(image, (*sides, *image.shape[2:]), order=order, anti_aliasing=scale < 1)
    rgb = image if image.ndim == 3 else np.repeat(image[..., np.newaxis], 3, axis=-1)
    return rgb.astype(np.float32)


def _drawn(picture: NDArray[np.float32], styles: Sequence[ClassStyle], title: str | None) -> Figure:
    scale = LONGEST_INCHES / max(picture.shape[:2])
    height, width = (scale * side for side in picture.shape[:2])
    figure = new_figure(width + width_beside(styles, height), height + (0.3 if title else 0.0))
    ax = figure.add_subplot()
    ax.imshow(picture, interpolation="antialiased")
    ax.set_axis_off()
    draw_title(ax, title)
    if styles:
        legend_beside(ax, styles, height=height)
    return figure
