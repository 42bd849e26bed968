"""A confusion matrix as shades with its counts."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from .style import INK, SMALL_SIZE, TEXT_SIZE, draw_title, new_figure, plain

_RIGHT = LinearSegmentedColormap.from_list("right", ["#FFFFFF", "#7FB8D9"])
_WRONG = LinearSegmentedColormap.from_list("wrong", ["#FFFFFF", "#D55E00"])
_MOST_COUNTS = 30  # classes up to which the counts are written


def confusion_figure(
    counts: ArrayLike, class_names: Sequence[str] | None = None, *, title: str | None = None
) -> Figure:
    """Draws a confusion matrix: what is right in blue, what is wrong in vermilion.

    Shades are shares of a row, those of errors from white to the greatest share that any error has, since
    few errors would else be too pale to see.

    Args:
        counts: Samples by label (rows) and prediction (columns), `(classes, classes)`.
        class_names: One a class; by default their numbers.
        title: What stands above.

    Returns:
        A new figure.

    Raises:
        ValueError: If the matrix is not square, a count is negative, or names are of another number.

    Example:
        >>> figure = confusion_figure([[9, 1], [0, 5]], ["cat", "dog"])
        >>> [text.get_text() for text in figure.axes[0].texts]
        ['9', '1', '5']
    """
    matrix = np.asarray(counts, np.float64)
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or not (matrix >= 0).all():
        raise ValueError(
            f"`counts` must be square and not negative. Received shape {matrix.shape}."
        )
    names = [str(name) for name in (range(len(matrix)) if class_names is None else class_names)]
    if len(names) != len(matrix):
        raise ValueError(f"`class_names` must have {len(matrix)} entries. Received: {len(names)}.")
    shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    same = np.eye(len(matrix), dtype=bool)
    worst = shares[~same].max(initial=0.0) or 1.0
    picture = np.where(same[..., None], _RIGHT(shares), _WRONG(0.85 * shares / worst))
    longest = max(map(len, names))
    edge = float(np.clip(0.42 * len(names), 2.0, 7.0))
    figure = new_figure(edge + 0.5 + 0.075 * longest, edge + 0.5 + 0.075 * longest * (longest > 3))
    ax = figure.add_subplot()
    ax.imshow(picture, interpolation="nearest")
    places = np.arange(len(names))
    turned = 90 if longest > 3 else 0
    size = TEXT_SIZE if len(names) <= 20 else max(3.0, 120 / len(names))
    texts = [plain(name) for name in names]
    ax.set_xticks(places, texts, fontsize=size, rotation=turned, color=INK)
    ax.set_yticks(places, texts, fontsize=size, color=INK)
    ax.tick_params(length=0)
    ax.set_xlabel("predicted", fontsize=TEXT_SIZE, color=INK)
    ax.set_ylabel("label", fontsize=TEXT_SIZE, color=INK)
    for spine in ax.spines.values():
        spine.set_visible(False)
    ax.set_xticks(places[1:] - 0.5, minor=True)
    ax.set_yticks(places[1:] - 0.5, minor=True)
    ax.grid(which="minor", color="#E4E8ED", linewidth=0.8)
    ax.tick_params(which="minor", length=0)
    if len(names) <= _MOST_COUNTS:
        for row, column in zip(*np.nonzero(matrix), strict=True):
            ax.text(
                column,
                row,
                f"{matrix[row, column]:.0f}",
                ha="center",
                va="center",
                fontsize=min(SMALL_SIZE, size),
                color=INK,
            )
    draw_title(ax, title)
    return figure
