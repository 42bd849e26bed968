"""Sizes of brains, or any other one number a sample, class by class, before and after a correction."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

from .heatmaps import finite_values
from .style import (
    FRAME,
    INK,
    MUTED,
    SMALL_SIZE,
    TEXT_SIZE,
    TITLE_SIZE,
    ClassNames,
    ClassStyle,
    class_labels,
    class_styles,
    new_figure,
    plain,
    quiet_axes,
)

_BINS = (8, 40)


def size_distributions(
    sizes: Mapping[str, ArrayLike],
    labels: ArrayLike,
    *,
    class_names: ClassNames | None = None,
    label: str = "brain volume, ml",
    title: str | None = None,
) -> Figure:
    """Draws how sizes are distributed in each class, one panel a stage, such as before and after scaling.

    Panels stand one below the other on one axis and with the same bins, so that they compare. Bars are
    shares of the class, so that classes of different numbers of samples do; a mark below each panel is a
    class's mean.

    Args:
        sizes: Sizes by the name of a stage, each of shape `(samples,)`, such as
            `{"before, AUC 0.92": volumes, "after, AUC 0.51": scaled}`; the names stand above the panels.
        labels: Classes, shape `(samples,)`.
        class_names: Names of the classes; see `class_styles`.
        label: What the sizes are, with their unit.
        title: What stands above all panels.

    Returns:
        A new figure with one axes a stage.

    Raises:
        ValueError: If there is no stage, shapes do not fit, or a size is not finite.

    Example:
        >>> volumes = np.array([1400.0, 1500.0, 1200.0, 1300.0])
        >>> stages = {"before": volumes, "after": [1350.0, 1340.0, 1350.0, 1360.0]}
        >>> figure = size_distributions(stages, [0, 0, 1, 1], class_names=["men", "women"])
        >>> [ax.get_title(loc="left") for ax in figure.axes]
        ['before', 'after']
    """
    if not sizes:
        raise ValueError(f"`sizes` must hold at least one stage. Received: {dict(sizes)}.")
    values = {name: finite_values(given, f"sizes[{name!r}]") for name, given in sizes.items()}
    samples = len(next(iter(values.values())))
    for name, array in values.items():
        if array.shape != (samples,):
            raise ValueError(
                f"Sizes must be one a sample, ({samples},). Received shape {array.shape} in {name!r}."
            )
    classes = class_labels(labels, samples)
    styles = class_styles(classes, class_names)
    bins = _bins(np.concatenate(list(values.values())), samples / len(styles))
    figure = new_figure(6.4, 1.35 * len(values) + 0.75 + (0.3 if title else 0.0))
    panels = figure.subplots(len(values), 1, sharex=True, sharey=True, squeeze=False)[:, 0]
    for (name, array), ax in zip(values.items(), panels, strict=True):
        for where, style in styles.items():
            _draw_class(ax, array[classes == where], bins, style)
        quiet_axes(ax, grid="y")
        ax.set_title(plain(name), fontsize=TEXT_SIZE, color=INK, loc="left")
        ax.yaxis.set_major_formatter(lambda share, _: f"{100 * share:.0f} %")
        ax.yaxis.get_major_locator().set_params(nbins=3)
        ax.tick_params(axis="y", labelsize=SMALL_SIZE, labelcolor=MUTED)
    panels[-1].set_xlabel(plain(label), fontsize=TEXT_SIZE, color=INK)
    figure.supylabel("share of the class", fontsize=SMALL_SIZE, color=MUTED)
    _draw_legend(panels[0], styles)
    if title:
        figure.suptitle(plain(title), fontsize=TITLE_SIZE, color=INK, x=0.01, ha="left")
    return figure


def _bins(values: NDArray[np.float64], samples: float) -> NDArray[np.float64]:
    low, high = float(values.min()), float(values.max())
    if low == high:
        low, high = low - 0.5, high + 0.5
    return np.linspace(low, high, int(np.clip(2.5 * np.sqrt(samples), *_BINS)) + 1)


def _draw_class(
    ax: Axes, values: NDArray[np.float64], bins: NDArray[np.float64], style: ClassStyle
) -> None:
    share = np.full(len(values), 1.0 / len(values))
    look: dict[str, Any] = {"bins": bins, "weights": share, "color": style.color}
    ax.hist(values, histtype="stepfilled", alpha=0.28, linewidth=0, **look)
    ax.hist(values, histtype="step", linewidth=1.4, label=plain(style.name), **look)
    ax.plot(
        float(values.mean()),
        -0.05,
        transform=ax.get_xaxis_transform(),
        marker="^",
        markersize=6,
        color=style.color,
        clip_on=False,
        zorder=4,
    )


def _draw_legend(ax: Axes, styles: Mapping[Any, ClassStyle]) -> None:
    handles = [ax.patches[2 * index + 1] for index in range(len(styles))]
    ax.legend(
        handles=handles,
        labels=[plain(style.name) for style in styles.values()],
        loc="lower right",
        bbox_to_anchor=(1.0, 1.0),
        ncols=min(len(styles), 6),
        frameon=False,
        fontsize=TEXT_SIZE,
        labelcolor=INK,
        borderaxespad=0.2,
        handlelength=1.0,
        edgecolor=FRAME,
    )
