"""What every picture of an attribution shares: summed channels, one scale, colours over a pale image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from matplotlib.colors import LinearSegmentedColormap, ListedColormap, Normalize
from numpy.typing import ArrayLike, NDArray

from .images import natural_range

# Blue and vermilion of the house, pale to dark: told apart by every eye, and in print by lightness
# from the zero between them. Where nothing has a sign neither of the two may be read into the map.
_NEGATIVE = ("#7FB8DE", "#0072B2", "#003F66")
_POSITIVE = ("#F2A071", "#D55E00", "#7A1F00")
_UNSIGNED = ("#E3A9D3", "#A23B98", "#3B0F5C")
# Opacity rises a little faster than the value, so that half the limit is still well seen.
_RISE = 0.75
# Grey that black becomes below a map: colours would drown in anything darker.
_BLACK = 0.66
_LUMA = np.array([0.299, 0.587, 0.114])
_SIGNAL_RATIO = 4


@dataclass(frozen=True, eq=False)
class Heatmap:
    """An attribution as it is drawn: one value a pixel, and the scale that colours it.

    Attributes:
        values: Attribution over the spatial axes, channels summed unless they are all the same.
        signed: Whether the scale is diverging, from `-limit` to `limit`, or runs from 0.
        limit: Size of the value that has the full colour, and larger ones too; 0 for a map that is
            zero throughout.
        channels: Number of channels that there were.
        unsigned: Whether there were signs, which were dropped.
        repeated: Whether each channel holds the same map, which was taken once.
    """

    values: NDArray[np.float64]
    signed: bool
    limit: float
    channels: int = 1
    unsigned: bool = False
    repeated: bool = False

    @property
    def summed(self) -> bool:
        """Whether the values are sums over channels."""
        return self.channels > 1 and not self.repeated

    @property
    def norm(self) -> Normalize:
        """The map from values to the unit interval of the colours."""
        limit = self.limit or 1.0
        return Normalize(-limit if self.signed else 0.0, limit)

    @property
    def strength(self) -> NDArray[np.float64]:
        """Absolute values over the limit, at most 1, so that maps of different units add up."""
        return np.minimum(np.abs(self.values) / (self.limit or 1.0), 1.0)

    @property
    def ticks(self) -> list[float]:
        """Zero and the ends of the scale."""
        return sorted({0.0, self.limit, -self.limit if self.signed else 0.0})

    @property
    def clipped(self) -> bool:
        """Whether a value lies beyond the limit."""
        return bool(np.abs(self.values).max() > self.limit)

    @property
    def reduction(self) -> str:
        """What was done to the values, for a label; empty for nothing."""
        if not self.summed:
            return "absolute values" if self.unsigned else ""
        what = "sum of absolute values" if self.unsigned else "sum"
        return f"{what} over {self.channels} channels"

    def plane(self, index: Any) -> Heatmap:
        """Returns the part of the map at `index`, on the scale of the whole."""
        return replace(self, values=self.values[index])


def heatmap(
    attribution: ArrayLike,
    shape: Sequence[int],
    *,
    dimensions: int,
    signed: bool | None = None,
    percentile: float = 99.0,
    limit: float | None = None,
    name: str = "attribution",
) -> Heatmap:
    """Reduces the attribution of one sample to one value a pixel and finds its scale.

    Channels are parts of a sum, as those of a gradient, and are summed, with their signs or, for an
    unsigned map, as absolute values. Where all channels are the same, as in a map of what hides whole
    pixels, there is nothing to sum, and one is taken. The limit
    of the scale is a percentile of the map's absolute values, so that one far pixel does not blank
    all others; where that is zero, as in a map of a few pixels, it is the greatest.

    Args:
        attribution: The sample's shape, or that without the channel axis.
        shape: Shape of the sample, with or without a channel axis.
        dimensions: Number of spatial axes.
        signed: Whether to keep the signs; by default where there are negative values.
        percentile: Share of the pixels, in percent, that lie within the limit.
        limit: The limit itself, so that maps compare.
        name: What the caller calls the argument; quoted in errors.

    Raises:
        ValueError: If the shapes do not fit, a value is not finite, `percentile` is not in (0, 100],
            or `limit` is not above 0.

    Example:
        >>> heat = heatmap([[[1.0, -3.0]], [[0.0, 1.0]]], (2, 1, 2), dimensions=2)
        >>> heat.values.ravel().tolist(), heat.signed
        ([-2.0, 1.0], True)
    """
    values = finite_values(attribution, name)
    whole, spatial = tuple(shape), tuple(shape[:dimensions])
    if values.shape not in (whole, spatial, (*spatial, 1)):
        raise ValueError(
            f"`{name}` must have the shape of its sample, {whole}, or that without channels, "
            f"{spatial}. Received shape {values.shape}."
        )
    if not 0 < percentile <= 100:
        raise ValueError(f"`percentile` must lie in (0, 100]. Received: {percentile}.")
    limit = checked_limit(limit)
    negative = bool((values < 0).any())
    signed = negative if signed is None else signed
    reduced = values if signed else np.abs(values)
    channels, repeated = 1, False
    if values.ndim > dimensions:
        channels = values.shape[-1]
        repeated = channels > 1 and bool((values == values[..., :1]).all())
        reduced = reduced[..., 0] if repeated else reduced.sum(axis=-1)
    if limit is None:
        limit = scale_limit([reduced], percentile)
    return Heatmap(
        reduced, signed, limit, channels, unsigned=negative and not signed, repeated=repeated
    )


def scale_limit(maps: Sequence[NDArray[np.float64]], percentile: float) -> float:
    """Returns the percentile of the absolute values of all maps together, or the greatest if it is 0.

    Example:
        >>> scale_limit([np.ones(50), -2 * np.ones(50)], 100)
        2.0
    """
    sizes = np.abs(np.concatenate([values.ravel() for values in maps]))
    return float(np.percentile(sizes, percentile)) or float(sizes.max())


def checked_limit(limit: float | None) -> float | None:
    """Returns the end of a scale if it is above 0, or None."""
    if limit is not None and not 0 < limit < np.inf:
        raise ValueError(f"`limit` must be a number above 0. Received: {limit}.")
    return limit


def spatial_dimensions(
    shape: Sequence[int], attribution: Sequence[int], dimensions: int | None = None
) -> int:
    """Returns how many axes of a sample are spatial; the others are its channels.

    An attribution without the channel axis tells it. Otherwise two axes are an image, unless they
    are four times as long as wide, as no image is: a signal with channels; three axes are an image
    where the last is 1 or 3, and a volume elsewhere.

    Raises:
        ValueError: If there are not one to three spatial axes and at most one of channels.

    Example:
        >>> spatial_dimensions((128, 9), (128, 9)), spatial_dimensions((28, 28), (28, 28))
        (1, 2)
    """
    axes = len(shape)
    if dimensions is None:
        if tuple(attribution) == tuple(shape[:-1]):
            dimensions = axes - 1
        elif axes == 2:
            dimensions = 1 if shape[0] >= _SIGNAL_RATIO * shape[1] else 2
        else:
            dimensions = {1: 1, 3: 2 if shape[-1] in (1, 3) else 3}.get(axes, 3)
    if dimensions not in (1, 2, 3) or axes - dimensions not in (0, 1):
        raise ValueError(
            "A sample must have one, two or three spatial axes and at most one of channels. "
            f"Received shape {tuple(shape)} with {dimensions} spatial axes."
        )
    return dimensions


def finite_values(values: ArrayLike, name: str) -> NDArray[np.float64]:
    """Returns real, finite values as a float64 array.

    Raises:
        ValueError: If there is no value, one is no real number, or one is NaN or infinite.
    """
    given = np.asarray(getattr(values, "attributions", values))
    if given.dtype.kind not in "fiub" and given.dtype.name != "bfloat16":
        raise ValueError(f"`{name}` must hold real numbers. Received dtype {given.dtype}.")
    array = given.astype(np.float64)
    if not array.size:
        raise ValueError(f"`{name}` holds no value. Received shape {array.shape}.")
    bad = np.argwhere(~np.isfinite(array))
    if len(bad):
        first = tuple(int(place) for place in bad[0])
        raise ValueError(
            f"`{name}` must be finite, but {len(bad)} of {array.size} values are NaN or infinite, "
            f"the first at {first}."
        )
    return array


def picture(
    image: ArrayLike,
    *,
    dimensions: int,
    value_range: tuple[float, float] | None = None,
    name: str = "image",
) -> NDArray[np.float64]:
    """Returns images or volumes in [0, 1]: without a channel axis, or in RGB with three.

    Args:
        image: One sample or several, spatial axes and perhaps channels last; other numbers of
            channels than 3 are averaged.
        dimensions: Number of axes before the channels.
        value_range: The values drawn black and white. By default 0 to 255 for unsigned bytes, 0 to
            1 for values within it, and otherwise the smallest and largest value.
        name: What the caller calls the argument; quoted in errors.

    Raises:
        ValueError: If a value is not finite or the range is not increasing.
    """
    values = finite_values(image, name)
    low, high = natural_range(np.asarray(image)) if value_range is None else value_range
    if not low < high:
        raise ValueError(f"`value_range` must be increasing. Received: {value_range}.")
    if values.ndim > dimensions and values.shape[-1] != 3:
        values = values.mean(axis=-1)
    return np.clip((values - low) / (high - low), 0.0, 1.0)


def faded(shown: NDArray[np.float64], *, black: float = _BLACK) -> NDArray[np.float64]:
    """Returns a grey or RGB image in pale grey, to lie below a map without a colour of its own.

    Args:
        shown: An image in [0, 1].
        black: The grey that black becomes.
    """
    grey = shown @ _LUMA if shown.ndim == 3 else shown
    return black + (1.0 - black) * grey


def central_peak(sizes: NDArray[np.float64]) -> tuple[int, ...]:
    """Returns the place of the greatest value; of several, that nearest to the centre.

    Example:
        >>> central_peak(np.zeros((5, 7)))
        (2, 3)
    """
    peaks = np.argwhere(sizes == sizes.max())
    away = ((peaks - np.array(sizes.shape) // 2) ** 2).sum(axis=1)
    return tuple(int(place) for place in peaks[away.argmin()])


def overlay_colors(signed: bool, alpha: float) -> ListedColormap:
    """Returns colours that are clear at zero and reach the opacity `alpha` at the limit."""
    place = np.linspace(-1.0 if signed else 0.0, 1.0, 511)
    if signed:
        colors = np.where(
            (place < 0)[:, None], _ramp(_NEGATIVE)(np.abs(place)), _ramp(_POSITIVE)(np.abs(place))
        )
    else:
        colors = _ramp(_UNSIGNED)(place)
    colors[:, 3] = alpha * np.abs(place) ** _RISE
    return ListedColormap(colors)


def over_white(colors: ListedColormap) -> ListedColormap:
    """Returns the opaque colours that clear ones have on white paper."""
    rgba = np.asarray(colors.colors)
    return ListedColormap(1.0 - rgba[:, 3:] * (1.0 - rgba[:, :3]))


def number(value: float, *, digits: int = 2) -> str:
    """Writes a value in a few digits with a true minus sign.

    Example:
        >>> number(-0.0000314), number(0.25)
        ('−3.1e−05', '0.25')
    """
    return f"{value:.{digits}g}".replace("-", "\N{MINUS SIGN}")


def checked_alpha(alpha: float) -> float:
    """Returns the opacity if it lies in (0, 1]."""
    if not 0 < alpha <= 1:
        raise ValueError(f"`alpha` must lie in (0, 1]. Received: {alpha}.")
    return alpha


def _ramp(colors: Sequence[str]) -> LinearSegmentedColormap:
    return LinearSegmentedColormap.from_list("", list(colors))
