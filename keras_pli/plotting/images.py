"""Rows of small sample images with captions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

from ..checks import quoted
from .style import FRAME, INK, SMALL_SIZE, TEXT_SIZE, new_figure, plain


def image_strip(
    images: ArrayLike,
    captions: Sequence[str] | None = None,
    *,
    columns: int = 8,
    value_range: tuple[float, float] | None = None,
    title: str | None = None,
) -> Figure:
    """Draws small images in rows, each with a caption below, such as "control: dog, PLI: cat".

    All images share one scale from black to white, so that they compare.

    Args:
        images: Shape `(samples, height, width)`, or with a last axis of 1 (grey) or 3 (RGB).
        captions: One text an image; line breaks are kept.
        columns: Images in a row.
        value_range: The values drawn black and white. By default 0 to 255 for unsigned bytes, 0 to
            1 for values within it, and otherwise the smallest and largest value of all images.
        title: What stands above the images.

    Returns:
        A new figure with one axes an image.

    Raises:
        ValueError: If the shape is another, a value is not finite, captions are of another number,
            or the range is not increasing.

    Example:
        >>> figure = image_strip(np.zeros((3, 8, 8)), ["cat", "dog", "owl"])
        >>> len(figure.axes)
        3
    """
    pixels = scaled_pixels(images, value_range)
    texts = [""] * len(pixels) if captions is None else [str(text) for text in captions]
    if len(texts) != len(pixels):
        raise ValueError(f"`captions` must have {len(pixels)} entries. Received: {len(texts)}.")
    if columns < 1:
        raise ValueError(f"`columns` must be at least 1. Received: {columns}.")
    columns = min(columns, len(pixels))
    rows = -(-len(pixels) // columns)
    ratio = pixels.shape[1] / pixels.shape[2]
    letters = max((len(line) for text in texts for line in text.split("\n")), default=0)
    lines = max((text.count("\n") + 1 if text else 0 for text in texts), default=0)
    # Wide enough for the longest caption line, at some 0.07 inches a letter.
    width = max(1.1, 0.07 * letters)
    figure = new_figure(
        width * columns + 0.1,
        rows * (width * ratio + 0.15 * lines + 0.1) + (0.35 if title else 0.0),
    )
    for index, (image, text) in enumerate(zip(pixels, texts, strict=True)):
        ax = figure.add_subplot(rows, columns, index + 1)
        # Few pixels are meant to be seen as such; many would alias without smoothing.
        smooth = "nearest" if max(image.shape[:2]) <= 64 else "antialiased"
        ax.imshow(image, cmap="gray", vmin=0.0, vmax=1.0, interpolation=smooth)
        ax.set(xticks=[], yticks=[])
        for spine in ax.spines.values():
            spine.set(color=FRAME, linewidth=0.6)
        ax.set_xlabel(plain(text), fontsize=SMALL_SIZE, color=INK, labelpad=3)
    if title:
        figure.suptitle(plain(title), fontsize=TEXT_SIZE + 2, color=INK, x=0.01, ha="left")
    return figure


def scaled_pixels(
    images: ArrayLike, value_range: tuple[float, float] | None
) -> NDArray[np.float64]:
    """Returns images in [0, 1], grey ones without a channel axis (see `image_strip`)."""
    given = np.asarray(images)
    if given.dtype.kind not in "fiub":
        raise ValueError(f"`images` must hold real numbers. Received dtype {given.dtype}.")
    pixels = given.astype(np.float64)
    if pixels.ndim == 4 and pixels.shape[3] == 1:
        pixels = pixels[..., 0]
    if not (pixels.ndim == 3 or (pixels.ndim == 4 and pixels.shape[3] == 3)) or not pixels.size:
        raise ValueError(
            "`images` must have shape (samples, height, width), or with a last axis of 1 or 3. "
            f"Received shape {given.shape}."
        )
    bad = np.flatnonzero(~np.isfinite(pixels.reshape(len(pixels), -1)).all(axis=1))
    if len(bad):
        raise ValueError(f"`images` must be finite. NaN or infinity in the images {quoted(bad)}.")
    if value_range is None:
        value_range = natural_range(given)
    low, high = value_range
    if not low < high:
        raise ValueError(f"`value_range` must be increasing. Received: {value_range}.")
    return np.clip((pixels - low) / (high - low), 0.0, 1.0)


def natural_range(values: NDArray[Any]) -> tuple[float, float]:
    """Returns the values that are drawn black and white where none are given."""
    if values.dtype == np.uint8:
        return 0.0, 255.0
    low, high = float(values.min()), float(values.max())
    if low >= 0.0 and high <= 1.0:
        return 0.0, 1.0
    # Images of one value throughout have no contrast to scale.
    return low, high if high > low else low + 1.0
