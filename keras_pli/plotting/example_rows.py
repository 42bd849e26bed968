"""Samples, each in a row with others that belong to it: those that decided, those that are like it."""

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


def example_rows(
    samples: ArrayLike,
    groups: Mapping[str, ArrayLike],
    *,
    captions: Sequence[str] | None = None,
    group_captions: Mapping[str, Sequence[Sequence[str]]] | None = None,
    sample_heading: str = "sample",
    value_range: tuple[float, float] | None = None,
    title: str | None = None,
) -> Figure:
    """Draws samples at the left, each in a row with the samples of every group.

    All share one scale from black to white. Of volumes the middle slice across the first axis is drawn.

    Args:
        samples: Shape `(rows, length)` or `(rows, length, channels)` for signals, `(rows, height, width)` or
            with a last axis of 1 or 3 for images, `(rows, depth, height, width, channels)` for volumes.
        groups: What stands beside them, by heading: shape `(rows, columns, ...)`.
        captions: One text below each sample; line breaks are kept.
        group_captions: Texts below those of each group, `rows` lists of `columns`.
        sample_heading: What stands above the samples.
        value_range: The values drawn black and white; see `image_strip`.
        title: What stands above all.

    Returns:
        A new figure.

    Raises:
        ValueError: If shapes do not fit, or a value is not finite.

    Example:
        >>> figure = example_rows(np.zeros((2, 8, 8)), {"nearest": np.zeros((2, 3, 8, 8))})
        >>> [ax.get_title() for ax in figure.axes[:2]]
        ['', '']
        >>> len(figure.axes)
        8
    """
    shown, rank = _shown(samples, groups, value_range)
    count = len(shown["", 0])
    texts = _texts(captions, group_captions or {}, groups, count)
    lines = max((text.count("\n") + 1 for row in texts for text in row if text), default=0)
    columns = len(texts[0])
    width = float(np.clip(12.0 / columns, 0.75, 1.2)) * (1.0 if rank > 1 else 1.3)
    first = shown["", 0][0]
    height = 0.7 if rank == 1 else width * first.shape[0] / first.shape[1]
    below = _LINE * lines + 0.1
    starts, across = _starts(shown, width)
    top = (0.36 if title else 0.0) + 0.3
    figure = new_figure(across, top + count * (height + below))
    figure.set_layout_engine("none")
    for row in range(count):
        for column, (key, start) in enumerate(starts.items()):
            ax = axes_at(figure, start, top + row * (height + below), width, height)
            sample = shown[key][row]
            draw_signal(ax, sample) if rank == 1 else draw_picture(ax, sample)
            ax.set_xlabel(plain(texts[row][column]), fontsize=SMALL_SIZE, color=INK, labelpad=2.5)
    _head(figure, starts, width, top, across, sample_heading)
    if title:
        down = figure.get_size_inches()[1]
        place = _MARGIN / across, 1 - 0.08 / down
        figure.text(*place, plain(title), fontsize=TITLE_SIZE, color=INK, va="top")
    return figure


Key = tuple[str, int]


def _shown(
    samples: ArrayLike, groups: Mapping[str, ArrayLike], value_range: tuple[float, float] | None
) -> tuple[dict[Key, NDArray[np.float64]], int]:
    """Returns the columns in [0, 1], by group and place, and the number of spatial axes."""
    given = np.asarray(samples)
    values = {"": finite_values(given, "samples")[:, None]}
    for name, members in groups.items():
        found = finite_values(members, f"groups[{name!r}]")
        if found.shape[:1] != given.shape[:1] or found.shape[2:] != given.shape[1:]:
            raise ValueError(
                f"The group {name!r} must have shape ({len(given)}, columns, "
                f"{', '.join(map(str, given.shape[1:]))}). Received shape {found.shape}."
            )
        values[name] = found
    rank = _rank(given.shape[1:])
    if rank == 1:
        columns = {
            (name, place): part[:, place]
            for name, part in values.items()
            for place in range(part.shape[1])
        }
        return columns, rank
    joined = np.concatenate(list(values.values()), axis=1)
    if value_range is None:
        value_range = natural_range(given if given.dtype == np.uint8 else joined)
    found = picture(
        joined.reshape(-1, *given.shape[1:]), dimensions=rank + 1, value_range=value_range
    )
    if rank == 3:
        found = found[:, found.shape[1] // 2]
    found = found.reshape(*joined.shape[:2], *found.shape[1:])
    names = [(name, place) for name, part in values.items() for place in range(part.shape[1])]
    return {key: found[:, column] for column, key in enumerate(names)}, rank


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
    captions: Sequence[str] | None,
    group_captions: Mapping[str, Sequence[Sequence[str]]],
    groups: Mapping[str, ArrayLike],
    count: int,
) -> list[list[str]]:
    own = [""] * count if captions is None else [str(text) for text in captions]
    if len(own) != count:
        raise ValueError(f"`captions` must have {count} entries. Received: {len(own)}.")
    rows = [[text] for text in own]
    for name, members in groups.items():
        shape = np.shape(members)[:2]
        texts = group_captions.get(name, [[""] * shape[1]] * shape[0])
        if [len(row) for row in texts] != [shape[1]] * shape[0]:
            raise ValueError(f"The captions of {name!r} must be {shape[0]} lists of {shape[1]}.")
        for row, more in zip(rows, texts, strict=True):
            row.extend(str(text) for text in more)
    return rows


def _starts(shown: Mapping[Key, object], width: float) -> tuple[dict[Key, float], float]:
    """Where each column begins, in inches, and how wide all are."""
    starts: dict[Key, float] = {}
    place, before = _MARGIN, ""
    for key in shown:
        place += _GROUP_GAP - _GAP if key[0] != before else 0.0
        starts[key], before = place, key[0]
        place += width + _GAP
    return starts, place - _GAP + _MARGIN


def _head(
    figure: Figure,
    starts: Mapping[Key, float],
    width: float,
    top: float,
    across: float,
    sample_heading: str,
) -> None:
    """Writes the headings, and draws a line that spans each group below its own."""
    down = figure.get_size_inches()[1]
    for name in dict.fromkeys(key[0] for key in starts):
        places = [start for key, start in starts.items() if key[0] == name]
        left, right = places[0], places[-1] + width
        color = INK if name == "" else MUTED
        figure.text(
            left / across,
            1 - (top - 0.09) / down,
            plain(name or sample_heading),
            fontsize=TEXT_SIZE,
            color=color,
            va="bottom",
        )
        height = 1 - (top - 0.06) / down
        line = Line2D([left / across, right / across], [height] * 2, color=FRAME, linewidth=0.8)
        figure.add_artist(line)
