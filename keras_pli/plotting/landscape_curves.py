"""Curves of the loss surface: along a line, between two solutions, and the Hessian's spectrum."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike, NDArray

from ..checks import checked_number
from .landscape_scale import ascending, checked_losses, tell_decades
from .style import (
    INK,
    MUTED,
    SMALL_SIZE,
    TEXT_SIZE,
    class_styles,
    draw_title,
    halo,
    new_figure,
    plain,
    quiet_axes,
    root_figure,
)


def loss_curve(
    alphas: ArrayLike,
    losses: ArrayLike | Mapping[str, ArrayLike],
    metrics: Mapping[str, ArrayLike] | None = None,
    *,
    label: str = "step along the line",
    ends: Sequence[str] | None = None,
    title: str | None = None,
) -> Figure:
    """Draws the loss along a line, and below it metrics.

    Args:
        alphas: Where, ascending, `(points,)`. A lone one is drawn as a point.
        losses: The loss at each, `(points,)`; or name to losses, for several lines.
        metrics: Name to values, `(points,)`.
        label: What the horizontal axis is called.
        ends: What the first and the last point are, if they are solutions: they are named, and the straight
            line between them is drawn with the barrier, how far the loss rises above it.
        title: What stands above.

    Returns:
        A new figure, with the loss in logarithms where it spans more than a factor of fifty.

    Raises:
        ValueError: If shapes do not fit, steps do not ascend, no loss is finite, or `ends` are not two.

    Example:
        >>> steps = np.linspace(-1, 1, 21)
        >>> figure = loss_curve(steps, 0.1 + steps**2, {"accuracy": 1 - steps**2 / 2})
        >>> [ax.get_ylabel() for ax in figure.axes]
        ['loss', 'accuracy']
    """
    steps = ascending(alphas, "alphas", least=1)
    if ends is not None and (isinstance(ends, str) or len(ends) != 2):
        raise ValueError(f"`ends` must be two names. Received: {ends!r}.")
    named = dict(losses) if isinstance(losses, Mapping) else {"": losses}
    lines = {name: checked_losses(values, (len(steps),), name) for name, values in named.items()}
    rows = {"loss": lines} | {
        name: {"": checked_losses(values, (len(steps),), name)}
        for name, values in (metrics or {}).items()
    }
    figure = new_figure(5.2, 2.6 + 1.3 * (len(rows) - 1), pad=0.06)
    ratios = [2.0] + [1.0] * (len(rows) - 1)
    panels = figure.subplots(len(rows), 1, sharex=True, squeeze=False, height_ratios=ratios)[:, 0]
    styles = class_styles(list(lines), list(lines))
    for ax, (what, curves) in zip(panels, rows.items(), strict=True):
        quiet_axes(ax, grid="y")
        for name, values in curves.items():
            color = styles[name].color if name in styles else styles[next(iter(styles))].color
            ax.plot(
                steps,
                np.where(np.isfinite(values), values, np.nan),
                color=color,
                lw=1.8,
                marker="o" if len(steps) == 1 else None,
                label=plain(name),
            )
        ax.set_ylabel(plain(what), fontsize=TEXT_SIZE, color=INK)
        if len(steps) > 1:
            ax.set_xlim(steps[0], steps[-1])
    finite = np.concatenate([values[np.isfinite(values)] for values in lines.values()])
    if finite.min() > 0 and finite.max() > 50 * finite.min():
        panels[0].set_yscale("log")
        tell_decades(panels[0].yaxis)
    panels[-1].xaxis.set_major_locator(MaxNLocator(5))
    if ends is not None and len(steps) > 1:
        for values in lines.values():
            _draw_barrier(panels[0], steps, values)
        places = np.linspace(steps[0], steps[-1], 5)
        names = [f"{place:g}" for place in places]
        names[0], names[-1] = (f"{names[i]}\n{plain(ends[i])}" for i in (0, -1))
        panels[-1].set_xticks(places, names)
    panels[-1].set_xlabel(plain(label), fontsize=TEXT_SIZE, color=INK)
    if len(lines) > 1:
        panels[0].legend(frameon=False, fontsize=TEXT_SIZE, labelcolor=INK)
    draw_title(panels[0], title)
    return figure


def spectral_density_curve(
    values: ArrayLike | Mapping[str, ArrayLike],
    densities: Mapping[str, ArrayLike],
    *,
    floor: float = 1e-8,
    width: float | None = None,
    title: str | None = None,
    ax: Axes | None = None,
) -> Figure:
    """Draws densities of a Hessian's eigenvalues, in logarithms: most of them are near zero, and few count.

    Args:
        values: Eigenvalues, ascending, `(values,)`; or for each name its own.
        densities: Name to the density at each.
        floor: Lowest density that is drawn, as a share of the greatest. A lone eigenvalue of a network of n
            weights stands at about 1 / n.
        width: Standard deviation of the Gaussians that the densities are made of, which the axis then says:
            no bump is narrower.
        title: What stands above.
        ax: Axes to draw in.

    Returns:
        The figure, a new one or the one that `ax` lies in.

    Raises:
        ValueError: If shapes do not fit, values do not ascend, or there is no density.

    Example:
        >>> values = np.linspace(-1, 5, 100)
        >>> figure = spectral_density_curve(values, {"net": np.exp(-values**2)})
        >>> figure.axes[0].get_xlabel()
        'eigenvalue of the Hessian'
    """
    checked_number(floor, "floor", least=1e-300, below=1.0)
    if not densities:
        raise ValueError(f"`densities` must hold at least one. Received: {densities!r}.")
    if ax is None:
        ax = new_figure(5.2, 2.9).add_subplot()
    quiet_axes(ax, grid="y")
    styles = class_styles(list(densities), list(densities))
    top = 0.0
    for name, density in densities.items():
        where = ascending(values[name] if isinstance(values, Mapping) else values, "values")
        height = checked_losses(density, where.shape, name)
        ax.plot(
            where, np.maximum(height, 1e-300), color=styles[name].color, lw=1.5, label=plain(name)
        )
        top = max(top, float(height.max()))
    ax.set_yscale("log")
    ax.set_ylim(floor * top, 2 * top)
    tell_decades(ax.yaxis)
    ax.axvline(0, color=MUTED, lw=0.8, ls=(0, (4, 3)), zorder=1)
    of_width = "" if width is None else f" (each a Gaussian of width {width:.2g})"
    ax.set_xlabel(f"eigenvalue of the Hessian{of_width}", fontsize=TEXT_SIZE, color=INK)
    ax.set_ylabel("density", fontsize=TEXT_SIZE, color=INK)
    if len(densities) > 1:
        ax.legend(frameon=False, fontsize=TEXT_SIZE, labelcolor=INK)
    draw_title(ax, title)
    return root_figure(ax)


def _draw_barrier(ax: Axes, steps: NDArray[np.float64], values: NDArray[np.float64]) -> None:
    """Draws the straight line between the ends, and how far the loss rises above it at most."""
    if not np.isfinite(values[[0, -1]]).all():
        return
    straight = np.interp(steps, steps[[0, -1]], values[[0, -1]])
    ax.plot(steps, straight, color=MUTED, lw=0.9, ls=(0, (4, 3)), zorder=1)
    rise = np.where(np.isfinite(values), values - straight, -np.inf)
    top = int(np.argmax(rise))
    # Of a rise that is less than a line is wide, there is nothing to show.
    if rise[top] <= 0.01 * np.ptp(values[np.isfinite(values)]):
        return
    ax.vlines(steps[top], straight[top], values[top], color=MUTED, lw=1.2, zorder=1)
    is_left = steps[top] < (steps[0] + steps[-1]) / 2
    ax.annotate(
        f"barrier {rise[top]:.3g}", (steps[top], (straight[top] + values[top]) / 2),
        xytext=(5 if is_left else -5, 0), textcoords="offset points", va="center",
        ha="left" if is_left else "right", fontsize=SMALL_SIZE, color=INK, path_effects=halo(),
    )  # fmt: skip
