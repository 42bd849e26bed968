"""Which layers settle first: distances from the end, layer by layer and epoch by epoch."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike

from ..checks import quoted
from .heatmaps import finite_values, number, over_white, overlay_colors
from .style import FRAME, INK, MUTED, SMALL_SIZE, TEXT_SIZE, TITLE_SIZE, new_figure, plain


def settling_map(
    distances: ArrayLike,
    epochs: Sequence[int],
    names: Sequence[str],
    *,
    settled: Sequence[int | None] | None = None,
    label: str = "distance to the end",
    note: str = "",
    title: str | None = None,
) -> Figure:
    """Draws distances as a map with a row a layer and a column an epoch, and when each settled beside it.

    Args:
        distances: Shape `(layers, epochs)`, from 0 on; colours end at 1.
        epochs: The epoch of each column.
        names: Of the layers, the first at the top.
        settled: For each layer the epoch from which it stays near its end, marked by a dot; None, marked by
            a ring at the last epoch, where it does not.
        label: What the colours measure.
        note: What stands below.
        title: What stands above.

    Raises:
        ValueError: If there is not one name a layer or one epoch a column, or a value is not finite.

    Example:
        >>> figure = settling_map([[1.0, 0.1, 0.0], [1.0, 0.8, 0.0]], [0, 1, 2], ["conv", "head"])
        >>> [text.get_text() for text in figure.axes[0].get_yticklabels()]
        ['conv', 'head']
    """
    values = finite_values(distances, "distances")
    if values.shape != (len(names), len(epochs)):
        raise ValueError(
            f"`distances` must have the shape (layers, epochs), {len(names)} by {len(epochs)} here. "
            f"Received shape {values.shape}."
        )
    if settled is not None and len(settled) != len(names):
        raise ValueError(
            f"`settled` must have an epoch for each of {len(names)} layers. Received: {quoted(settled)}."
        )
    wide = float(np.clip(0.34 * len(epochs), 2.6, 8.0))
    beside = 0.075 * max(map(len, names))
    figure = new_figure(wide + beside + 1.9, 0.3 * len(names) + 1.45 + (0.3 if title else 0.0))
    ax = figure.add_subplot()
    colors = over_white(overlay_colors(False, 1.0))
    image = ax.imshow(
        values, cmap=colors, vmin=0.0, vmax=1.0, aspect="auto", interpolation="nearest"
    )
    ax.set_yticks(range(len(names)), [plain(name) for name in names])
    ax.xaxis.set_major_locator(MaxNLocator(12, integer=True))
    ax.xaxis.set_major_formatter(lambda place, _: _epoch_at(place, epochs))
    notes = ["epoch", *filter(None, [note])]
    if settled is not None and None in settled:
        notes.append("ring: still moving at the end, not settled")
    ax.set_xlabel("\n".join(notes), fontsize=TEXT_SIZE, color=INK)
    ax.tick_params(length=0, labelsize=TEXT_SIZE, labelcolor=INK)
    ax.spines[:].set_color(FRAME)
    ax.set(ylim=(len(names) - 0.5, -0.5))
    if settled is not None:
        _mark_settled(ax, settled, list(epochs), 1.0 + 0.06 / wide)
    bar = figure.colorbar(image, ax=ax, fraction=0.05, pad=0.05 + 0.25 / wide, aspect=14)
    bar.set_ticks([0.0, 0.5, 1.0], labels=[number(tick) for tick in (0.0, 0.5, 1.0)])
    bar.ax.tick_params(length=0, labelsize=SMALL_SIZE, labelcolor=INK)
    bar.outline.set_visible(False)
    words = label.split(" ")
    half = (len(words) + 1) // 2
    text = "\n".join([" ".join(words[:half]), " ".join(words[half:])]) if len(words) > 4 else label
    bar.set_label(plain(text), fontsize=SMALL_SIZE, color=MUTED)
    if title:
        figure.suptitle(plain(title), fontsize=TITLE_SIZE, color=INK, x=0.01, ha="left")
    return figure


def _mark_settled(
    ax: Axes, settled: Sequence[int | None], epochs: list[int], beside: float
) -> None:
    """Marks when each layer settled, and writes it beside the map."""
    for row, epoch in enumerate(settled):
        place = len(epochs) - 1 if epoch is None else epochs.index(epoch)
        face = "none" if epoch is None else INK
        edge = INK if epoch is None else "white"
        ax.scatter([place], [row], s=34, color=face, edgecolors=edge, linewidths=1.0, zorder=3)
    texts = ["not yet" if epoch is None else str(epoch) for epoch in settled]
    for row, text in zip([-0.85, *range(len(texts))], ["settled", *texts], strict=True):
        ax.annotate(
            text,
            (beside, row),
            xycoords=("axes fraction", "data"),
            fontsize=TEXT_SIZE,
            color=MUTED,
            va="center",
            annotation_clip=False,
        )


def _epoch_at(place: float, epochs: Sequence[int]) -> str:
    whole = round(place)
    return str(epochs[whole]) if abs(place - whole) < 1e-6 and 0 <= whole < len(epochs) else ""
