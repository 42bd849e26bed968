"""The loss surface: contours on a common scale, reliefs, curves along lines, and the Hessian's spectrum."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LogNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator
from numpy.typing import ArrayLike, NDArray

from ..checks import checked_number, quoted
from .style import (
    FRAME,
    INK,
    MUTED,
    SMALL_SIZE,
    TEXT_SIZE,
    TITLE_SIZE,
    class_styles,
    draw_title,
    halo,
    new_figure,
    plain,
    quiet_axes,
    root_figure,
)

Surface = tuple[ArrayLike, ArrayLike, ArrayLike]

_COLORS = "YlGnBu"
_LEVELS = 18
_PANEL = 3.2  # inches
# Beyond so many times the lowest loss, surfaces are drawn as one height: all detail lies below.
_MOST_DECADES = 4.0


def loss_contours(
    alphas: ArrayLike,
    betas: ArrayLike,
    losses: ArrayLike,
    *,
    trajectory: ArrayLike | None = None,
    labels: Sequence[str] = ("first direction", "second direction"),
    levels: int = _LEVELS,
    title: str | None = None,
) -> Figure:
    """Draws a loss surface as contours, at levels that are evenly spaced in the logarithm.

    Args:
        alphas: Steps along the first direction, ascending, `(alphas,)`.
        betas: Steps along the second, ascending, `(betas,)`.
        losses: The loss at each, `(alphas, betas)`. Infinite ones and NaN count as higher than all others.
        trajectory: The way of a training on the plane, `(points, 2)`, its last point the solution.
        labels: What the axes are called.
        levels: Number of levels.
        title: What stands above.

    Returns:
        A new figure. The solution, at the origin, is marked.

    Raises:
        ValueError: If shapes do not fit, steps do not ascend, or no loss is finite.

    Example:
        >>> steps = np.linspace(-1, 1, 11)
        >>> figure = loss_contours(steps, steps, 0.1 + steps[:, None] ** 2 + steps**2)
        >>> figure.axes[0].get_xlabel()
        'first direction'
    """
    return loss_contour_panels(
        {title or "": (alphas, betas, losses)}, trajectory=trajectory, labels=labels, levels=levels
    )


def loss_contour_panels(
    surfaces: Mapping[str, Surface],
    *,
    trajectory: ArrayLike | None = None,
    labels: Sequence[str] = ("first direction", "second direction"),
    levels: int = _LEVELS,
    title: str | None = None,
) -> Figure:
    """Draws several loss surfaces beside each other, at the same levels and in the same colours.

    Args:
        surfaces: Name to alphas, betas and losses, as `loss_contours` takes them.
        trajectory: A way on the plane of all, `(points, 2)`.
        labels: What the axes are called.
        levels: Number of levels.
        title: What stands above all.

    Returns:
        A new figure, with one bar of colours.

    Raises:
        ValueError: If there is no surface, shapes do not fit, steps do not ascend, or no loss is finite.

    Example:
        >>> steps = np.linspace(-1, 1, 11)
        >>> bowl = 0.1 + steps[:, None] ** 2 + steps**2
        >>> figure = loss_contour_panels({"flat": (steps, steps, bowl), "sharp": (steps, steps, 9 * bowl)})
        >>> [ax.get_title(loc="left") for ax in figure.axes[:2]]
        ['flat', 'sharp']
    """
    checked = _checked_surfaces(surfaces)
    heights = _heights([losses for *_, losses in checked.values()], levels)
    way = None if trajectory is None else _checked_way(trajectory)
    width, height = _PANEL * len(checked) + 1.0, _PANEL + (0.6 if title else 0.3)
    figure = new_figure(width, height, pad=0.05)
    panels = figure.subplots(1, len(checked), squeeze=False)[0]
    for ax, (name, (alphas, betas, losses)) in zip(panels, checked.items(), strict=True):
        shown = _capped(losses, heights[-1]).T
        norm, colors = _norm(heights), _COLORS
        ax.contourf(alphas, betas, shown, heights, norm=norm, cmap=colors, extend="max")
        ax.contour(alphas, betas, shown, heights, colors=INK, linewidths=0.4, alpha=0.35)
        if way is not None:
            _draw_way(ax, way)
        if alphas[0] <= 0 <= alphas[-1] and betas[0] <= 0 <= betas[-1]:
            ax.plot(0, 0, marker="+", color=INK, ms=9, mew=1.4, path_effects=halo())
        _finish_panel(ax, name, labels, first=ax is panels[0])
    _draw_bar(figure, list(panels), heights)
    if title:
        figure.suptitle(plain(title), fontsize=TITLE_SIZE, color=INK, x=0.01, ha="left")
    return figure


def loss_reliefs(
    surfaces: Mapping[str, Surface], *, elevation: float = 35.0, title: str | None = None
) -> Figure:
    """Draws loss surfaces in three dimensions beside each other, on one scale of height and colour.

    The height is the logarithm of the loss where it spans more than a factor of five.

    Args:
        surfaces: Name to alphas, betas and losses, as `loss_contours` takes them.
        elevation: The angle from which they are seen, in degrees.
        title: What stands above all.

    Returns:
        A new figure.

    Raises:
        ValueError: If there is no surface, shapes do not fit, steps do not ascend, or no loss is finite.

    Example:
        >>> steps = np.linspace(-1, 1, 11)
        >>> figure = loss_reliefs({"bowl": (steps, steps, 0.1 + steps[:, None] ** 2 + steps**2)})
        >>> figure.axes[0].name
        '3d'
    """
    checked = _checked_surfaces(surfaces)
    heights = _heights([losses for *_, losses in checked.values()], _LEVELS)
    is_log = isinstance(_norm(heights), LogNorm)
    figure = new_figure(_PANEL * len(checked) + 0.9, _PANEL + (0.3 if title else 0.0))
    panels = []
    for place, (name, (alphas, betas, losses)) in enumerate(checked.items()):
        ax: Any = figure.add_subplot(1, len(checked), place + 1, projection="3d")
        # Beyond the highest level the surface is left open, as no height there means anything.
        shown = np.where(losses <= heights[-1], np.maximum(losses, heights[0]), np.nan).T
        colors = ScalarMappable(_norm(heights), _COLORS).to_rgba(shown)
        across, up = np.meshgrid(alphas, betas)
        z = np.log10(shown) if is_log else shown
        ax.plot_surface(
            across, up, z, facecolors=colors, rcount=80, ccount=80, linewidth=0.15,
            edgecolor=(0.13, 0.13, 0.13, 0.35), shade=False,
        )  # fmt: skip
        limits = np.log10(heights[[0, -1]]) if is_log else heights[[0, -1]]
        ax.set_zlim(*limits)
        ax.view_init(elev=elevation, azim=-60)
        ax.set(xticks=[], yticks=[], zticks=[])
        for axis in (ax.xaxis, ax.yaxis, ax.zaxis):
            axis.set_pane_color((1, 1, 1, 0))
            axis.line.set_color(FRAME)
        draw_title(ax, name)
        panels.append(ax)
    _draw_bar(figure, panels, heights)
    if title:
        figure.suptitle(plain(title), fontsize=TITLE_SIZE, color=INK, x=0.01, ha="left")
    return figure


def loss_curve(
    alphas: ArrayLike,
    losses: ArrayLike | Mapping[str, ArrayLike],
    metrics: Mapping[str, ArrayLike] | None = None,
    *,
    label: str = "step along the line",
    title: str | None = None,
) -> Figure:
    """Draws the loss along a line, and below it metrics.

    Args:
        alphas: Where, ascending, `(points,)`.
        losses: The loss at each, `(points,)`; or name to losses, for several lines.
        metrics: Name to values, `(points,)`.
        label: What the horizontal axis is called.
        title: What stands above.

    Returns:
        A new figure, with the loss in logarithms where it spans more than a factor of fifty.

    Raises:
        ValueError: If shapes do not fit, steps do not ascend, or no loss is finite.

    Example:
        >>> steps = np.linspace(-1, 1, 21)
        >>> figure = loss_curve(steps, 0.1 + steps**2, {"accuracy": 1 - steps**2 / 2})
        >>> [ax.get_ylabel() for ax in figure.axes]
        ['loss', 'accuracy']
    """
    steps = _ascending(alphas, "alphas")
    named = dict(losses) if isinstance(losses, Mapping) else {"": losses}
    lines = {name: _checked_losses(values, (len(steps),), name) for name, values in named.items()}
    rows = {"loss": lines} | {
        name: {"": _checked_losses(values, (len(steps),), name)}
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
                label=plain(name),
            )
        ax.set_ylabel(plain(what), fontsize=TEXT_SIZE, color=INK)
        ax.set_xlim(steps[0], steps[-1])
    finite = np.concatenate([values[np.isfinite(values)] for values in lines.values()])
    if finite.min() > 0 and finite.max() > 50 * finite.min():
        panels[0].set_yscale("log")
        _tell_decades(panels[0].yaxis)
    panels[-1].xaxis.set_major_locator(MaxNLocator(5))
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
    title: str | None = None,
    ax: Axes | None = None,
) -> Figure:
    """Draws densities of a Hessian's eigenvalues, in logarithms: most of them are near zero, and few count.

    Args:
        values: Eigenvalues, ascending, `(values,)`; or for each name its own.
        densities: Name to the density at each.
        floor: Lowest density that is drawn, as a share of the greatest. A lone eigenvalue of a network of n
            weights stands at about 1 / n.
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
        where = _ascending(values[name] if isinstance(values, Mapping) else values, "values")
        height = _checked_losses(density, where.shape, name)
        ax.plot(
            where, np.maximum(height, 1e-300), color=styles[name].color, lw=1.5, label=plain(name)
        )
        top = max(top, float(height.max()))
    ax.set_yscale("log")
    ax.yaxis.set_minor_locator(NullLocator())
    ax.set_ylim(floor * top, 2 * top)
    ax.axvline(0, color=MUTED, lw=0.8, ls=(0, (4, 3)), zorder=1)
    ax.set_xlabel("eigenvalue of the Hessian", fontsize=TEXT_SIZE, color=INK)
    ax.set_ylabel("density", fontsize=TEXT_SIZE, color=INK)
    if len(densities) > 1:
        ax.legend(frameon=False, fontsize=TEXT_SIZE, labelcolor=INK)
    draw_title(ax, title)
    return root_figure(ax)


def _draw_way(ax: Axes, way: NDArray[np.float64]) -> None:
    """Draws a training's way: small points, an open one where it starts."""
    ax.plot(*way.T, color="#D55E00", lw=1.4, marker="o", ms=2.6, path_effects=halo(2.0), zorder=3)
    ax.plot(*way[0], marker="o", ms=6, mfc="white", mec="#D55E00", mew=1.4, zorder=4)


def _finish_panel(ax: Axes, name: str, labels: Sequence[str], *, first: bool) -> None:
    ax.set_aspect("auto")
    ax.tick_params(length=0, labelsize=SMALL_SIZE, labelcolor=MUTED)
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_locator(MaxNLocator(4))
    ax.spines[:].set_color(FRAME)
    ax.set_xlabel(plain(labels[0]), fontsize=TEXT_SIZE, color=INK)
    if first:
        ax.set_ylabel(plain(labels[1]), fontsize=TEXT_SIZE, color=INK)
    draw_title(ax, name)


def _draw_bar(figure: Figure, panels: list[Axes], heights: NDArray[np.float64]) -> None:
    drawn = ScalarMappable(_norm(heights), _COLORS)
    bar = figure.colorbar(drawn, ax=panels, shrink=0.85, aspect=24, pad=0.02, extend="max")
    bar.outline.set_visible(False)
    bar.ax.tick_params(length=0, labelsize=SMALL_SIZE, labelcolor=INK)
    if isinstance(_norm(heights), LogNorm):
        _tell_decades(bar.ax.yaxis)
    bar.set_label("loss", fontsize=TEXT_SIZE, color=INK)


def _tell_decades(axis: Any) -> None:
    """Writes plain numbers at 1, 2 and 5 of each decade, or at each decade where there are many."""
    low, high = axis.get_view_interval()
    subs = (1.0, 2.0, 5.0) if high < 1000 * low else (1.0,)
    axis.set_major_locator(LogLocator(subs=subs, numticks=20))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_locator(NullLocator())


def _norm(heights: NDArray[np.float64]) -> Normalize:
    is_log = heights[0] > 0 and heights[-1] > 5 * heights[0]
    return (LogNorm if is_log else Normalize)(heights[0], heights[-1])


def _heights(losses: Sequence[NDArray[np.float64]], levels: int) -> NDArray[np.float64]:
    """Levels that all surfaces share, even in the logarithm where the loss spans much."""
    levels = checked_number(levels, "levels", least=2, whole=True)
    finite = np.concatenate([values[np.isfinite(values)] for values in losses])
    low, high = float(finite.min()), float(finite.max())
    if high <= low:  # a plain is one colour
        low, high = low - 0.5, high + 0.5
    if low <= 0 or high <= 5 * low:
        return np.linspace(low, high, levels)
    return np.geomspace(low, min(high, low * 10**_MOST_DECADES), levels)


def _capped(losses: NDArray[np.float64], top: float) -> NDArray[np.float64]:
    return np.where(np.isfinite(losses), losses, 2 * abs(top) + 1)


def _checked_surfaces(
    surfaces: Mapping[str, Surface],
) -> dict[str, tuple[NDArray[np.float64], ...]]:
    if not surfaces:
        raise ValueError(f"`surfaces` must hold at least one. Received: {surfaces!r}.")
    found: dict[str, tuple[NDArray[np.float64], ...]] = {}
    for name, (alphas, betas, losses) in surfaces.items():
        first, second = _ascending(alphas, "alphas"), _ascending(betas, "betas")
        values = _checked_losses(losses, (len(first), len(second)), name)
        found[name] = first, second, values
    return found


def _checked_losses(losses: ArrayLike, shape: tuple[int, ...], name: str) -> NDArray[np.float64]:
    values = np.asarray(losses, np.float64)
    if values.shape != shape:
        raise ValueError(
            f"The values of {name!r} must have shape {shape}, one for each step. Received: {values.shape}."
        )
    if not np.isfinite(values).any():
        raise ValueError(f"None of the values of {name!r} is finite.")
    return values


def _ascending(steps: ArrayLike, name: str) -> NDArray[np.float64]:
    found = np.asarray(steps, np.float64)
    if found.ndim != 1 or len(found) < 2 or not (np.diff(found) > 0).all():
        raise ValueError(
            f"`{name}` must be two ascending numbers or more. Received: {quoted(found.ravel())}."
        )
    return found


def _checked_way(trajectory: ArrayLike) -> NDArray[np.float64]:
    way = np.asarray(trajectory, np.float64)
    if way.ndim != 2 or way.shape[1] != 2 or not len(way) or not np.isfinite(way).all():
        raise ValueError(
            f"`trajectory` must be finite points `(points, 2)`. Received shape {way.shape}."
        )
    return way
