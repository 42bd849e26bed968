"""Where classes and points went: arrows from one map to the next."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.legend import Legend
from matplotlib.lines import Line2D
from numpy.typing import ArrayLike, NDArray

from ..checks import finite_array, label_array
from .arrows import SHORTEST, draw_arrow
from .frame import draw_scale_bar, fitting_limits, frame_axes, point_alpha, point_size
from .legends import legend_beside, width_beside
from .placement import FEW_NAMES, label_spots
from .style import (
    FRAME,
    INK,
    MUTED,
    PALE,
    TEXT_SIZE,
    ClassNames,
    ClassStyle,
    class_labels,
    class_styles,
    draw_title,
    halo,
    new_figure,
    root_figure,
)


def displacement_arrows(
    before: ArrayLike,
    after: ArrayLike,
    labels: ArrayLike,
    *,
    moved: ArrayLike | None = None,
    target: ArrayLike | None = None,
    class_names: ClassNames | None = None,
    title: str | None = None,
    most: int = 150,
    seed: int = 0,
    width: float = 6.2,
    legend: bool | None = None,
    of_moved: bool = False,
    ax: Axes | None = None,
) -> Figure:
    """Draws how a map moved: a thick arrow a class, thin lines for single points.

    Class arrows run between the means of the class's positions. Single points are drawn all if
    there are at most `most`, otherwise a random sample of them. With `target`, hollow diamonds
    stand where the plan asked the class means to go, and hollow circles where it asked the drawn
    single points to go: an arrow that ends in its diamond followed the plan. More than twelve classes
    have a legend beside the map, since not all of their names find a place in it.

    Args:
        before: Old positions, shape `(samples, 2)`.
        after: New positions of the same samples, shape `(samples, 2)`.
        labels: Classes, shape `(samples,)`.
        moved: Shape `(samples,)`, true where the plan moved the sample: single points are drawn of
            these alone, and classes with no such sample keep grey arrows.
        target: Asked positions, shape `(samples, 2)`.
        class_names: A sequence that integer labels index, or a mapping from label to name.
        title: What stands above the map.
        most: Largest number of single points drawn.
        seed: Seeds the sample.
        width: Of the map in a new figure, in inches.
        legend: Whether to add a legend of the classes; by default where there are more than twelve.
        of_moved: Whether the arrow of a class of which the plan moved some is that of the means of these.
        ax: Axes to draw in.

    Returns:
        The figure, a new one or the one that `ax` lies in.

    Raises:
        ValueError: If shapes disagree, a position is not finite, a class has no name, or `most` is
            negative.

    Example:
        >>> before = np.random.default_rng(0).normal(size=(40, 2))
        >>> figure = displacement_arrows(before, before + [3, 0], np.arange(40) % 2)
        >>> len(figure.axes)
        1
    """
    old = _plane(before, "before", None)
    new = _plane(after, "after", len(old))
    asked = None if target is None else _plane(target, "target", len(old))
    classes = class_labels(labels, len(old))
    styles = class_styles(classes, class_names)
    chosen = np.ones(len(old), bool) if moved is None else _mask(moved, len(old))
    rows = _sample(np.flatnonzero(chosen), most, seed)
    limits = fitting_limits([old, new] if asked is None else [old, new, asked])
    if legend is None:
        legend = len(styles) > FEW_NAMES
    beside = list(styles.values()) if legend else []
    height = None
    if ax is None:
        height = width * (limits[3] - limits[2]) / (limits[1] - limits[0])
        ax = new_figure(width + width_beside(beside, height), height + 0.8).add_subplot()
    frame_axes(ax, limits)
    if beside:
        # Not all of many names find a place. The key below becomes the axes' own legend.
        legend_beside(ax, beside, height=height)
        ax.add_artist(cast(Legend, ax.get_legend())).set_clip_on(False)
    draw_title(ax, title)
    draw_scale_bar(ax, limits)
    _draw_ghosts(ax, new)
    colors = np.array([styles[label].color for label in classes[rows].tolist()], dtype=object)
    _draw_paths(ax, old[rows], new[rows], None if asked is None else asked[rows], colors)
    touched = {label: bool(chosen[classes == label].any()) for label in styles}
    means = {label: classes == label for label in styles}
    if of_moved:
        means = {label: of & chosen if touched[label] else of for label, of in means.items()}
    ends = _draw_class_arrows(ax, old, new, asked, means, styles, touched)
    _draw_key(ax, with_target=asked is not None)
    # The classes that moved are named first, so that they keep their places.
    order = sorted(styles, key=lambda label: not touched[label])
    inked = [
        styles[label] if touched[label] else ClassStyle(styles[label].name, MUTED, "o")
        for label in order
    ]
    # Of many, with the lines to them one would see little else.
    important = sum(touched.values())
    if important > FEW_NAMES:
        important = 0
    # A name stands next to its arrow's head and covers neither arrows nor diamonds.
    kept = [start + part * (stop - start) for start, stop in ends.values() for part in (0, 0.5, 1)]
    if asked is not None:
        kept += [asked[means[label]].mean(axis=0) for label in order]
    tips = [(float(x), float(y)) for x, y in (ends[label][1] for label in order)]
    label_spots(ax, tips, inked, avoid=np.array(kept), important=important)
    return root_figure(ax)


def _draw_ghosts(ax: Axes, points: NDArray[Any]) -> None:
    size, alpha = point_size(len(points)), point_alpha(len(points))
    x, y = points.T
    ax.scatter(x, y, s=size, c=PALE, alpha=alpha, linewidths=0, rasterized=True, zorder=1)


def _draw_paths(
    ax: Axes,
    old: NDArray[Any],
    new: NDArray[Any],
    asked: NDArray[Any] | None,
    colors: NDArray[Any],
) -> None:
    """Draws single points: a thin line from the old position to a dot at the new."""
    if not len(old):
        return
    # Heads on a hundred short arrows would be all one saw; the dot tells the direction instead.
    lines = LineCollection(
        list(np.stack([old, new], axis=1)), colors=list(colors), linewidths=0.7, alpha=0.45
    )
    ax.add_collection(lines, autolim=False)
    ax.scatter(new[:, 0], new[:, 1], s=9, c=list(colors), linewidths=0, alpha=0.9, zorder=2)
    if asked is not None:
        ax.scatter(
            asked[:, 0],
            asked[:, 1],
            s=16,
            facecolors="none",
            edgecolors=list(colors),
            linewidths=0.7,
            alpha=0.6,
            zorder=2,
        )


def _draw_class_arrows(
    ax: Axes,
    old: NDArray[Any],
    new: NDArray[Any],
    asked: NDArray[Any] | None,
    means: dict[Any, NDArray[np.bool_]],
    styles: dict[Any, ClassStyle],
    touched: dict[Any, bool],
) -> dict[Any, tuple[NDArray[Any], NDArray[Any]]]:
    """Draws one arrow a class; returns the old and new mean of the points by which it is drawn."""
    ends = {}
    span = np.ptp(ax.get_xlim())
    for label, style in styles.items():
        members = means[label]
        start, stop = old[members].mean(axis=0), new[members].mean(axis=0)
        ends[label] = start, stop
        color = style.ink if touched[label] else MUTED
        ax.plot(*start, marker="o", markersize=4, color=color, path_effects=halo(), zorder=4)
        if np.hypot(*(stop - start)) > SHORTEST * span:
            draw_arrow(ax, start, stop, color)
        if asked is not None and touched[label]:
            ax.plot(
                *asked[members].mean(axis=0),
                marker="D",
                markersize=9,
                markerfacecolor="none",
                markeredgecolor=color,
                markeredgewidth=1.6,
                path_effects=halo(3.5),
                zorder=5,
            )
    return ends


def _draw_key(ax: Axes, *, with_target: bool) -> None:
    """Explains the marks once, in grey, below the map."""
    handles = [
        Line2D(
            [],
            [],
            color=MUTED,
            marker="o",
            markersize=4,
            markevery=[0],
            lw=2.2,
            label="class mean",
        ),
        Line2D(
            [],
            [],
            color=MUTED,
            marker="o",
            markersize=3,
            markevery=[1],
            lw=0.7,
            label="one sample",
        ),
    ]
    if with_target:
        handles.append(
            Line2D(
                [], [], ls="", marker="D", markersize=7, mfc="none", mec=MUTED, label="asked for"
            )
        )
    ax.legend(
        handles=handles,
        loc="upper left",
        bbox_to_anchor=(0.0, -0.055),
        borderaxespad=0.0,
        ncols=len(handles),
        frameon=False,
        fontsize=TEXT_SIZE,
        labelcolor=INK,
        edgecolor=FRAME,
    )


def _plane(values: ArrayLike, name: str, samples: int | None) -> NDArray[np.float32]:
    points = finite_array(values, name, ndim=2)
    if points.shape[1] != 2 or samples not in (None, len(points)):
        count = "samples" if samples is None else samples
        raise ValueError(f"`{name}` must have shape ({count}, 2). Received shape {points.shape}.")
    return points


def _mask(moved: ArrayLike, samples: int) -> NDArray[np.bool_]:
    mask = label_array(moved, samples, "moved")
    if not np.isin(mask, (0, 1)).all():
        raise ValueError(
            f"`moved` must be true or false for each sample. Received dtype {mask.dtype}."
        )
    return cast("NDArray[np.bool_]", mask.astype(bool))


def _sample(rows: NDArray[Any], most: int, seed: int) -> NDArray[Any]:
    if most < 0:
        raise ValueError(f"`most` must not be negative. Received: {most}.")
    if len(rows) <= most:
        return rows
    return np.sort(np.random.default_rng(seed).choice(rows, most, replace=False))
