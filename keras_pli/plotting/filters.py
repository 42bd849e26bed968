"""Filters of a network: as images, as curves, as a grid of filters by channels, and over epochs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

from ..checks import checked_number, one_of
from .heatmaps import finite_values, number, over_white, overlay_colors
from .picture_table import Picture, picture_table
from .style import FRAME

Array = NDArray[np.float64]
Slices = Literal["middle", "all"]
Scale = Literal["each", "all"]
_SCALES: tuple[Scale, ...] = ("each", "all")
_CURVES = ("#0072B2", "#D55E00", "#009E73", "#E69F00", "#CC79A7", "#56B4E9")


def filter_images(
    kernel: ArrayLike,
    *,
    names: Sequence[str] | None = None,
    columns: int = 8,
    most: int = 64,
    scale: Scale = "each",
    limit: float | None = None,
    title: str | None = None,
) -> Figure:
    """Draws each filter as the image, or the signal, that it is.

    Scales are symmetric about zero, which is mid-grey; of three channels each is a colour. Filters of signals
    are curves, one a channel.

    Args:
        kernel: Shape `(height, width, channels, filters)` with 1 or 3 channels, or
            `(length, channels, filters)`.
        names: One text a filter; by default their numbers.
        columns: Filters in a row.
        most: Filters drawn; the figure says how many there are.
        scale: `"each"` draws each filter to its own largest absolute value, which stands below it, so that
            one strong filter does not make the others grey; `"all"` has one scale, so that they compare.
        limit: The value drawn white in all filters, its negative black.
        title: What stands above.

    Returns:
        A new figure with one axes a filter.

    Raises:
        ValueError: If the shape is another, a value is not finite, a number is less than 1, or there is no
            such scale.

    Example:
        >>> figure = filter_images(np.ones((3, 3, 1, 5)), columns=4)
        >>> len(figure.axes)
        5
    """
    values = finite_values(kernel, "kernel")
    if values.ndim != 3 and not (values.ndim == 4 and values.shape[2] in (1, 3)):
        raise ValueError(
            "Filters drawn as images must have the shape (height, width, 1 or 3, filters), or, of signals, "
            f"(length, channels, filters); others are drawn by `filter_grid`. Received shape {values.shape}."
        )
    count = values.shape[-1]
    texts = [str(i) for i in range(count)] if names is None else list(names)
    if len(texts) != count:
        raise ValueError(f"`names` must have {count} entries. Received: {len(texts)}.")
    drawn = min(count, checked_number(most, "most", least=1, whole=True))
    columns = min(checked_number(columns, "columns", least=1, whole=True), drawn)
    scales = _Scales(values, scale, limit)
    cells = [
        [
            (values[..., i], scales.limits[i], scales.label(i, texts[i], ": "))
            for i in range(start, min(start + columns, drawn))
        ]
        for start in range(0, drawn, columns)
    ]
    draw = _draw_curves if values.ndim == 3 else _draw_image
    note = scales.note(window=values.ndim - 2, image=True) + _left_out(drawn, count, "filters")
    return _draw_table(cells, draw, note=note, title=title)


def filter_grid(
    kernel: ArrayLike,
    *,
    inputs: int = 8,
    outputs: int = 8,
    slices: str = "middle",
    scale: Scale = "each",
    limit: float | None = None,
    title: str | None = None,
) -> Figure:
    """Draws filters in rows, with a column for each channel that they read.

    Values above zero are vermilion and those below blue.

    Args:
        kernel: Shape `(*window, channels, filters)` with a window of one, two or three axes.
        inputs: Channels drawn, the first; the figure says how many there are.
        outputs: Filters drawn, the first.
        slices: Of a window of three axes: `"middle"` draws the middle slice along the first, `"all"` draws
            all, side by side.
        scale: `"each"` draws each filter to its own largest absolute value, which stands beside its row;
            `"all"` has one scale.
        limit: The value with the full colour in all filters.
        title: What stands above.

    Returns:
        A new figure with one axes for each filter and channel, row by row.

    Raises:
        ValueError: If the shape is another, a value is not finite, a number is less than 1, or there is no
            such scale.

    Example:
        >>> figure = filter_grid(np.ones((3, 3, 16, 4)), inputs=6)
        >>> len(figure.axes)
        24
    """
    values = finite_values(kernel, "kernel")
    if values.ndim not in (3, 4, 5):
        raise ValueError(
            "`kernel` must have the shape (*window, channels, filters), with a window of one to three axes. "
            f"Received shape {values.shape}."
        )
    one_of(slices, ("middle", "all"), "slices")
    *window, channels, count = values.shape
    shown = (
        min(channels, checked_number(inputs, "inputs", least=1, whole=True)),
        min(count, checked_number(outputs, "outputs", least=1, whole=True)),
    )
    scales = _Scales(values, scale, limit)
    planes = _planes(values, slices)
    cells = [
        [(planes[..., c, f], scales.limits[f], "") for c in range(shown[0])]
        for f in range(shown[1])
    ]
    note = scales.note(window=len(window)) + _left_out(shown[1], count, "filters")
    note += _left_out(shown[0], channels, "channels")
    if len(window) == 3:
        middle = f"slice {window[0] // 2} of {window[0]}"
        note += (
            f"; {middle if slices == 'middle' else f'all {window[0]} slices'} along the first axis"
        )
    draw = _draw_curves if len(window) == 1 else _draw_signed
    return _draw_table(
        cells,
        draw,
        note=note,
        title=title,
        heads=[str(c) for c in range(shown[0])],
        sides=[scales.label(f, str(f), "\n") for f in range(shown[1])],
        axes=("channel", "filter"),
    )


def filter_evolution(
    kernels: ArrayLike,
    epochs: Sequence[int],
    *,
    most: int = 8,
    scale: Scale = "each",
    limit: float | None = None,
    title: str | None = None,
) -> Figure:
    """Draws the same filters over epochs: a row for each filter, a column for each epoch.

    Filters of one channel, or three, are images; of more, the channel with the largest weights at the last
    epoch is drawn, and named. Of windows of three axes it is the middle slice.

    Args:
        kernels: Shape `(epochs, *window, channels, filters)`.
        epochs: The epoch of each; 0 is before training.
        most: Filters drawn, the first; the figure says how many there are.
        scale: `"each"` draws each filter to its own largest absolute value over all epochs, which stands
            beside its row; `"all"` has one scale.
        limit: The end of the scale of all filters.
        title: What stands above.

    Returns:
        A new figure with one axes for each filter and epoch, row by row.

    Raises:
        ValueError: If the shape is another, a value is not finite, there is not one epoch for each kernel, or
            there is no such scale.

    Example:
        >>> figure = filter_evolution(np.ones((3, 5, 5, 1, 2)), [0, 1, 2])
        >>> len(figure.axes)
        6
    """
    values = finite_values(kernels, "kernels")
    if values.ndim not in (4, 5, 6) or len(epochs) != len(values):
        raise ValueError(
            "`kernels` must have the shape (epochs, *window, channels, filters), with a window of one to "
            f"three axes and an entry for each of {len(epochs)} epochs. Received shape {values.shape}."
        )
    window, (channels, count) = values.shape[1:-2], values.shape[-2:]
    drawn = min(count, checked_number(most, "most", least=1, whole=True))
    scales = _Scales(values, scale, limit)
    as_image = len(window) == 2 and channels in (1, 3)
    whole = as_image or len(window) == 1
    strongest = np.linalg.norm(values[-1].reshape(-1, channels, count), axis=0).argmax(axis=0)
    planes = [_planes(kernel, "middle") for kernel in values]
    cells = [
        [(p[..., f] if whole else p[..., strongest[f], f], scales.limits[f], "") for p in planes]
        for f in range(drawn)
    ]
    names = [f"{f}" if whole else f"{f}, channel {strongest[f]}" for f in range(drawn)]
    sides = [scales.label(f, name, "\n") for f, name in enumerate(names)]
    draw = _draw_curves if len(window) == 1 else _draw_image if as_image else _draw_signed
    note = scales.note(window=len(window), image=as_image)
    note += _left_out(drawn, count, "filters")
    heads = ["start" if epoch == 0 else str(epoch) for epoch in epochs]
    return _draw_table(
        cells,
        draw,
        note=note,
        title=title,
        heads=heads,
        sides=sides,
        axes=("epoch", "filter"),
    )


def _draw_table(
    cells: list[list[tuple[Array, float, str]]],
    draw: Callable[..., None],
    **options: Any,
) -> Figure:
    """Draws values in rows, each with the end of its scale (see `picture_table`)."""
    shape = cells[0][0][0].shape
    aspect = 1.5 if draw is _draw_curves else shape[1] / shape[0]
    rows = [
        [Picture(partial(draw, values=values, limit=limit), text) for values, limit, text in row]
        for row in cells
    ]
    return picture_table(rows, aspect=aspect, **options)


def _draw_image(ax: Axes, values: Array, limit: float) -> None:
    shown = np.clip(0.5 + 0.5 * values / limit, 0.0, 1.0)
    shown = shown[..., 0] if shown.shape[-1] == 1 else shown
    ax.imshow(shown, cmap="gray", vmin=0.0, vmax=1.0, interpolation="nearest")


def _draw_signed(ax: Axes, values: Array, limit: float) -> None:
    colors = over_white(overlay_colors(True, 1.0))
    ax.imshow(values, cmap=colors, vmin=-limit, vmax=limit, interpolation="nearest")
    ax.set_facecolor("#EEEEEE")


def _draw_curves(ax: Axes, values: Array, limit: float) -> None:
    lines = values.reshape(len(values), -1)
    ax.axhline(0.0, color=FRAME, linewidth=0.8)
    marker: dict[str, Any] = {"marker": "o", "markersize": 1.8} if len(lines) <= 16 else {}
    for channel, line in enumerate(lines.T):
        ax.plot(line, color=_CURVES[channel % len(_CURVES)], linewidth=1.0, **marker)
    ax.set(ylim=(-1.1 * limit, 1.1 * limit), xlim=(-0.5, len(lines) - 0.5))


def _planes(values: Array, slices: str) -> Array:
    """The window's pictures: of three axes the middle slice, or all slices side by side, gaps NaN between."""
    if values.ndim != 5:
        return values
    if slices == "middle":
        return values[len(values) // 2]
    gap = np.full((values.shape[1], 1, *values.shape[3:]), np.nan)
    pieces = [piece for plane in values for piece in (plane, gap)][:-1]
    return np.concatenate(pieces, axis=1)


class _Scales:
    """Where the scales of filters end: each at its own largest value, or all at one."""

    def __init__(self, values: Array, scale: str, limit: float | None) -> None:
        one_of(scale, _SCALES, "scale")
        if limit is not None and not 0 < limit < np.inf:
            raise ValueError(f"`limit` must be a number above 0. Received: {limit}.")
        self.largest = np.abs(values).reshape(-1, values.shape[-1]).max(axis=0)
        self.shared = limit is not None or scale == "all"
        if self.shared:
            self.largest = np.full_like(self.largest, limit or self.largest.max())
        # What is zero throughout needs some scale.
        self.limits = np.where(self.largest > 0, self.largest, 1.0).tolist()

    def label(self, place: int, name: str, joint: str) -> str:
        """A filter's name, with where its scale ends if that is its own."""
        return name if self.shared else f"{name}{joint}\N{PLUS-MINUS SIGN}{self._end(place)}"

    def note(self, *, window: int, image: bool = False) -> str:
        """Says what the scale is: that of curves, of grey, or of colours."""
        what = "up and down" if window == 1 else "black to white" if image else "blue to vermilion"
        if not self.shared:
            return f"{what}: to the \N{PLUS-MINUS SIGN} of each filter"
        end = number(self.limits[0])
        return f"{what}: \N{MINUS SIGN}{end} to {end}"

    def _end(self, place: int) -> str:
        return number(float(self.largest[place]))


def _left_out(drawn: int, count: int, what: str) -> str:
    return "" if drawn == count else f"; the first {drawn} of {count} {what}"
