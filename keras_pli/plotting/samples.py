"""Samples of any dimension in a grid: images, signals as curves, volumes by a slice."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

from .attributions import draw_signal
from .images import image_strip
from .style import INK, SMALL_SIZE, TEXT_SIZE, new_figure, plain


def sample_grid(
    samples: ArrayLike,
    captions: Sequence[str],
    *,
    has_channels: bool = True,
    columns: int = 8,
    value_range: tuple[float, float] | None = None,
    title: str | None = None,
) -> Figure:
    """Draws samples side by side as their dimensions ask for, each with a caption below.

    Images are drawn as by `image_strip`, volumes by their middle slice, signals as curves.
    Other channels than one or three of an image are drawn as their mean, those of a signal below each other.

    Args:
        samples: Shape `(samples, *sizes)`, or with a last axis of channels.
        captions: One text a sample.
        has_channels: Whether the last axis is that of channels.
        columns: Samples in a row.
        value_range: The values drawn black and white; see `image_strip`.
        title: What stands above them.

    Raises:
        ValueError: If samples have more than three axes of positions, or captions are of another number.

    Example:
        >>> figure = sample_grid(np.zeros((3, 100, 2)), ["a", "b", "c"])
        >>> len(figure.axes)
        3
    """
    given = np.asarray(samples, dtype=np.float32)
    if not has_channels:
        given = given[..., np.newaxis]
    dimensions = given.ndim - 2
    if not 1 <= dimensions <= 3:
        raise ValueError(
            f"Signals, images and volumes can be drawn. Received samples of shape {given.shape[1:]}."
        )
    if dimensions == 1:
        return _signals(given, captions, columns, title)
    if dimensions == 3:
        given = given[:, given.shape[1] // 2]
    if given.shape[-1] not in (1, 3):
        given = given.mean(axis=-1, keepdims=True)
    return image_strip(given, captions, columns=columns, value_range=value_range, title=title)


def _signals(
    signals: NDArray[np.float32],
    captions: Sequence[str],
    columns: int,
    title: str | None,
) -> Figure:
    if len(captions) != len(signals):
        raise ValueError(f"`captions` must have {len(signals)} entries. Received: {len(captions)}.")
    columns = min(columns, len(signals), 4)
    rows = -(-len(signals) // columns)
    figure = new_figure(2.2 * columns, 1.3 * rows + (0.3 if title else 0.0))
    for index, (signal, text) in enumerate(zip(signals, captions, strict=True)):
        ax = figure.add_subplot(rows, columns, index + 1)
        draw_signal(ax, signal.astype(np.float64))
        ax.set_xlabel(plain(text), fontsize=SMALL_SIZE, color=INK)
    if title:
        figure.suptitle(plain(title), fontsize=TEXT_SIZE + 2, color=INK, x=0.01, ha="left")
    return figure
