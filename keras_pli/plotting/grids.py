"""Many attributions on one page: samples as rows, methods as columns."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

from ..checks import checked_by_name, one_of, quoted
from .attributions import axes_at, draw_heat, draw_picture, draw_signal
from .heatmaps import (
    Heatmap,
    central_peak,
    checked_alpha,
    faded,
    finite_values,
    heatmap,
    number,
    picture,
    scale_limit,
    spatial_dimensions,
)
from .style import INK, MUTED, SMALL_SIZE, TEXT_SIZE, TITLE_SIZE, new_figure, plain

_LETTER = 0.072  # inches; the mean width of a letter of the headings
_LINE = 0.15
_GAP = 0.08
_MARGIN = 0.06
_CAPTION = 0.21
_KEY = 0.5
_LEAST_WIDTH = 4.4
_SAMPLE_NAMES = {1: "signal", 2: "image", 3: "volume"}


@dataclass(frozen=True, eq=False)
class _Cell:
    """One picture of the grid: a sample, with a map over it or without.

    What stands above it is the heading and, where maps share it, their scale.
    """

    heading: str
    shown: NDArray[np.float64]
    heat: Heatmap | None
    caption: str
    is_signal: bool
    scale: str = ""


def attribution_grid(
    images: ArrayLike | None,
    attributions: Mapping[str, ArrayLike],
    *,
    row_labels: Sequence[str] | None = None,
    columns: int | None = None,
    signed: bool | None = None,
    percentile: float | None = None,
    scale: Literal["method", "map", "all"] = "method",
    alpha: float = 0.9,
    dimensions: int | None = None,
    slice_index: int | None = None,
    value_range: tuple[float, float] | None = None,
    title: str | None = None,
) -> Figure:
    """Draws samples as rows and methods as columns, the sample itself first.

    One sample is wrapped into as many rows as its methods need. The maps of one method share a scale,
    so that a weak map looks weak; it stands below the method's name, and below each map its own
    largest value. Methods have different units, and so different scales. Of a volume one slice is
    drawn, across its first axis, the same for all methods.

    Args:
        images: Samples of shape `(samples, ...)`, signals and images as in `attribution_overlay`,
            volumes as in `volume_slices`; None draws the maps alone, on white.
        attributions: Method to its attributions, each of the shape of `images`, or that without
            the channel axis. The order is kept.
        row_labels: One text a sample.
        columns: Pictures in a row, for one sample only; by default about six.
        signed: Whether to show the signs; by default for each method where any of its values is
            negative.
        percentile: Share of the pixels, in percent, that lie within a map's scale; by default 99,
            and 99.9 for volumes, of which what is sought fills a smaller part.
        scale: Which maps share a scale: those of a `"method"`, `"all"` of the grid, for methods of one
            unit, or none, where each `"map"` has its own, which stands below it.
        alpha: Opacity at the end of the scale.
        dimensions: Number of spatial axes, 1, 2 or 3; see `attribution_overlay`.
        slice_index: Which slice of the volumes to draw; by default the one of each sample with
            the greatest attribution, all methods counted alike.
        value_range: The values drawn black and white, the same for all samples; see `image_strip`.
        title: What stands above the grid.

    Returns:
        A new figure.

    Raises:
        ValueError: If shapes do not fit, a value is not finite, there is not a method, labels are of
            another number, or an option is out of range or does not apply.

    Example:
        >>> maps = {"saliency": np.ones((2, 8, 8)), "occlusion": np.zeros((2, 8, 8))}
        >>> figure = attribution_grid(np.zeros((2, 8, 8, 3)), maps, row_labels=["cat", "dog"])
        >>> [ax.get_title() for ax in figure.axes[:3]]
        ['image', 'saliency', 'occlusion']
    """
    samples = _blank(attributions) if images is None else finite_values(images, "images")
    rank = _common_rank(samples.shape, attributions, dimensions)
    if slice_index is not None and rank < 3:
        raise ValueError(
            f"`slice_index` is for volumes. Received: {slice_index}, with samples of shape "
            f"{samples.shape[1:]}."
        )
    if percentile is None:
        percentile = 99.9 if rank == 3 else 99.0
    heats = [
        _method_heats(samples.shape, rank, name, values, signed, percentile)
        for name, values in attributions.items()
    ]
    if one_of(scale, ("method", "map", "all"), "scale") != "map":
        heats = _on_shared_scales(heats, percentile, all_methods=scale == "all")
    shared = scale == "all" or (scale == "method" and len(samples) > 1)
    shown = samples
    if rank > 1:
        given = samples if images is None else images
        shown = picture(given, dimensions=rank + 1, value_range=value_range)
    rows = [
        _sample_cells(one, dict(zip(attributions, maps, strict=True)), rank, slice_index, shared)
        for one, *maps in zip(shown, *heats, strict=True)
    ]
    if images is None:
        rows = [maps for _, *maps in rows]
    wrapped = _arranged(rows, columns, about=6 if rank > 1 else 3)
    labels = _checked_labels(row_labels, len(rows))
    whose = {"method": "Each method has its own", "all": "All maps share one"}
    whose_scale = whose[scale] if shared else "Each map has its own"
    note = _note(
        [heat for maps in heats for heat in maps],
        f"{whose_scale} scale, to percentile {percentile:g} of its absolute values.",
    )
    return _draw_cells(wrapped, labels, checked_alpha(alpha), title, note)


def _note(heats: Sequence[Heatmap], note: str) -> str:
    if any(heat.summed for heat in heats):
        note += " Channels are summed."
    if any(heat.unsigned for heat in heats):
        note += " Signs are dropped."
    return note


def _blank(attributions: Mapping[str, ArrayLike]) -> NDArray[np.float64]:
    """Returns white samples for maps that are drawn alone, with channels where some map has them."""
    shapes = [finite_values(m, name).shape for name, m in checked_by_name(attributions).items()]
    return np.ones(max(shapes, key=len))


def _common_rank(
    shape: Sequence[int], attributions: Mapping[str, ArrayLike], dimensions: int | None
) -> int:
    """Returns the number of spatial axes that the samples and all their attributions agree on."""
    ranks = []
    for name, values in checked_by_name(attributions).items():
        received = finite_values(values, name).shape
        if received[:1] != tuple(shape[:1]):
            raise ValueError(
                f"The attributions of {name!r} must have one entry for each of the {shape[0]} "
                f"samples. Received shape {received} for images of shape {tuple(shape)}."
            )
        ranks.append(spatial_dimensions(shape[1:], received[1:], dimensions))
    return min(ranks)


def _method_heats(
    shape: Sequence[int],
    rank: int,
    name: str,
    attributions: ArrayLike,
    signed: bool | None,
    percentile: float,
) -> list[Heatmap]:
    """Reduces the maps of one method; where one has a sign, all are drawn with signs."""
    values = finite_values(attributions, name)
    if signed is None:
        signed = bool((values < 0).any())
    return [
        heatmap(one, shape[1:], dimensions=rank, signed=signed, percentile=percentile, name=name)
        for one in values
    ]


def _on_shared_scales(
    heats: list[list[Heatmap]], percentile: float, *, all_methods: bool
) -> list[list[Heatmap]]:
    """Returns the maps of each method, or of all, on one scale."""
    every = [heat.values for maps in heats for heat in maps]
    limits = [
        scale_limit(every if all_methods else [heat.values for heat in maps], percentile)
        for maps in heats
    ]
    return [
        [replace(heat, limit=limit) for heat in maps]
        for maps, limit in zip(heats, limits, strict=True)
    ]


def _sample_cells(
    shown: NDArray[np.float64],
    heats: dict[str, Heatmap],
    rank: int,
    slice_index: int | None,
    shared: bool,
) -> list[_Cell]:
    """Returns the pictures of one sample: itself, then each method's map over it."""
    caption = ""
    if rank == 3:
        place = _most_attributed(heats) if slice_index is None else slice_index
        if not 0 <= place < len(shown):
            raise ValueError(
                f"`slice_index` must lie in [0, {len(shown) - 1}]. Received: {slice_index}."
            )
        shown, heats = shown[place], {name: heat.plane(place) for name, heat in heats.items()}
        caption = f"slice {place}"
    first = _Cell(_SAMPLE_NAMES[rank], shown, None, caption, rank == 1)
    maps = [
        _Cell(
            name,
            shown,
            heat,
            _largest(heat) if shared else _limit(heat),
            rank == 1,
            _limit(heat) if shared else "",
        )
        for name, heat in heats.items()
    ]
    return [first, *maps]


def _most_attributed(heats: Mapping[str, Heatmap]) -> int:
    return central_peak(sum(heat.strength.sum(axis=(1, 2)) for heat in heats.values()))[0]


def _limit(heat: Heatmap) -> str:
    if heat.limit == 0:
        return "all zero"
    return f"{'±' if heat.signed else '0 to '}{number(heat.limit)}"


def _largest(heat: Heatmap) -> str:
    largest = float(heat.values.flat[np.abs(heat.values).argmax()])
    return f"peak {number(largest)}" if largest else "all zero"


def _arranged(rows: list[list[_Cell]], columns: int | None, about: int) -> list[list[_Cell]]:
    """Wraps the pictures of a lone sample into rows; leaves several samples a row each."""
    if columns is not None and columns < 1:
        raise ValueError(f"`columns` must be at least 1. Received: {columns}.")
    if len(rows) > 1:
        if columns is not None:
            raise ValueError(
                f"`columns` is for one sample; of several, each has a row of its own. Received: "
                f"{columns} for {len(rows)} samples."
            )
        return rows
    cells = rows[0]
    if columns is None:
        # The fewest gaps in the last row, and of equals the nearest to the usual width.
        wide = range(about - 1, about + 2)
        columns = min(wide, key=lambda width: (-len(cells) % width, abs(width - about)))
        columns = len(cells) if len(cells) <= about + 1 else columns
    return [cells[start : start + columns] for start in range(0, len(cells), columns)]


def _checked_labels(labels: Sequence[str] | None, samples: int) -> list[str]:
    if labels is None:
        return [""] * samples
    if len(labels) != samples:
        raise ValueError(
            f"`row_labels` must have one entry for each of the {samples} samples. Received: "
            f"{quoted(labels)}."
        )
    return [str(label) for label in labels]


def _draw_cells(
    rows: list[list[_Cell]], labels: list[str], alpha: float, title: str | None, note: str
) -> Figure:
    """Draws all pictures, placed by the inch so that none is smaller than another."""
    width, height = _cell_size(rows)
    beside = [_broken(label, height) for label in labels]
    lines = max((text.count("\n") + 1 for text in beside if text), default=0)
    left = _LINE * lines + 0.05 if lines else _MARGIN
    # Several samples share the headings of the first row.
    headed = [len(labels) == 1 or i == 0 for i in range(len(rows))]
    texts = [[_broken(cell.heading, width) for cell in row] for row in rows]
    below = _LINE if any(cell.scale for row in rows for cell in row) else 0.0
    heads = [
        _LINE * max(text.count("\n") + 1 for text in line) + below if shown else 0.0
        for line, shown in zip(texts, headed, strict=True)
    ]
    top = 1.8 * _LINE if title else _MARGIN
    across = max(left + max(len(row) for row in rows) * (width + _GAP), _LEAST_WIDTH)
    figure = new_figure(across, top + sum(heads) + len(rows) * (height + _CAPTION) + _KEY)
    figure.set_layout_engine("none")
    for i, row in enumerate(rows):
        top += heads[i]
        for j, cell in enumerate(row):
            ax = axes_at(figure, left + j * (width + _GAP), top, width, height)
            _draw_cell(ax, cell, alpha)
            if headed[i]:
                _draw_heading(ax, texts[i][j], cell.scale, above=72 * below)
        if i < len(beside):
            figure.axes[-len(row)].set_ylabel(beside[i], fontsize=TEXT_SIZE, color=INK)
        top += height + _CAPTION
    kinds = {cell.heat.signed for row in rows for cell in row if cell.heat is not None}
    _draw_key(figure, left, top + 0.08, kinds, alpha, note)
    if title:
        figure.suptitle(plain(title), fontsize=TITLE_SIZE, color=INK, x=left / across, ha="left")
    return figure


def _draw_heading(ax: Axes, heading: str, scale: str, above: float) -> None:
    ax.set_title(heading, fontsize=TEXT_SIZE, color=INK, pad=3 + above, linespacing=1.0)
    if scale:
        ax.annotate(
            scale,
            (0.5, 1.0),
            xycoords="axes fraction",
            xytext=(0.0, 3.0),
            textcoords="offset points",
            ha="center",
            fontsize=SMALL_SIZE,
            color=MUTED,
        )


def _draw_cell(ax: Axes, cell: _Cell, alpha: float) -> None:
    if cell.is_signal:
        draw_signal(ax, cell.shown, cell.heat, alpha)
    elif cell.heat is None:
        draw_picture(ax, cell.shown)
    else:
        draw_picture(ax, faded(cell.shown))
        draw_heat(ax, cell.heat, alpha)
    ax.set_xlabel(cell.caption, fontsize=SMALL_SIZE, color=MUTED, labelpad=2)


def _draw_key(
    figure: Figure, left: float, top: float, kinds: set[bool], alpha: float, note: str
) -> None:
    """Draws one bar of colours for maps with signs and one for those without, and the note."""
    place = left / figure.get_size_inches()[0], 0.02 / figure.get_size_inches()[1]
    figure.text(*place, note, fontsize=SMALL_SIZE, color=MUTED, va="bottom")
    for signed in sorted(kinds, reverse=True):
        low = -1.0 if signed else 0.0
        ax = axes_at(figure, left, top, 1.3, 0.09)
        ramp = Heatmap(np.linspace(low, 1.0, 256)[np.newaxis], signed, 1.0)
        draw_heat(ax, ramp, alpha, extent=(low, 1.0, 0.0, 1.0), aspect="auto")
        names = {-1.0: "\N{MINUS SIGN}limit", 0.0: "0", 1.0: "limit"}
        places = [place for place in names if place >= low]
        ax.set_xticks(places, [names[place] for place in places])
        ax.get_xticklabels()[0].set_horizontalalignment("left")
        ax.get_xticklabels()[-1].set_horizontalalignment("right")
        ax.set_yticks([])
        ax.tick_params(length=0, pad=2, labelsize=SMALL_SIZE, labelcolor=MUTED)
        ax.spines[:].set_visible(False)
        left += 1.3 + 0.5


def _cell_size(rows: list[list[_Cell]]) -> tuple[float, float]:
    """Returns width and height of a picture in inches: smaller where there are many columns."""
    columns, cell = max(len(row) for row in rows), rows[0][0]
    if cell.is_signal:
        return float(np.clip(14.0 / columns, 1.4, 2.6)), 0.85
    width = float(np.clip(13.0 / columns, 0.8, 1.35))
    return width, width * cell.shown.shape[0] / cell.shown.shape[1]


def _broken(name: str, width: float) -> str:
    """Breaks a text, such as a method's name, into lines at spaces, underscores and capitals inside of it."""
    most = max(int(width / _LETTER), 8)
    lines = [""]
    for part in re.split(r"(?<=[\s_])|(?<=[a-z])(?=[A-Z])", name):
        if lines[-1] and len(lines[-1]) + len(part.rstrip()) > most:
            lines.append("")
        lines[-1] += part
    return plain("\n".join(line.strip() for line in lines))
