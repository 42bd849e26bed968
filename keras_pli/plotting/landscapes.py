"""The loss surface as contours or reliefs, on a scale that several share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike, NDArray

from .landscape_scale import (
    Surface,
    capped,
    checked_surfaces,
    checked_way,
    color_norm,
    shared_heights,
    tell_decades,
)
from .style import (
    FRAME,
    INK,
    MUTED,
    SMALL_SIZE,
    TEXT_SIZE,
    TITLE_SIZE,
    draw_title,
    halo,
    new_figure,
    plain,
)

_COLORS = "YlGnBu"
_LEVELS = 18
_PANEL = 3.2  # inches
# On a grid of so few points the contours' corners are those of the grid, which is drawn then.
_COARSE = 15


def loss_contours(
    alphas: ArrayLike,
    betas: ArrayLike,
    losses: ArrayLike,
    *,
    trajectory: ArrayLike | None = None,
    marks: Mapping[int, str] | None = None,
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
        marks: What is written beside some of its points, by their number. The first is called "start".
        labels: What the axes are called.
        levels: Number of levels.
        title: What stands above.

    Returns:
        A new figure. The solution, at the origin, is marked; of a coarse grid, the points are, too.

    Raises:
        ValueError: If shapes do not fit, steps do not ascend, or no loss is finite.

    Example:
        >>> steps = np.linspace(-1, 1, 11)
        >>> figure = loss_contours(steps, steps, 0.1 + steps[:, None] ** 2 + steps**2)
        >>> figure.axes[0].get_xlabel()
        'first direction'
    """
    return loss_contour_panels(
        {title or "": (alphas, betas, losses)},
        trajectory=trajectory,
        marks=marks,
        labels=labels,
        levels=levels,
    )


def loss_contour_panels(
    surfaces: Mapping[str, Surface],
    *,
    trajectory: ArrayLike | None = None,
    marks: Mapping[int, str] | None = None,
    labels: Sequence[str] = ("first direction", "second direction"),
    levels: int = _LEVELS,
    title: str | None = None,
) -> Figure:
    """Draws several loss surfaces beside each other, at the same levels and in the same colours.

    Args:
        surfaces: Name to alphas, betas and losses, as `loss_contours` takes them.
        trajectory: A way on the plane of all, `(points, 2)`.
        marks: What is written beside some of its points, by their number. The first is called "start".
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
    checked = checked_surfaces(surfaces)
    heights = shared_heights([losses for *_, losses in checked.values()], levels)
    way = None if trajectory is None else checked_way(trajectory)
    width, height = _PANEL * len(checked) + 1.0, _PANEL + (0.6 if title else 0.3)
    figure = new_figure(width, height, pad=0.05)
    panels = figure.subplots(1, len(checked), squeeze=False)[0]
    for ax, (name, (alphas, betas, losses)) in zip(panels, checked.items(), strict=True):
        shown = capped(losses, heights[-1]).T
        norm, colors = color_norm(heights), _COLORS
        ax.contourf(alphas, betas, shown, heights, norm=norm, cmap=colors, extend="max")
        ax.contour(alphas, betas, shown, heights, colors=INK, linewidths=0.4, alpha=0.35)
        if max(losses.shape) < _COARSE:
            across, up = np.meshgrid(alphas, betas)
            ax.scatter(across, up, s=5, color=INK, alpha=0.55, linewidths=0, zorder=2)
        if way is not None:
            _draw_way(ax, way, marks or {})
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
    checked = checked_surfaces(surfaces)
    heights = shared_heights([losses for *_, losses in checked.values()], _LEVELS)
    is_log = isinstance(color_norm(heights), LogNorm)
    figure = new_figure(_PANEL * len(checked) + 0.9, _PANEL + (0.3 if title else 0.0))
    panels = []
    for place, (name, (alphas, betas, losses)) in enumerate(checked.items()):
        ax: Any = figure.add_subplot(1, len(checked), place + 1, projection="3d")
        # Beyond the highest level the surface is left open, as no height there means anything.
        shown = np.where(losses <= heights[-1], np.maximum(losses, heights[0]), np.nan).T
        colors = ScalarMappable(color_norm(heights), _COLORS).to_rgba(shown)
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


def _draw_way(ax: Axes, way: NDArray[np.float64], marks: Mapping[int, str]) -> None:
    """Draws a training's way: small points, an open one where it starts, and what is written beside some."""
    ax.plot(*way.T, color="#D55E00", lw=1.4, marker="o", ms=2.6, path_effects=halo(2.0), zorder=3)
    ax.plot(*way[0], marker="o", ms=6, mfc="white", mec="#D55E00", mew=1.4, zorder=4)
    for number, text in ({0: "start"} | dict(marks)).items():
        ax.annotate(
            plain(text), way[number], xytext=(6, 5), textcoords="offset points", color=INK,
            fontsize=SMALL_SIZE, path_effects=halo(), zorder=5,
        )  # fmt: skip


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
    drawn = ScalarMappable(color_norm(heights), _COLORS)
    bar = figure.colorbar(drawn, ax=panels, shrink=0.85, aspect=24, pad=0.02, extend="max")
    bar.outline.set_visible(False)
    bar.ax.tick_params(length=0, labelsize=SMALL_SIZE, labelcolor=INK)
    if isinstance(color_norm(heights), LogNorm):
        tell_decades(bar.ax.yaxis)
    bar.set_label("loss", fontsize=TEXT_SIZE, color=INK)
