"""Maps drawn alike, side by side or a figure each."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

from ..checks import label_array, quoted
from .arrows import draw_key, draw_origins, draw_signs, origin_key
from .frame import draw_scale_bar, fitting_limits
from .layout import panel_axes, single_axes
from .map_drawing import (
    MapData,
    draw_map,
    draw_marks,
    draw_names,
    fitting_contours,
    map_outlines,
    with_contours,
)
from .map_inputs import checked_limits, greyed, map_positions, with_grey
from .style import (
    PALE,
    ClassNames,
    ClassStyle,
    class_labels,
    class_styles,
    draw_title,
    root_figure,
)

_MOST_NAMED = 30


def embedding_comparison(
    panels: Mapping[str, ArrayLike],
    labels: ArrayLike | Mapping[str, ArrayLike] | None = None,
    *,
    columns: int = 2,
    class_names: ClassNames | None = None,
    contours: bool | None = None,
    direct_labels: bool | None = None,
    highlight: Collection[Any] | None = None,
    mark: Mapping[str, ArrayLike] | None = None,
    came_from: Mapping[str, tuple[ArrayLike, ArrayLike]] | None = None,
    signs: Mapping[str, Mapping[str, ArrayLike]] | None = None,
    limits: Sequence[float] | None = None,
) -> Figure:
    """Draws maps side by side on equal limits with one legend, as in the paper's Fig. 3.

    A class has the same colour in every panel, also if some panel lacks it, and N in the contour
    threshold 1/N is each panel's own number of points.

    Args:
        panels: Title to positions of shape `(samples, 2)` or `(samples, 3)`, in reading order; for
            instance before, edited, control and PLI.
        labels: Classes of shape `(samples,)` for all panels, or a mapping from title to each
            panel's own (train and test panels hold different samples).
        columns: Panels in a row.
        class_names: A sequence that integer labels index, or a mapping from label to name.
        contours: Whether to draw the contour lines; by default unless in some panel a point lies within
            more than four of them on average.
        direct_labels: Whether to write the class names into the panels, as far as they find a place; by
            default up to thirty classes, beyond which the legend alone names them.
        highlight: Labels of the classes that keep their colour while all others turn grey.
        mark: Title to indices of samples to ring and number in that panel.
        came_from: Title to where that panel's points were before, and booleans that say which of them
            moved: an arrow for each class leads from the mean of the moved points to where it is now,
            and a dashed line surrounds where they were.
        signs: Title to booleans by `"weighed"`, `"relabelled"` and `"excluded"`, the samples to mark so.
        limits: Lower and upper end of each component; by default those that fit the points and
            contours of all panels.

    Returns:
        The new figure; its first `len(panels)` axes are the panels.

    Raises:
        ValueError: If there is no panel, `columns` is less than 1, titles in `labels`, `mark` or
            `came_from` do not match `panels`, panels differ in components, or a panel's input is bad.

    Example:
        >>> before = np.random.default_rng(0).normal(size=(40, 2))
        >>> panels = {"Before": before, "After": 2 * before}
        >>> figure = embedding_comparison(panels, np.arange(40) % 2)
        >>> [ax.get_title(loc="left") for ax in figure.axes]
        ['Before', 'After']
    """
    if columns < 1:
        raise ValueError(f"`columns` must be at least 1. Received: {columns}.")
    compared = _compared(
        panels,
        labels,
        class_names=class_names,
        contours=contours,
        highlight=highlight,
        mark=mark,
        came_from=came_from,
        signs=signs,
        limits=limits,
    )
    lines = bool(compared.came_from) + any(compared.signs.values())
    axes = panel_axes(
        compared.limits, len(panels), columns, compared.shown, below_each=0.15 * lines
    )
    places = dict(zip(panels, axes, strict=True))
    _draw_panels(compared, places, direct_labels=direct_labels, last=axes[-1:])
    return root_figure(axes[0])


def embedding_panels(
    panels: Mapping[str, ArrayLike],
    labels: ArrayLike | Mapping[str, ArrayLike] | None = None,
    *,
    class_names: ClassNames | None = None,
    contours: bool | None = None,
    direct_labels: bool | None = None,
    highlight: Collection[Any] | None = None,
    mark: Mapping[str, ArrayLike] | None = None,
    came_from: Mapping[str, tuple[ArrayLike, ArrayLike]] | None = None,
    signs: Mapping[str, Mapping[str, ArrayLike]] | None = None,
    limits: Sequence[float] | None = None,
    width: float = 4.2,
) -> dict[str, Figure]:
    """Draws the maps of `embedding_comparison` as a figure each, on equal limits, without a legend.

    A web page arranges them as its width asks, and has a legend of its own.

    Args:
        panels: As in `embedding_comparison`, as all that follow.
        labels: Classes.
        class_names: Names.
        contours: Whether to draw contour lines.
        direct_labels: Whether to write names into the maps.
        highlight: Classes that keep their colour.
        mark: Samples to ring and number.
        came_from: Where points of a panel were before, and which of them moved.
        signs: Samples that were weighed, relabelled or excluded.
        limits: Lower and upper end of each component.
        width: Of a map, in inches.

    Returns:
        Title to figure, in the order of `panels`.

    Raises:
        ValueError: As `embedding_comparison` does.

    Example:
        >>> before = np.random.default_rng(0).normal(size=(40, 2))
        >>> list(embedding_panels({"Before": before, "After": 2 * before}, np.arange(40) % 2))
        ['Before', 'After']
    """
    compared = _compared(
        panels,
        labels,
        class_names=class_names,
        contours=contours,
        highlight=highlight,
        mark=mark,
        came_from=came_from,
        signs=signs,
        limits=limits,
    )
    axes = {title: single_axes(compared.limits, width) for title in panels}
    _draw_panels(compared, axes, direct_labels=direct_labels, last=list(axes.values()))
    return {title: root_figure(ax) for title, ax in axes.items()}


@dataclass(frozen=True)
class _Compared:
    """Checked maps that are drawn alike."""

    panels: Mapping[str, MapData]
    limits: tuple[float, ...]
    contours: bool
    named: bool
    shown: list[ClassStyle]
    mark: Mapping[str, ArrayLike]
    came_from: Mapping[str, tuple[NDArray[Any], NDArray[np.bool_]]]
    signs: Mapping[str, Mapping[str, NDArray[np.bool_]]]


def _compared(
    panels: Mapping[str, ArrayLike],
    labels: ArrayLike | Mapping[str, ArrayLike] | None,
    *,
    class_names: ClassNames | None,
    contours: bool | None,
    highlight: Collection[Any] | None,
    mark: Mapping[str, ArrayLike] | None,
    came_from: Mapping[str, tuple[ArrayLike, ArrayLike]] | None,
    signs: Mapping[str, Mapping[str, ArrayLike]] | None,
    limits: Sequence[float] | None,
) -> _Compared:
    if not panels:
        raise ValueError(f"`panels` must hold at least one embedding. Received: {panels!r}.")
    points = {
        title: map_positions(values, f"panels[{title!r}]") for title, values in panels.items()
    }
    components = {title: values.shape[1] for title, values in points.items()}
    if len(set(components.values())) > 1:
        raise ValueError(f"All panels must have as many components. Received: {components}.")
    classes = _panel_labels(points, labels)
    styles = class_styles(
        np.concatenate(list(classes.values())), class_names if labels is not None else None
    )
    origins = _origins(points, came_from)
    maps = list(points.values())
    named = labels is not None
    seen = [*maps, *(before for before, _ in origins.values())]
    bounds = fitting_limits(seen) if limits is None else checked_limits(limits, maps[0])
    outlines = map_outlines(maps, classes.values(), bounds, styles) if named else [{} for _ in maps]
    pale = greyed(styles, highlight)
    data = {
        title: MapData(values, classes[title], styles, pale, found)
        for (title, values), found in zip(points.items(), outlines, strict=True)
    }
    contours = with_contours(contours, list(data.values()))
    if limits is None and contours:
        bounds = fitting_contours(list(data.values()))
    unknown = [title for title in mark or {} if title not in points]
    if unknown:
        raise ValueError(f"`mark` names no panel: {quoted(unknown)}. Panels: {quoted(points)}.")
    shown = list(with_grey(styles, pale, PALE).values()) if named else []
    masks = _masks(points, signs)
    return _Compared(data, bounds, contours, named, shown, mark or {}, origins, masks)


def _draw_panels(
    compared: _Compared,
    places: Mapping[str, Axes],
    *,
    direct_labels: bool | None,
    last: Sequence[Axes],
) -> None:
    """Draws each map into its axes; those in `last` have a scale bar."""
    avoid: dict[str, NDArray[Any]] = {}
    moved_classes: dict[str, set[Any]] = {}
    for title, ax in places.items():
        panel = compared.panels[title]
        draw_map(ax, panel, compared.limits, contours=compared.contours, named=compared.named)
        draw_title(ax, title)
        marked = draw_marks(ax, panel.points, compared.mark.get(title))
        key = [draw_signs(ax, panel.points, compared.signs.get(title, {}))]
        if title in compared.came_from:
            before, moved = compared.came_from[title]
            kept = draw_origins(ax, before, panel.points, panel.labels, moved, panel.styles)
            marked = np.concatenate([marked, kept])
            key.append(origin_key(before, panel.points, panel.labels, moved))
            moved_classes[title] = set(panel.labels[moved].tolist())
        avoid[title] = marked
        draw_key(ax, key[::-1])
    for ax in last:
        draw_scale_bar(ax, compared.limits)
    if direct_labels is None:
        direct_labels = len(compared.shown) <= _MOST_NAMED
    # Names come last: they find their places in the finished layout.
    if compared.named and direct_labels:
        for title, ax in places.items():
            draw_names(ax, compared.panels[title], avoid[title], moved_classes.get(title, ()))


def _masks(
    points: Mapping[str, NDArray[Any]], signs: Mapping[str, Mapping[str, ArrayLike]] | None
) -> dict[str, dict[str, NDArray[np.bool_]]]:
    unknown = [title for title in signs or {} if title not in points]
    if unknown:
        raise ValueError(f"`signs` names no panel: {quoted(unknown)}. Panels: {quoted(points)}.")
    return {
        title: {
            what: label_array(mask, len(points[title]), f"signs[{title!r}][{what!r}]").astype(bool)
            for what, mask in of_panel.items()
        }
        for title, of_panel in (signs or {}).items()
    }


def _origins(
    points: Mapping[str, NDArray[Any]],
    came_from: Mapping[str, tuple[ArrayLike, ArrayLike]] | None,
) -> dict[str, tuple[NDArray[Any], NDArray[np.bool_]]]:
    found = {}
    for title, (before, moved) in (came_from or {}).items():
        if title not in points:
            raise ValueError(f"`came_from` names no panel: {title!r}. Panels: {quoted(points)}.")
        old = map_positions(before, f"came_from[{title!r}]")
        mask = label_array(moved, len(points[title]), f"came_from[{title!r}]").astype(bool)
        if old.shape != points[title].shape:
            raise ValueError(
                f"`came_from` must hold as many positions as the panel {title!r}, "
                f"{points[title].shape}. Received: {old.shape}."
            )
        found[title] = old, mask
    return found


def _panel_labels(
    points: Mapping[str, NDArray[Any]], labels: ArrayLike | Mapping[str, ArrayLike] | None
) -> dict[str, NDArray[Any]]:
    if not isinstance(labels, Mapping):
        return {title: class_labels(labels, len(values)) for title, values in points.items()}
    if set(labels) != set(points):
        raise ValueError(
            f"`labels` must name the same panels as `panels`. "
            f"Received {quoted(labels)} for {quoted(points)}."
        )
    return {
        title: class_labels(labels[title], len(values), f"labels[{title!r}]")
        for title, values in points.items()
    }
