"""Samples with activation maps beside them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

from .attributions import draw_picture, draw_signal
from .heatmaps import finite_values, number, over_white, overlay_colors, picture
from .images import natural_range
from .picture_table import Picture, picture_table

Array = NDArray[np.float64]


def activation_grid(
    samples: ArrayLike,
    maps: ArrayLike,
    *,
    captions: Sequence[Sequence[str]] | None = None,
    row_labels: Sequence[str] | None = None,
    note: str = "",
    title: str | None = None,
) -> Figure:
    """Draws each sample in a row, with maps beside it, all maps on one scale.

    Maps without values below zero run from white to violet; others are blue below zero and vermilion above.
    Signals are lines, of volumes the middle slice along the first axis is drawn.

    Args:
        samples: Shape `(samples, *positions)`, or with a last axis of channels.
        maps: Shape `(samples, maps, *positions)`, with one to three axes of positions, as many as the samples
            have.
        captions: One text below each map.
        row_labels: One text beside each sample; by default its number.
        note: What stands below all, behind the scale.
        title: What stands above.

    Returns:
        A new figure with `1 + maps` axes a sample, row by row.

    Raises:
        ValueError: If shapes do not fit, or a value is not finite.

    Example:
        >>> figure = activation_grid(np.ones((2, 8, 8, 1)), np.ones((2, 3, 6, 6)))
        >>> len(figure.axes)
        8
    """
    values = finite_values(maps, "maps")
    pictures = finite_values(samples, "samples")
    dimensions = values.ndim - 2
    if not 1 <= dimensions <= 3 or len(values) != len(pictures):
        raise ValueError(
            "`maps` must have the shape (samples, maps, *positions), with one to three axes of positions and "
            f"an entry for each of {len(pictures)} samples. Received shape {values.shape}."
        )
    if pictures.ndim not in (dimensions + 1, dimensions + 2):
        raise ValueError(
            f"Samples of maps with {dimensions} axes of positions must have as many, and perhaps channels. "
            f"Received shape {pictures.shape}."
        )
    texts = captions or [[""] * values.shape[1]] * len(values)
    limit = float(np.abs(values).max()) or 1.0
    signed = bool((values < 0).any())
    shown = pictures if dimensions == 1 else _shown(samples, dimensions)
    rows = []
    for sample, own, names in zip(shown, values, texts, strict=True):
        first = draw_signal_alone if dimensions == 1 else draw_picture
        row = [Picture(partial(first, shown=sample))]
        for one, name in zip(own, names, strict=True):
            draw = partial(_draw_map, values=_plane(one), limit=limit, signed=signed)
            row.append(Picture(draw, name))
        rows.append(row)
    aspect = 1.8 if dimensions == 1 else shown.shape[2] / shown.shape[1]
    least = f"\N{MINUS SIGN}{number(limit)}" if signed else "0"
    heads = ["input", *[""] * values.shape[1]]
    labels = [str(i) for i in range(len(values))] if row_labels is None else list(row_labels)
    scale = f"all maps from {least} to {number(limit)}" + (f"; {note}" if note else "")
    return picture_table(
        rows, aspect=aspect, heads=heads, sides=labels, note=scale, title=title, tallest=1.1
    )


def draw_signal_alone(ax: Axes, shown: Array) -> None:
    """Draws a signal as lines, without a map behind it."""
    draw_signal(ax, shown, None, 1.0)


def _shown(samples: ArrayLike, dimensions: int) -> Array:
    """The pictures of samples in [0, 1]; of volumes the middle slice."""
    array = np.asarray(samples)
    shown = picture(array, dimensions=dimensions + 1, value_range=natural_range(array))
    return shown[:, shown.shape[1] // 2] if dimensions == 3 else shown


def _plane(values: Array) -> Array:
    return values[len(values) // 2] if values.ndim == 3 else values


def _draw_map(ax: Axes, values: Array, limit: float, signed: bool) -> None:
    if values.ndim == 1:
        ax.fill_between(np.arange(len(values)), values, color="#A23B98", alpha=0.35, linewidth=0)
        ax.plot(values, color="#3B0F5C", linewidth=0.9)
        ax.set(xlim=(-0.5, len(values) - 0.5))
        ax.set(ylim=(-1.05 * limit if signed else -0.03 * limit, 1.05 * limit))
        return
    colors = over_white(overlay_colors(signed, 1.0))
    low = -limit if signed else 0.0
    ax.imshow(values, cmap=colors, vmin=low, vmax=limit, interpolation="nearest", aspect="auto")
