"""Crops of samples in rows, and below each what projects onto it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

from .heatmaps import spatial_dimensions
from .images import natural_range
from .picture_table import Picture, picture_table
from .style import FRAME, INK

Array = NDArray[np.float64]
_BEYOND = "#E4E4E4"  # what lies beyond a sample's border


def crop_grid(
    crops: ArrayLike,
    projections: ArrayLike | None = None,
    *,
    dimensions: int | None = None,
    captions: Sequence[Sequence[str]] | None = None,
    row_labels: Sequence[str] | None = None,
    value_range: tuple[float, float] | None = None,
    note: str = "",
    title: str | None = None,
) -> Figure:
    """Draws crops in rows, all on one scale, and below each its projection, each on its own.

    Projections are drawn with zero mid-grey. Entries that are NaN lie beyond a sample's border and are pale.
    Signals are lines, of volumes the middle slice along the first axis is drawn.

    Args:
        crops: Shape `(rows, columns, *window)`, or with a last axis of channels; NaN beyond the border.
        projections: The same shape, or None.
        dimensions: Axes of the window that are positions; by default as the shape suggests.
        captions: One text below each crop.
        row_labels: One text beside each row; by default its number.
        value_range: The values drawn black and white; see `image_strip`.
        note: What stands below all.
        title: What stands above.

    Returns:
        A new figure with one axes for each crop and projection, row by row.

    Raises:
        ValueError: If shapes do not fit, or a crop has no value.

    Example:
        >>> figure = crop_grid(np.ones((2, 3, 5, 5, 1)), np.ones((2, 3, 5, 5, 1)))
        >>> len(figure.axes)
        12
    """
    shown = np.asarray(crops)
    behind = None if projections is None else np.asarray(projections, np.float64)
    if shown.ndim < 3 or not shown.size or (behind is not None and behind.shape != shown.shape):
        given = None if behind is None else behind.shape
        raise ValueError(
            "`crops` must have the shape (rows, columns, *window), and `projections` the same. Received "
            f"shapes {shown.shape} and {given}."
        )
    rank = spatial_dimensions(shown.shape[2:], (), dimensions)
    known = shown[np.isfinite(shown)]
    if not len(known):
        raise ValueError("`crops` hold no finite value.")
    low, high = natural_range(known) if value_range is None else value_range
    texts = captions or [[""] * shown.shape[1]] * len(shown)
    labels = [str(i) for i in range(len(shown))] if row_labels is None else list(row_labels)
    rows, sides = [], []
    for i, names in enumerate(texts):
        # The text stands below the pair of a crop and its projection.
        first = names if behind is None else [""] * len(names)
        cells = zip(shown[i], first, strict=True)
        rows.append([Picture(_drawing(crop, rank, low, high), text) for crop, text in cells])
        sides.append(labels[i])
        if behind is not None:
            limits = [float(np.nanmax(np.abs(values), initial=0.0)) or 1.0 for values in behind[i]]
            pairs = zip(behind[i], limits, names, strict=True)
            rows.append(
                [Picture(_drawing(one, rank, -limit, limit), text) for one, limit, text in pairs]
            )
            sides.append("")
    height, width = shown.shape[2:4] if rank == 2 else (1, 1.6)
    if rank == 3:
        height, width = shown.shape[3:5]
    said = (
        "below each crop its projection, zero mid-grey, on its own scale"
        if behind is not None
        else ""
    )
    return picture_table(
        rows,
        aspect=width / height,
        sides=sides,
        note="; ".join(filter(None, [note, said])),
        title=title,
        tallest=0.8,
    )


def _drawing(values: NDArray[np.generic], rank: int, low: float, high: float) -> partial[None]:
    array = np.asarray(values, np.float64)
    if rank == 1:
        return partial(_draw_signal, values=array.reshape(len(array), -1), low=low, high=high)
    array = array[len(array) // 2] if rank == 3 else array
    if array.ndim == 3 and array.shape[-1] != 3:
        array = array.mean(axis=-1)
    return partial(_draw_image, values=array, low=low, high=high)


def _draw_image(ax: Axes, values: Array, low: float, high: float) -> None:
    shown = np.clip((values - low) / (high - low), 0.0, 1.0)
    ax.set_facecolor(_BEYOND)
    if shown.ndim == 3:
        inside = np.isfinite(shown).all(axis=-1, keepdims=True)
        shown = np.concatenate([np.nan_to_num(shown), inside], axis=-1)
    smooth = "nearest" if max(shown.shape[:2]) <= 64 else "antialiased"
    ax.imshow(shown, cmap="gray", vmin=0.0, vmax=1.0, interpolation=smooth, aspect="auto")


def _draw_signal(ax: Axes, values: Array, low: float, high: float) -> None:
    beyond = ~np.isfinite(values).all(axis=1)
    for place in np.flatnonzero(beyond):
        ax.axvspan(place - 0.5, place + 0.5, color=_BEYOND, linewidth=0)
    if low < 0 < high:
        ax.axhline(0.0, color=FRAME, linewidth=0.8)
    ax.plot(values, color=INK, linewidth=0.9)
    air = 0.06 * (high - low)
    ax.set(xlim=(-0.5, len(values) - 0.5), ylim=(low - air, high + air))
