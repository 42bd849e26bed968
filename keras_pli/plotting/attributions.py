"""One attribution over its sample, and the strokes that grids and volumes draw it with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, TypeAlias

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colorbar import Colorbar
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike, NDArray

from .heatmaps import (
    Heatmap,
    checked_alpha,
    faded,
    finite_values,
    heatmap,
    number,
    over_white,
    overlay_colors,
    picture,
    spatial_dimensions,
)
from .style import (
    FRAME,
    INK,
    MUTED,
    SMALL_SIZE,
    TEXT_SIZE,
    draw_title,
    new_figure,
    plain,
    root_figure,
)

Extent: TypeAlias = tuple[float, float, float, float]

_MOST_NAMED_CHANNELS = 16


def attribution_overlay(
    image: ArrayLike,
    attribution: ArrayLike,
    *,
    ax: Axes | None = None,
    signed: bool | None = None,
    percentile: float = 99.0,
    limit: float | None = None,
    alpha: float = 0.9,
    dimensions: int | None = None,
    value_range: tuple[float, float] | None = None,
    label: str = "attribution",
    color_bar: bool = True,
    title: str | None = None,
) -> Figure:
    """Draws the attribution of one sample over the sample: an image in pale grey, or a signal.

    The map's opacity grows with the value, so that the sample stays readable where little is
    attributed. Signed maps are vermilion above zero and blue below, on a scale symmetric about
    zero; maps without signs run from pale to dark violet. Channels are summed, and the scale says so,
    unless all of them are the same.

    Args:
        image: One sample: a signal `(length,)` or `(length, channels)`, or an image
            `(height, width)`, or with a last axis of 1 or 3.
        attribution: The same shape, or that without the channel axis.
        ax: Axes to draw in.
        signed: Whether to show the signs; by default where there are negative values. False
            shows absolute values.
        percentile: Share of the pixels, in percent, that lie within the scale. Those beyond have
            the colour of its end, and the scale ends in arrows.
        limit: The end of the scale itself, so that several figures compare.
        alpha: Opacity at the end of the scale.
        dimensions: 1 for a signal, 2 for an image. By default two axes are an image, unless they
            are four times as long as wide or the attribution has one axis.
        value_range: The image's values drawn black and white; see `image_strip`.
        label: What the scale measures.
        color_bar: Whether to draw the scale.
        title: What stands above the sample.

    Returns:
        The figure, a new one or the one that `ax` lies in.

    Raises:
        ValueError: If the shapes do not fit, a value is not finite, the sample is a volume (see
            `volume_slices`), or `percentile`, `limit` or `alpha` is out of range.

    Example:
        >>> figure = attribution_overlay(np.ones((8, 8)), np.eye(8) - 0.1, title="owl")
        >>> [ax.get_ylabel() for ax in figure.axes]
        ['', 'attribution']
    """
    values, attribution = finite_values(image, "image"), finite_values(attribution, "attribution")
    rank = spatial_dimensions(values.shape, attribution.shape, dimensions)
    if rank == 3:
        raise ValueError(
            "An overlay is drawn over a signal or an image; for a volume see `volume_slices`. "
            f"Received shape {values.shape}."
        )
    scale: dict[str, Any] = {"signed": signed, "percentile": percentile, "limit": limit}
    heat = heatmap(attribution, values.shape, dimensions=rank, **scale)
    checked_alpha(alpha)
    if ax is None:
        ax = new_figure(*_overlay_size(values.shape, rank)).add_subplot()
    if rank == 1:
        draw_signal(ax, values, heat, alpha)
        _name_signal(ax, values)
    else:
        draw_picture(ax, faded(picture(image, dimensions=2, value_range=value_range)))
        draw_heat(ax, heat, alpha)
    draw_title(ax, title)
    figure = root_figure(ax)
    if color_bar:
        draw_color_bar(figure, heat, alpha, label, ax=ax)
    return figure


def draw_picture(ax: Axes, shown: NDArray[np.float64]) -> None:
    """Draws an image in [0, 1] in a light frame without ticks."""
    ax.imshow(shown, cmap="gray", vmin=0.0, vmax=1.0, interpolation=_smoothing(shown))
    ax.set(xticks=[], yticks=[])
    for spine in ax.spines.values():
        spine.set(color=FRAME, linewidth=0.6)


def draw_heat(
    ax: Axes,
    heat: Heatmap,
    alpha: float,
    extent: Extent | None = None,
    aspect: Literal["equal", "auto"] = "equal",
) -> None:
    """Draws a map of two axes over what `ax` holds."""
    ax.imshow(
        heat.values,
        cmap=overlay_colors(heat.signed, alpha),
        norm=heat.norm,
        interpolation=_smoothing(heat.values),
        extent=extent,
        aspect=aspect,
    )


def draw_signal(
    ax: Axes, signal: NDArray[np.float64], heat: Heatmap | None = None, alpha: float = 1.0
) -> None:
    """Draws a signal as a line, several channels one below the other, on its map's colours."""
    lanes = _lanes(signal)
    low, high = float(lanes.min()), float(lanes.max())
    air = 0.08 * (high - low) or 1.0
    ends = (-0.5, len(signal) - 0.5, low - air, high + air)
    if heat is not None:
        band = heat.plane((np.newaxis, slice(None)))
        draw_heat(ax, band, alpha, extent=ends, aspect="auto")
    # A line thinner than the gaps between its neighbours keeps every channel apart.
    ax.plot(lanes, color=INK, linewidth=1.1 if lanes.shape[1] <= 4 else 0.7, zorder=2)
    ax.set(xlim=ends[:2], ylim=ends[2:], xticks=[], yticks=[])
    for spine in ax.spines.values():
        spine.set(color=FRAME, linewidth=0.6)


def draw_color_bar(
    figure: Figure,
    heat: Heatmap,
    alpha: float,
    label: str,
    *,
    ax: Axes | None = None,
    cax: Axes | None = None,
) -> Colorbar:
    """Draws the scale of `heat` beside `ax` or into `cax`, in the colours that it has on white."""
    beyond = "neither" if not heat.clipped else "both" if heat.signed else "max"
    bar = figure.colorbar(
        ScalarMappable(heat.norm, over_white(overlay_colors(heat.signed, alpha))),
        ax=ax,
        cax=cax,
        fraction=0.05,
        pad=0.025,
        aspect=18,
        extend=beyond,
        extendfrac=0.04,
    )
    bar.set_ticks(heat.ticks, labels=[number(tick) for tick in heat.ticks])
    bar.ax.tick_params(length=0, labelsize=SMALL_SIZE, labelcolor=INK)
    bar.outline.set_visible(False)
    text = f"{label}\n({heat.reduction})" if heat.reduction else label
    bar.set_label(plain(text), fontsize=SMALL_SIZE, color=MUTED)
    return bar


def axes_at(figure: Figure, left: float, top: float, width: float, height: float) -> Axes:
    """Adds axes at a place in inches from the upper left corner of a figure without a layout."""
    across, down = figure.get_size_inches()
    bottom = down - top - height
    return figure.add_axes((left / across, bottom / down, width / across, height / down))


def _lanes(signal: NDArray[np.float64]) -> NDArray[np.float64]:
    """Returns a column a line: the channels, moved apart by the range that all of them share."""
    if signal.ndim == 1 or signal.shape[1] == 1:
        return signal.reshape(-1, 1)
    return signal - _lane_height(signal) * np.arange(signal.shape[1])


def _lane_height(signal: NDArray[np.float64]) -> float:
    return float(np.ptp(signal)) or 1.0


def _name_signal(ax: Axes, signal: NDArray[np.float64]) -> None:
    """Gives a signal that stands alone its axes: values, or the names of its channels."""
    ax.tick_params(length=0, labelsize=SMALL_SIZE, labelcolor=INK)
    ax.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    ax.set_xlabel("position", fontsize=TEXT_SIZE, color=INK)
    if _lanes(signal).shape[1] == 1:
        ax.yaxis.set_major_locator(MaxNLocator(4))
        return
    channels = np.arange(signal.shape[1])
    ax.set_ylabel("channel", fontsize=TEXT_SIZE, color=INK)
    if len(channels) <= _MOST_NAMED_CHANNELS:
        ax.set_yticks(signal.mean() - _lane_height(signal) * channels, channels.astype(str))


def _overlay_size(shape: Sequence[int], rank: int) -> tuple[float, float]:
    if rank == 1:
        return 6.4, 1.9 if len(shape) == 1 else min(1.7 + 0.22 * shape[1], 6.0)
    height, width = shape[:2]
    side = 3.2 / max(height, width)
    return max(side * width, 1.2) + 0.9, max(side * height, 1.2) + 0.35


def _smoothing(shown: NDArray[np.float64]) -> str:
    # Few pixels are meant to be seen as such; many would alias without smoothing.
    return "nearest" if max(shown.shape[:2]) <= 64 else "antialiased"
