"""What figures of the loss share: checked values, a scale of heights, ticks of decades in plain numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.colors import LogNorm, Normalize
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator
from numpy.typing import ArrayLike, NDArray

from ..checks import checked_number, quoted

Surface = tuple[ArrayLike, ArrayLike, ArrayLike]

# Beyond so many times the lowest loss, surfaces are drawn as one height: all detail lies below.
_MOST_DECADES = 4.0


def tell_decades(axis: Any) -> None:
    """Writes plain numbers at 1, 2 and 5 of each decade, or at each decade where there are many."""
    low, high = axis.get_view_interval()
    subs = (1.0, 2.0, 5.0) if high < 1000 * low else (1.0,)
    axis.set_major_locator(LogLocator(subs=subs, numticks=20))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_locator(NullLocator())


def color_norm(heights: NDArray[np.float64]) -> Normalize:
    """The scale of colours: logarithmic where heights span more than a factor of five."""
    is_log = heights[0] > 0 and heights[-1] > 5 * heights[0]
    return (LogNorm if is_log else Normalize)(heights[0], heights[-1])


def shared_heights(losses: Sequence[NDArray[np.float64]], levels: int) -> NDArray[np.float64]:
    """Levels that all surfaces share, even in the logarithm where the loss spans much."""
    levels = checked_number(levels, "levels", least=2, whole=True)
    finite = np.concatenate([values[np.isfinite(values)] for values in losses])
    low, high = float(finite.min()), float(finite.max())
    if high <= low:  # a plain is one colour
        low, high = low - 0.5, high + 0.5
    if low <= 0 or high <= 5 * low:
        return np.linspace(low, high, levels)
    return np.geomspace(low, min(high, low * 10**_MOST_DECADES), levels)


def capped(losses: NDArray[np.float64], top: float) -> NDArray[np.float64]:
    """Puts what is not finite above all else."""
    return np.where(np.isfinite(losses), losses, 2 * abs(top) + 1)


def checked_surfaces(
    surfaces: Mapping[str, Surface],
) -> dict[str, tuple[NDArray[np.float64], ...]]:
    """Returns each surface's steps and losses, or raises a `ValueError` that quotes what does not fit."""
    if not surfaces:
        raise ValueError(f"`surfaces` must hold at least one. Received: {surfaces!r}.")
    found: dict[str, tuple[NDArray[np.float64], ...]] = {}
    for name, (alphas, betas, losses) in surfaces.items():
        first, second = ascending(alphas, "alphas"), ascending(betas, "betas")
        values = checked_losses(losses, (len(first), len(second)), name)
        found[name] = first, second, values
    return found


def checked_losses(losses: ArrayLike, shape: tuple[int, ...], name: str) -> NDArray[np.float64]:
    """Returns values of a shape, some of them finite, or raises a `ValueError`."""
    values = np.asarray(losses, np.float64)
    if values.shape != shape:
        raise ValueError(
            f"The values of {name!r} must have shape {shape}, one for each step. Received: {values.shape}."
        )
    if not np.isfinite(values).any():
        raise ValueError(f"None of the values of {name!r} is finite.")
    return values


def ascending(steps: ArrayLike, name: str, *, least: int = 2) -> NDArray[np.float64]:
    """Returns steps, so many at least, or raises a `ValueError`."""
    found = np.asarray(steps, np.float64)
    if found.ndim != 1 or len(found) < least or not (np.diff(found) > 0).all():
        wanted = "two ascending numbers or more" if least > 1 else "ascending numbers"
        raise ValueError(f"`{name}` must be {wanted}. Received: {quoted(found.ravel())}.")
    return found


def checked_way(trajectory: ArrayLike) -> NDArray[np.float64]:
    """Returns the points of a way on a plane, or raises a `ValueError`."""
    way = np.asarray(trajectory, np.float64)
    if way.ndim != 2 or way.shape[1] != 2 or not len(way) or not np.isfinite(way).all():
        raise ValueError(
            f"`trajectory` must be finite points `(points, 2)`. Received shape {way.shape}."
        )
    return way
