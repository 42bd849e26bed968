"""Receptive fields: what of a sample each of some units can see, and the box around it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import ArrayLike, NDArray

from ..checks import checked_number
from .heatmaps import faded, finite_values, picture, spatial_dimensions
from .picture_table import Picture, picture_table
from .style import FRAME, INK

_SEEN, _BOX = "#E69F00", "#D55E00"


def field_grid(
    masks: ArrayLike,
    sample: ArrayLike | None = None,
    *,
    dimensions: int | None = None,
    captions: Sequence[str] | None = None,
    columns: int = 6,
    value_range: tuple[float, float] | None = None,
    note: str = "",
    title: str | None = None,
) -> Figure:
    """Draws which entries belong to each field, in orange, and the box around them.

    A pixel belongs to a field if one of its channels does. Of volumes the slice in the middle of the box,
    along the first axis, is drawn.

    Args:
        masks: Which entries belong, bool of shape `(fields, *sample)`, perhaps with an axis of channels.
        sample: One sample to draw them over, of the same shape; None for white paper.
        dimensions: Axes of a sample that are positions; by default as the shape suggests.
        captions: One text below each field.
        columns: Fields in a row.
        value_range: The sample's values drawn black and white; see `image_strip`.
        note: What stands below all.
        title: What stands above.

    Returns:
        A new figure with one axes a field.

    Raises:
        ValueError: If shapes do not fit, there is no field, or a number is less than 1.

    Example:
        >>> masks = np.zeros((2, 8, 8, 1), bool)
        >>> masks[:, 2:5, 3:6] = True
        >>> len(field_grid(masks).axes)
        2
    """
    seen = np.asarray(masks)
    if seen.dtype.kind != "b" or seen.ndim < 2 or not seen.size:
        raise ValueError(
            "`masks` must be truth values of shape (fields, *sample). "
            f"Received: {seen.dtype} of shape {seen.shape}."
        )
    if sample is not None and np.shape(sample) != seen.shape[1:]:
        raise ValueError(
            f"`sample` must have the shape {seen.shape[1:]}. Received shape {np.shape(sample)}."
        )
    texts = [""] * len(seen) if captions is None else list(captions)
    if len(texts) != len(seen):
        raise ValueError(f"`captions` must have {len(seen)} entries. Received: {len(texts)}.")
    rank = spatial_dimensions(seen.shape[1:], (), dimensions)
    if seen.ndim - 1 > rank:
        seen = np.asarray(seen.any(axis=-1))
    shown = None
    if sample is not None and rank == 1:
        shown = finite_values(sample, "sample")
    elif sample is not None:
        shown = picture(sample, dimensions=rank, value_range=value_range, name="sample")
    pictures = [
        Picture(_drawing(mask, shown, rank), text) for mask, text in zip(seen, texts, strict=True)
    ]
    columns = min(checked_number(columns, "columns", least=1, whole=True), len(pictures))
    rows = [pictures[start : start + columns] for start in range(0, len(pictures), columns)]
    height, width = seen.shape[-2:] if rank > 1 else (1.0, 2.4)
    return picture_table(
        rows, aspect=width / height, note=note, title=title, tallest=1.3 if rank > 1 else 0.7
    )


def _drawing(mask: NDArray[np.bool_], shown: NDArray[np.float64] | None, rank: int) -> Any:
    if rank == 1:
        return partial(_draw_signal, mask=mask, values=shown)
    if rank == 3:
        layers = np.flatnonzero(mask.any(axis=(1, 2)))
        place = (layers[0] + layers[-1]) // 2 if len(layers) else len(mask) // 2
        mask, shown = mask[place], None if shown is None else shown[place]
    return partial(_draw_image, mask=mask, shown=shown)


def _draw_image(ax: Axes, mask: NDArray[np.bool_], shown: NDArray[np.float64] | None) -> None:
    if shown is not None:
        ax.imshow(faded(shown), cmap="gray", vmin=0.0, vmax=1.0, interpolation="nearest")
    tint = np.zeros((*mask.shape, 4))
    tint[mask] = (*to_rgb(_SEEN), 0.45)
    ax.imshow(tint, interpolation="nearest")
    rows, columns = np.nonzero(mask)
    if len(rows):
        corner = (columns.min() - 0.5, rows.min() - 0.5)
        size = np.ptp(columns) + 1, np.ptp(rows) + 1
        ax.add_patch(Rectangle(corner, *size, fill=False, edgecolor=_BOX, linewidth=1.2))


def _draw_signal(ax: Axes, mask: NDArray[np.bool_], values: NDArray[np.float64] | None) -> None:
    for place in np.flatnonzero(mask):
        ax.axvspan(place - 0.5, place + 0.5, color=_SEEN, alpha=0.45, linewidth=0)
    places = np.flatnonzero(mask)
    for end in [places[0] - 0.5, places[-1] + 0.5] if len(places) else []:
        ax.axvline(end, color=_BOX, linewidth=1.2)
    if values is not None:
        lines = values.reshape(len(values), -1)
        ax.axhline(0.0, color=FRAME, linewidth=0.8)
        ax.plot(lines, color=INK, linewidth=0.8)
    ax.set_xlim(-0.5, len(mask) - 0.5)
