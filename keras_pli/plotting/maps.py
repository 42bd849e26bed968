"""Maps of an embedding: points coloured by class, with density contours and direct labels."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from .frame import draw_scale_bar, fitting_limits
from .layout import map_axes
from .legends import legend_beside
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
from .style import PALE, ClassNames, class_labels, class_styles, draw_title, root_figure

_FEW_CLASSES = 6


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
        >>> import numpy as np
        >>> points = np.random.default_rng(0).normal(size=(60, 2))
        >>> figure = embedding_map(points, np.arange(60) % 3, class_names=["cat", "dog", "owl"])
        >>> len(figure.axes)
        1
    """
    points = map_positions(embedding, "embedding")
    classes = class_labels(labels, len(points))
    styles = class_styles(classes, class_names if labels is not None else None)
    pale = greyed(styles, highlight)
    shown = list(with_grey(styles, pale, PALE).values())
    named = labels is not None
    bounds = fitting_limits([points]) if limits is None else checked_limits(limits, points)
    outlines = map_outlines([points], [classes], bounds, styles) if named else [{}]
    data = MapData(points, classes, styles, pale, outlines[0])
    contours = with_contours(contours, [data])
    if limits is None and contours:
        bounds = fitting_contours([data])
    directly = named and direct_labels and points.shape[1] == 2
    if legend is None:
        legend = named and (not directly or len(styles) > _FEW_CLASSES)
    height = None
    if ax is None:
        ax, height = map_axes(bounds, shown if legend else [])
    draw_map(ax, data, bounds, contours=contours, named=named)
    draw_title(ax, title)
    draw_scale_bar(ax, bounds)
    marked = draw_marks(ax, points, mark)
    if legend:
        legend_beside(ax, shown, height=height)
    if directly:
        draw_names(ax, data, marked)
    return root_figure(ax)
