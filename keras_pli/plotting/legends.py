"""Legends of classes, in as many columns as their place asks for, and small where there are many."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from .style import (
    INK,
    SMALL_SIZE,
    TEXT_SIZE,
    TITLE_SIZE,
    ClassStyle,
    legend_handles,
    plain,
    root_figure,
    short,
)

_MANY = 30  # entries, from which on they are written small
# Inches for each point of the font's size: a letter's mean width, and a line's height.
_LETTER, _LINE = 0.0092, 0.0235
_MARKER = 0.5  # inches of an entry's marker with the gaps about it


def text_width(text: str, size: float = TEXT_SIZE) -> float:
    """Returns about the width in inches of a text in a font of so many points."""
    return _LETTER * size * len(text)


def width_beside(styles: Collection[ClassStyle], height: float) -> float:
    """Returns the width in inches that a legend takes beside a map of some height."""
    columns = _columns_beside(len(styles), height)
    return 0.1 + columns * _entry_width(styles) if styles else 0.0


def legend_beside(ax: Axes, styles: Collection[ClassStyle], *, height: float | None = None) -> None:
    """Draws a legend to the right of a map, never over its points.

    Args:
        ax: The map.
        styles: The classes.
        height: Height of the map in inches, which decides the number of columns; by default that of `ax`
            as it is.
    """
    if height is None:
        height = ax.get_window_extent().height / root_figure(ax).dpi
    ax.legend(
        handles=legend_handles(styles),
        loc="upper left",
        bbox_to_anchor=(1.01, 1.0),
        borderaxespad=0.0,
        ncols=_columns_beside(len(styles), height),
        columnspacing=1.2,
        handletextpad=0.3,
        **_look(len(styles)),
    )


def lines_below(styles: Collection[ClassStyle], width: float) -> tuple[int, float]:
    """Returns the columns of a legend below maps of some width, and its height, in inches."""
    across = max(1, min(len(styles), int(width / _entry_width(styles)))) if styles else 1
    lines = -(-len(styles) // across)
    # The fewest columns that keep the number of lines fill the last line best.
    return max(1, -(-len(styles) // max(1, lines))), _LINE * _size(len(styles)) * lines


def legend_below(figure: Figure, styles: Collection[ClassStyle], columns: int) -> None:
    """Draws a legend below all maps of a figure."""
    figure.legend(
        handles=legend_handles(styles),
        loc="outside lower center",
        ncols=columns,
        columnspacing=1.2,
        handletextpad=0.2,
        **_look(len(styles)),
    )


def _columns_beside(count: int, height: float) -> int:
    lines = max(1, int(height / (_LINE * _size(count))))
    return max(1, -(-count // lines))


def _entry_width(styles: Collection[ClassStyle]) -> float:
    longest = max((len(short(style.name)) for style in styles), default=0)
    return _MARKER + text_width("n" * longest, _size(len(styles)))


def _size(count: int) -> float:
    return TEXT_SIZE if count <= _MANY else SMALL_SIZE - 1.0


def _look(count: int) -> dict[str, Any]:
    return {"frameon": False, "fontsize": _size(count), "labelcolor": INK}


def legend_above(ax: Axes, handles: Sequence[Artist], title: str | None) -> None:
    """Draws a legend above the right end of axes, and the title above both."""
    ax.legend(
        handles=handles,
        loc="lower right",
        bbox_to_anchor=(1.0, 1.0),
        ncols=min(len(handles), 4),
        frameon=False,
        fontsize=SMALL_SIZE,
        labelcolor=INK,
        borderaxespad=0.2,
        handlelength=1.4,
    )
    if title:
        lines = -(-len(handles) // 4)
        ax.set_title(plain(title), fontsize=TITLE_SIZE, color=INK, loc="left", pad=8 + 14 * lines)
