"""Maps of an embedding: points coloured by class, with density contours and direct labels."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, cast

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from mpl_toolkits.mplot3d import proj3d
from numpy.typing import ArrayLike, NDArray

from ..checks import finite_array, label_array, quoted
from .arrows import draw_key, draw_origins, draw_signs, origin_key
from .frame import draw_scale_bar, fitting_limits, frame_axes, point_alpha, point_size
from .layout import map_axes, panel_axes, single_axes
from .legends import legend_beside
from .outlines import Outline, class_outlines, told_apart
from .placement import FEW_NAMES, label_spots
from .style import (
    INK,
    MUTED,
    NO_LABEL,
    PALE,
    TEXT_SIZE,
    ClassNames,
    ClassStyle,
    class_labels,
    class_styles,
    draw_title,
    halo,
    marker_path,
    root_figure,
)

_FEW_CLASSES = 6
_MOST_NAMED = 30


@dataclass(frozen=True)
class _MapData:
    """One checked map: what the drawing functions below share."""

    points: NDArray[np.float32]
    labels: NDArray[Any]
    styles: Mapping[Any, ClassStyle]
    pale: frozenset[Any] = field(default_factory=frozenset)
    outlines: Mapping[Any, Outline] = field(default_factory=dict)


def embedding_map(
    embedding: ArrayLike,
    labels: ArrayLike | None = None,
    *,
    class_names: ClassNames | None = None,
    title: str | None = None,
    contours: bool | None = None,
    direct_labels: bool = True,
    legend: bool | None = None,
    highlight: Collection[Any] | None = None,
    mark: ArrayLike | None = None,
    limits: Sequence[float] | None = None,
    ax: Axes | None = None,
) -> Figure:
    """Draws a map of two or three components, coloured by class.

    In two components every class gets contour lines at the density threshold 1/N of Fig. 3 of
    Hinterreiter et al. 2020 (see `class_density` for its unit) and its name at the densest spot.
    Three components are drawn in perspective, without contours, and named in a legend.
    The axes of a map mean nothing but distance, so there is a scale bar in place of ticks.

    Many classes that overlap stay readable: contours that no eye could follow are left out, and so are names
    that find no place near their class; the legend has them all.

    Args:
        embedding: Positions, shape `(samples, 2)` or `(samples, 3)`.
        labels: Classes, shape `(samples,)`, integers or strings; None draws all points alike
            and no contours.
        class_names: A sequence that integer labels index, or a mapping from label to name.
        title: What stands above the map.
        contours: Whether to draw the contour lines; by default unless a point lies within more than four
            of them on average.
        direct_labels: Whether to write the class names into the map.
        legend: Whether to add a legend; by default where there are more than six classes, or
            names have no place in the map.
        highlight: Labels of the classes that keep their colour while all others turn grey.
        mark: Indices of samples to ring and number 1, 2, … in the order given.
        limits: Lower and upper end of each component, e.g. `(x0, x1, y0, y1)`; fits the points and
            contours by default.
        ax: Axes to draw in (three-dimensional ones for three components).

    Returns:
        The figure, a new one or the one that `ax` lies in. pyplot knows nothing of a new figure:
        it shows itself at the end of a notebook's cell, or by `show()`; store it by `save_figure`.

    Raises:
        ValueError: If shapes disagree, a position is not finite, a class has no name, a highlighted
            class or marked sample does not exist, or limits are not increasing.

    Example:
        >>> points = np.random.default_rng(0).normal(size=(60, 2))
        >>> figure = embedding_map(points, np.arange(60) % 3, class_names=["cat", "dog", "owl"])
        >>> len(figure.axes)
        1
    """
    points = _positions(embedding, "embedding")
    classes = class_labels(labels, len(points))
    styles = class_styles(classes, class_names if labels is not None else None)
    pale = _greyed(styles, highlight)
    shown = list(_with_grey(styles, pale, PALE).values())
    named = labels is not None
    bounds = fitting_limits([points]) if limits is None else _checked_limits(limits, points)
    outlines = _outlines([points], [classes], bounds, styles) if named else [{}]
    data = _MapData(points, classes, styles, pale, outlines[0])
    contours = _with_contours(contours, [data])
    if limits is None and contours:
        bounds = _fitting_contours([data])
    directly = named and direct_labels and points.shape[1] == 2
    if legend is None:
        legend = named and (not directly or len(styles) > _FEW_CLASSES)
    height = None
    if ax is None:
        ax, height = map_axes(bounds, shown if legend else [])
    _draw_map(ax, data, bounds, contours=contours, named=named)
    draw_title(ax, title)
    draw_scale_bar(ax, bounds)
    marked = _draw_marks(ax, points, mark)
    if legend:
        legend_beside(ax, shown, height=height)
    if directly:
        _draw_names(ax, data, marked)
    return root_figure(ax)


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

    panels: Mapping[str, _MapData]
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
    points = {title: _positions(values, f"panels[{title!r}]") for title, values in panels.items()}
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
    bounds = fitting_limits(seen) if limits is None else _checked_limits(limits, maps[0])
    outlines = _outlines(maps, classes.values(), bounds, styles) if named else [{} for _ in maps]
    pale = _greyed(styles, highlight)
    data = {
        title: _MapData(values, classes[title], styles, pale, found)
        for (title, values), found in zip(points.items(), outlines, strict=True)
    }
    contours = _with_contours(contours, list(data.values()))
    if limits is None and contours:
        bounds = _fitting_contours(list(data.values()))
    unknown = [title for title in mark or {} if title not in points]
    if unknown:
        raise ValueError(f"`mark` names no panel: {quoted(unknown)}. Panels: {quoted(points)}.")
    shown = list(_with_grey(styles, pale, PALE).values()) if named else []
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
        _draw_map(ax, panel, compared.limits, contours=compared.contours, named=compared.named)
        draw_title(ax, title)
        marked = _draw_marks(ax, panel.points, compared.mark.get(title))
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
            _draw_names(ax, compared.panels[title], avoid[title], moved_classes.get(title, ()))


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
        old = _positions(before, f"came_from[{title!r}]")
        mask = label_array(moved, len(points[title]), f"came_from[{title!r}]").astype(bool)
        if old.shape != points[title].shape:
            raise ValueError(
                f"`came_from` must hold as many positions as the panel {title!r}, "
                f"{points[title].shape}. Received: {old.shape}."
            )
        found[title] = old, mask
    return found


def _outlines(
    maps: Iterable[NDArray[Any]],
    labels: Iterable[NDArray[Any]],
    limits: Sequence[float],
    styles: Mapping[Any, ClassStyle],
) -> list[dict[Any, Outline]]:
    """Returns the outlines of each map by class; there are none in three components, and of no label."""
    unlabelled = {label for label, style in styles.items() if style.name == NO_LABEL}
    width = limits[1] - limits[0]
    return [
        {
            label: outline
            for label, outline in class_outlines(points, classes, width=width).items()
            if label not in unlabelled
        }
        if len(limits) == 4
        else {}
        for points, classes in zip(maps, labels, strict=True)
    ]


def _with_contours(asked: bool | None, maps: Sequence[_MapData]) -> bool:
    if asked is None:
        return told_apart([(data.outlines.values(), data.points) for data in maps])
    return asked


def _fitting_contours(maps: Sequence[_MapData]) -> tuple[float, ...]:
    corners = [outline.corners for data in maps for outline in data.outlines.values()]
    return fitting_limits([*(data.points for data in maps), *(c for c in corners if len(c))])


def _draw_map(
    ax: Axes, data: _MapData, limits: Sequence[float], *, contours: bool, named: bool
) -> None:
    if len(limits) == 6 and ax.name != "3d":
        raise ValueError(f"Three components need three-dimensional `ax`. Received {ax.name} axes.")
    if len(limits) == 4 and ax.name == "3d":
        raise ValueError("Two components need two-dimensional `ax`. Received 3d axes.")
    frame_axes(ax, limits)
    colors = None if named else MUTED
    _draw_points(ax, data, colors)
    if contours:
        for label, style in data.styles.items():
            if label in data.outlines:
                color = "#ABABAB" if label in data.pale else style.ink
                data.outlines[label].draw(ax, color)


def _draw_points(ax: Axes, data: _MapData, color: str | None) -> None:
    """Scatters the points in random order, so that no class hides another by coming last."""
    count = len(data.points)
    width = ax.get_window_extent().width / root_figure(ax).dpi
    alpha = point_alpha(count)
    shuffled = np.random.default_rng(0).permutation(count)
    names, position = np.unique(data.labels[shuffled], return_inverse=True)
    drawn = [data.styles[label] for label in names.tolist()]
    faces = np.array([color or style.color for style in drawn])
    sizes = point_size(count, width) * np.array([style.area for style in drawn])
    grey = np.array([label in data.pale for label in names.tolist()])
    shapes = np.array([style.marker for style in drawn])
    # A collection may hold points of many shapes in one order, but in perspective it sorts colours alone.
    apart = (
        [shapes == shape for shape in dict.fromkeys(shapes)] if ax.name == "3d" else [shapes != ""]
    )
    paths = np.array([marker_path(style.marker) for style in drawn], dtype=object)
    # The greyed classes below all others.
    for of_class in apart:
        for below in (True, False):
            chosen = (of_class & (grey == below))[position]
            if not chosen.any():
                continue
            # Any: mplot3d's scatter takes a third position.
            points = cast(Any, ax).scatter(
                *data.points[shuffled[chosen]].T,
                c=PALE if below else faces[position[chosen]],
                marker=shapes[of_class][0],
                s=sizes[position[chosen]],
                alpha=alpha,
                linewidths=0,
                rasterized=True,
                zorder=1 if below else 2,
            )
            if ax.name != "3d":
                points.set_paths(paths[position[chosen]].tolist())


def _draw_names(
    ax: Axes, data: _MapData, avoid: NDArray[Any], first: Collection[Any] = frozenset()
) -> None:
    """Names the classes at their densest spots: `first`, then coloured before grey, large before small."""
    spots = _spots(ax, data)
    present = [label for label in data.styles if label in spots]
    present.sort(
        key=lambda label: (
            label not in first,
            label in data.pale,
            -int((data.labels == label).sum()),
        )
    )
    inked = [_with_grey(data.styles, data.pale, MUTED)[label] for label in present]
    important = len(set(first) & set(present))
    # Of many, with the lines to them one would see little else.
    important = important if important <= FEW_NAMES else 0
    avoid = avoid if ax.name != "3d" else _seen(ax, avoid)
    places = [spots[label] for label in present]
    label_spots(ax, places, inked, avoid=avoid, important=important)


def _spots(ax: Axes, data: _MapData) -> dict[Any, tuple[float, float]]:
    """Where each class's name belongs: its densest spot, or in perspective its middle."""
    if ax.name != "3d":
        return {label: outline.density.peak for label, outline in data.outlines.items()}
    named = [label for label, style in data.styles.items() if style.name != NO_LABEL]
    members = {label: data.points[data.labels == label] for label in named}
    return {
        label: tuple(_seen(ax, np.median(points, axis=0)[None])[0])
        for label, points in members.items()
        if len(points)
    }


def _seen(ax: Axes, points: NDArray[Any]) -> NDArray[np.float64]:
    """Positions in perspective, in the plane that is looked at."""
    points = np.reshape(points, (-1, 3))
    x, y, _ = proj3d.proj_transform(*points.T, cast(Any, ax).get_proj())
    return np.stack([x, y], axis=1)


def _draw_marks(ax: Axes, points: NDArray[Any], mark: ArrayLike | None) -> NDArray[Any]:
    """Rings and numbers samples; returns their positions."""
    if mark is None:
        return points[:0]
    rows = np.asarray(mark)
    wrong = rows[(rows < 0) | (rows >= len(points))] if rows.dtype.kind in "iu" else rows
    if rows.ndim != 1 or len(wrong):
        raise ValueError(
            f"`mark` must be a list of sample indices below {len(points)}. "
            f"Received shape {rows.shape} with {quoted(wrong.ravel())}."
        )
    ring = {"s": 70, "facecolors": "none", "edgecolors": INK, "linewidths": 1.4, "zorder": 7}
    cast(Any, ax).scatter(*points[rows].T, **ring)
    for number, row in enumerate(rows, start=1):
        if points.shape[1] == 3:
            cast(Any, ax).text(*points[row], f"  {number}", fontsize=TEXT_SIZE, color=INK)
            continue
        ax.annotate(
            str(number),
            tuple(points[row]),
            xytext=(6, 5),
            textcoords="offset points",
            fontsize=TEXT_SIZE,
            fontweight="bold",
            color=INK,
            path_effects=halo(),
            zorder=8,
        )
    return points[rows]


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


def _positions(embedding: ArrayLike, name: str) -> NDArray[np.float32]:
    points = finite_array(embedding, name, ndim=2)
    if points.shape[1] not in (2, 3):
        raise ValueError(f"`{name}` must have 2 or 3 components. Received shape {points.shape}.")
    return points


def _checked_limits(limits: Sequence[float], points: NDArray[Any]) -> tuple[float, ...]:
    ends = np.asarray(limits, dtype=np.float64)
    wanted = 2 * points.shape[1]
    if ends.shape != (wanted,) or not np.isfinite(ends).all() or (ends[::2] >= ends[1::2]).any():
        raise ValueError(
            f"`limits` must be {wanted} numbers, the lower and upper end of each component. "
            f"Received: {limits!r}."
        )
    return tuple(float(end) for end in ends)


def _greyed(styles: Mapping[Any, ClassStyle], highlight: Collection[Any] | None) -> frozenset[Any]:
    if highlight is None:
        return frozenset()
    unknown = [label for label in highlight if label not in styles]
    if unknown:
        raise ValueError(
            f"`highlight` must list labels that occur: {quoted(styles)}. Not among them: "
            f"{quoted(unknown)}."
        )
    return frozenset(label for label in styles if label not in set(highlight))


def _with_grey(
    styles: Mapping[Any, ClassStyle], pale: Collection[Any], grey: str
) -> dict[Any, ClassStyle]:
    """Returns the styles with the pale classes in a grey."""
    return {
        label: replace(style, color=grey) if label in pale else style
        for label, style in styles.items()
    }
