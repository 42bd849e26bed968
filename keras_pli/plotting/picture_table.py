"""Small pictures in rows and columns, placed by the inch so that none is larger than another."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from .attributions import axes_at
from .style import FRAME, INK, MUTED, SMALL_SIZE, TITLE_SIZE, new_figure, plain

_GAP, _LINE, _FOOT = 0.08, 0.17, 0.27  # inches
_LETTER = 0.072


@dataclass(frozen=True)
class Picture:
    """One picture of a table.

    Attributes:
        draw: What draws it into axes.
        text: What stands below.
    """

    draw: Callable[[Axes], None]
    text: str = ""


def picture_table(
    rows: Sequence[Sequence[Picture]],
    *,
    aspect: float,
    note: str = "",
    title: str | None = None,
    heads: Sequence[str] = (),
    sides: Sequence[str] = (),
    axes: tuple[str, str] = ("", ""),
    tallest: float = 0.95,
) -> Figure:
    """Draws pictures in rows.

    Args:
        rows: The pictures.
        aspect: Width of a picture over its height.
        note: What stands below all.
        title: What stands above all.
        heads: One text a column, above the first row.
        sides: One text a row, beside its first picture.
        axes: What the heads and the sides count.
        tallest: Height of a picture in inches where there is room.

    Returns:
        A new figure with one axes a picture, row by row.

    Example:
        >>> figure = picture_table([[Picture(lambda ax: None, "a"), Picture(lambda ax: None)]], aspect=1.0)
        >>> [ax.get_xlabel() for ax in figure.axes]
        ['a', '']
    """
    columns = max(map(len, rows))
    height = float(np.clip(9.0 / max(columns * aspect, 1), 0.42, tallest))
    width = height * aspect
    lines = [max(_lines(picture.text) for picture in row) for row in rows]
    letters = max((len(line) for side in sides for line in side.split("\n")), default=0)
    left = 0.1 + (_LETTER * max(letters, len(axes[1])) + 0.1 if sides else 0.0)
    top = (0.36 if title else 0.08) + (_LINE + 0.04 if heads else 0.0)
    top += _LINE if heads and axes[0] else 0.0
    downs = [height + _LINE * count + _GAP for count in lines]
    across = max(
        left + columns * (width + _GAP) + 0.05,
        0.068 * max(len(note), 1.3 * len(title or "")) + 0.2,
    )
    figure = new_figure(across, top + sum(downs) + _FOOT)
    figure.set_layout_engine("none")
    for i, row in enumerate(rows):
        for j, picture in enumerate(row):
            ax = axes_at(figure, left + j * (width + _GAP), top + sum(downs[:i]), width, height)
            picture.draw(ax)
            _frame(ax)
            ax.set_xlabel(plain(picture.text), fontsize=SMALL_SIZE, color=MUTED, labelpad=1)
            if heads and i == 0:
                ax.set_title(plain(heads[j]), fontsize=SMALL_SIZE, color=INK, pad=3)
            if sides and j == 0:
                label = ax.set_ylabel(plain(sides[i]), fontsize=SMALL_SIZE, color=INK)
                label.set(rotation=0, ha="right", va="center")
    if heads:
        _write(figure, left, top - _LINE - 0.06, axes[0], SMALL_SIZE, MUTED)
        _write(figure, 0.1, top - 0.04, axes[1], SMALL_SIZE, MUTED)
    _write(figure, 0.1, figure.get_size_inches()[1] - 0.06, note, SMALL_SIZE, MUTED)
    if title:
        _write(figure, 0.1, 0.26, title, TITLE_SIZE, INK)
    return figure


def _lines(text: str) -> int:
    return text.count("\n") + 1 if text else 0


def _write(figure: Figure, left: float, top: float, text: str, size: float, color: str) -> None:
    across, down = figure.get_size_inches()
    place = left / across, 1 - top / down
    figure.text(*place, plain(text), fontsize=size, color=color, ha="left", va="bottom")


def _frame(ax: Axes) -> None:
    ax.set(xticks=[], yticks=[])
    for spine in ax.spines.values():
        spine.set(color=FRAME, linewidth=0.6)
