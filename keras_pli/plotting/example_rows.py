"""Rows of samples that belong together: those that decided, those that are like one, those of a class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import ArrayLike, NDArray

from .attributions import axes_at, draw_picture, draw_signal
from .heatmaps import finite_values, picture
from .images import natural_range
from .style import FRAME, INK, MUTED, SMALL_SIZE, TEXT_SIZE, TITLE_SIZE, new_figure, plain

_GAP, _GROUP_GAP, _LINE, _MARGIN = 0.1, 0.34, 0.15, 0.08
_LETTER = 0.075


def example_rows(
    samples: ArrayLike | None,
    groups: Mapping[str, ArrayLike],
    *,
    of: ArrayLike,
    captions: Sequence[str],
    group_captions: Mapping[str, Sequence[Sequence[str]]] | None = None,
    heading: str = "sample",
    value_range: tuple[float, float] | None = None,
    title: str | None = None,
) -> Figure:
    """Draws rows of samples in groups, beside a sample that they belong to or a name.

    All share one scale from black to white. Of volumes the middle slice across the first axis is drawn.

    Args:
        samples: What stands at the left, `(rows, ...)`: signals `(length,)` or `(length, channels)`, images
            `(height, width)` or with a last axis of 1 or 3, or volumes `(depth, height, width, channels)`.
            None writes the captions there.
        groups: What stands beside them by heading: positions in `of`, `(rows, columns)`; −1 for none.
        of: All samples that groups are taken from.
        captions: One text for each row.
        group_captions: Texts below the samples of each group, `rows` lists of `columns`, line breaks kept.
        heading: What stands above the samples at the left.
        value_range: The values drawn black and white; see `image_strip`.
        title: What stands above all.

    Returns:
        A new figure.

    Raises:
        ValueError: If shapes do not fit, or a value is not finite.

    Example:
        >>> images = np.zeros((5, 8, 8))
        >>> near = {"near": [[2, 3], [4, -1]]}
        >>> figure = example_rows(images[:2], near, of=images, captions=["cat", "dog"])
        >>> len(figure.axes), figure.axes[0].get_xlabel()
        (5, 'cat')
    """
    shown, rank = _shown(samples, groups, of, value_range)
    texts = _texts(captions, group_captions or {}, groups, samples is not None)
    if len(captions) != len(texts):
        raise ValueError(f"`captions` must have {len(texts)} entries. Received: {len(captions)}.")
    lines = max((text.count("\n") + 1 for row in texts for text in row if text), default=0)
    pictures = [sample for column in shown.values() for sample in column if sample is not None]
    width = float(np.clip(12.0 / len(shown), 0.75, 1.2)) * (1.0 if rank > 1 else 1.3)
    height = 0.7 if rank == 1 else width * pictures[0].shape[0] / pictures[0].shape[1]
    below = _LINE * lines + 0.1
    left = _MARGIN
    if samples is None:
        left += 0.15 + _LETTER * max(len(text) for text in captions)
    starts, across = _starts(shown, width, left)
    top = (0.36 if title else 0.0) + 0.3
    figure = new_figure(across, top + len(texts) * (height + below))
    figure.set_layout_engine("none")
    for row, line in enumerate(texts):
        down = top + row * (height + below)
        if samples is None:
            _write(figure, _MARGIN, down + height / 2, captions[row], INK, va="center")
        for (key, start), text in zip(starts.items(), line, strict=True):
            sample = shown[key][row]
            if sample is None:
                continue
            ax = axes_at(figure, start, down, width, height)
            draw_signal(ax, sample) if rank == 1 else draw_picture(ax, sample)
            ax.set_xlabel(plain(text), fontsize=SMALL_SIZE, color=INK, labelpad=2.5)
    _head(figure, starts, width, top, heading)
    if title:
        _write(figure, _MARGIN, 0.08, title, INK, size=TITLE_SIZE)
    return figure


Key = tuple[str, int]
Columns = dict[Key, list[NDArray[np.float64] | None]]


def _shown(
    samples: ArrayLike | None,
    groups: Mapping[str, ArrayLike],
    of: ArrayLike,
    value_range: tuple[float, float] | None,
) -> tuple[Columns, int]:
    """Returns the columns in [0, 1], by group and place, and the number of spatial axes."""
    pool = np.asarray(of)
    places = {name: np.asarray(found, np.int64) for name, found in groups.items()}
    rows = {len(found) for found in places.values()}
    own = None if samples is None else np.asarray(samples)
    if own is not None:
        rows.add(len(own))
        if own.shape[1:] != pool.shape[1:]:
            raise ValueError(
                f"`samples` and `of` must hold samples of one shape. Received shapes {own.shape} and "
                f"{pool.shape}."
            )
    if len(rows) != 1 or any(found.ndim != 2 for found in places.values()):
        shapes = {name: found.shape for name, found in places.items()}
        raise ValueError(
            f"`groups` must hold positions of shape (rows, columns). Received shapes {shapes}."
        )
    used = np.unique(np.concatenate([found.ravel() for found in places.values()]))
    used = used[used >= 0]
    drawn = pool[used] if own is None else np.concatenate([own, pool[used]])
    rank = _rank(pool.shape[1:])
    pictures = _pictures(finite_values(drawn, "of"), rank, value_range or natural_range(drawn))
    begin = 0 if own is None else len(own)
    where = {int(place): begin + index for index, place in enumerate(used)}
    columns: Columns = {} if own is None else {("", 0): [*pictures[: len(own)]]}
    for name, found in places.items():
        for place in range(found.shape[1]):
            columns[name, place] = [
                None if number < 0 else pictures[where[int(number)]] for number in found[:, place]
            ]
    return columns, rank


def _pictures(
    drawn: NDArray[np.float64], rank: int, value_range: tuple[float, float]
) -> NDArray[np.float64]:
    if rank == 1:
        return drawn
    found = picture(drawn, dimensions=rank + 1, value_range=value_range)
    return found[:, found.shape[1] // 2] if rank == 3 else found


def _rank(shape: tuple[int, ...]) -> int:
    if len(shape) == 1:
        return 1
    if len(shape) == 2:
        return 1 if shape[0] > 4 * shape[1] else 2
    if len(shape) == 3:
        return 2 if shape[2] in (1, 3) else 3
    if len(shape) == 4:
        return 3
    raise ValueError(
        f"`samples` must be signals, images or volumes. Received samples of shape {shape}."
    )


def _texts(
    captions: Sequence[str],
    group_captions: Mapping[str, Sequence[Sequence[str]]],
    groups: Mapping[str, ArrayLike],
    own: bool,
) -> list[list[str]]:
    """The text below each sample, a list for each row."""
    rows = len(np.asarray(next(iter(groups.values()))))
    texts = [[str(text)] if own else [] for text in [*captions, *[""] * rows][:rows]]
    for name, found in groups.items():
        columns = np.shape(found)[1]
        given = group_captions.get(name, [[""] * columns] * rows)
        if [len(row) for row in given] != [columns] * rows:
            raise ValueError(f"The captions of {name!r} must be {rows} lists of {columns}.")
        for row, more in zip(texts, given, strict=True):
            row.extend(str(text) for text in more)
    return texts


def _starts(shown: Columns, width: float, left: float) -> tuple[dict[Key, float], float]:
    """Where each column begins, in inches, and how wide all are."""
    starts: dict[Key, float] = {}
    place, before = left, next(iter(shown))[0]
    for key in shown:
        place += _GROUP_GAP - _GAP if key[0] != before else 0.0
        starts[key], before = place, key[0]
        place += width + _GAP
    return starts, place - _GAP + _MARGIN


def _head(
    figure: Figure, starts: Mapping[Key, float], width: float, top: float, heading: str
) -> None:
    """Writes the headings, and draws a line that spans each group below its own."""
    across, down = figure.get_size_inches()
    for name in dict.fromkeys(key[0] for key in starts):
        places = [start for key, start in starts.items() if key[0] == name]
        color = INK if name == "" else MUTED
        _write(figure, places[0], top - 0.09, name or heading, color, va="bottom")
        ends = [places[0] / across, (places[-1] + width) / across]
        height = 1 - (top - 0.06) / down
        figure.add_artist(Line2D(ends, [height] * 2, color=FRAME, linewidth=0.8))


def _write(
    figure: Figure,
    left: float,
    top: float,
    text: str,
    color: str,
    *,
    size: float = TEXT_SIZE,
    va: str = "top",
) -> None:
    """Writes at a place in inches from the upper left corner."""
    across, down = figure.get_size_inches()
    figure.text(left / across, 1 - top / down, plain(text), fontsize=size, color=color, va=va)
