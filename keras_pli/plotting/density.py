"""Class-specific densities of a map: a binned kernel estimate and its level 1/N."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.ndimage import gaussian_filter, label, sum_labels

from ..brief import brief_repr
from ..checks import finite_array

_CELLS_PER_BANDWIDTH = 4.0
_MARGIN_BANDWIDTHS = 4.0
_MOST_CELLS = 1024


@dataclass(frozen=True)
class ClassDensity:
    """One class's density on a regular grid.

    Attributes:
        x: Grid positions along the first component, shape `(columns,)`.
        y: Grid positions along the second component, shape `(rows,)`.
        share: Shape `(rows, columns)`: the share of all N points that is of this class and expected
            within one bandwidth of the position.
        level: The contour threshold 1/N.
        bandwidth: Standard deviations of the kernel along x and y.
    """

    x: NDArray[np.float64]
    y: NDArray[np.float64]
    share: NDArray[np.float64]
    level: float
    bandwidth: tuple[float, float]

    __repr__ = brief_repr

    @property
    def peak(self) -> tuple[float, float]:
        """The densest position."""
        row, column = np.unravel_index(int(self.share.argmax()), self.share.shape)
        return float(self.x[column]), float(self.y[row])

    def clusters(self, least: float = 0.02) -> NDArray[np.float64]:
        """Returns `share` without the islands above the level that hold too little of the class.

        Strays that meet by chance would each draw a ring, some dozens on a map of twenty classes.

        Args:
            least: Part of the class, in [0, 1], that an island must hold to stay.

        Returns:
            Shape `(rows, columns)`: `share` with those islands set to 0, hence without contour.
        """
        islands, count = label(self.share > self.level)
        held = sum_labels(self.share, islands, np.arange(1, count + 1)) / self.share.sum()
        small = np.flatnonzero(held < least) + 1
        return np.where(np.isin(islands, small), 0.0, self.share)


def class_density(
    points: ArrayLike,
    *,
    total: int | None = None,
    bandwidth: tuple[float, float] | None = None,
    smallest: float = 0.0,
) -> ClassDensity:
    """Estimates where a class lies, in a unit that does not depend on the map's scale.

    The paper draws contour lines at a density threshold of 1/N (Hinterreiter et al. 2020, Fig. 3),
    N the number of all points. A density has the unit of one over area, so the threshold means
    nothing before an area is fixed: the same map in other units would lose its lines or swell.
    Here the area is that of the kernel, the ellipse within one bandwidth h of a position:

        share(y) = (n / N) * p(y) * pi * h_x * h_y,   p the class's own Gaussian kernel density,

    the share of all points that is of this class and expected within one bandwidth of y. The
    contour share = 1/N thus runs where that is one point. Stretching or moving the map moves
    the contour with it. A round Gaussian cluster of n points is enclosed to about 1.3, 2.2 and
    2.8 of its standard deviations (n = 10, 100, 1000), or 57, 91 and 98 percent of it, and a
    stray point, which counts a half at its own position, draws no ring of its own.

    The bandwidth is Scott's rule a component, spread * n ** (-1/6). The spread is the standard
    deviation or, if that is less, the spread of the densest half of the points, so that a few far
    strays do not blur the cluster they left.

    Args:
        points: Positions of the class's points, shape `(n, 2)`.
        total: Number of all points N; `n` by default.
        bandwidth: Kernel standard deviations along x and y, instead of Scott's rule.
        smallest: Lower bound of the bandwidth; matters where points coincide.

    Returns:
        The density on a grid that covers the points and four bandwidths around them.

    Raises:
        ValueError: If points are not finite or not of shape `(n, 2)`, `total` is less than `n`, or
            a bandwidth is not positive.

    Example:
        >>> density = class_density([[0.0, 0.0], [0.1, 0.0], [0.0, 0.1]], total=100)
        >>> density.level
        0.01
    """
    cloud = finite_array(points, "points", ndim=2).astype(np.float64)
    if cloud.shape[1] != 2:
        raise ValueError(f"`points` must have 2 components. Received shape {cloud.shape}.")
    total = len(cloud) if total is None else total
    if total < len(cloud):
        raise ValueError(f"`total` must count all {len(cloud)} points. Received: {total}.")
    widths = _scott(cloud, smallest) if bandwidth is None else np.asarray(bandwidth, np.float64)
    if widths.shape != (2,) or not (widths > 0).all():
        raise ValueError(f"`bandwidth` must be two positive numbers. Received: {bandwidth}.")
    x, y = (_nodes(cloud[:, axis], widths[axis]) for axis in range(2))
    cells = np.array([x[1] - x[0], y[1] - y[0]])
    # Sharing a point between nodes spreads it by a sixth of a squared cell; the kernel gives that
    # back, so that the two together have the bandwidth asked for.
    smoothing = np.sqrt(np.maximum((widths / cells) ** 2 - 1 / 6, 0.0))
    per_node = gaussian_filter(_shared_counts(cloud, x, y), smoothing[::-1], mode="constant")
    share = per_node / cells.prod() * np.pi * widths.prod() / total
    return ClassDensity(x, y, share, 1.0 / total, (float(widths[0]), float(widths[1])))


def _shared_counts(
    cloud: NDArray[np.float64], x: NDArray[np.float64], y: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Counts points on the nodes, each shared linearly between the four nodes around it.

    Counting a point wholly at the nearest node would be off by three percent for small classes.
    """
    low, cell = np.array([x[0], y[0]]), np.array([x[1] - x[0], y[1] - y[0]])
    place = (cloud - low) / cell
    node = np.floor(place).astype(np.int64)
    part = place - node
    counts = np.zeros(len(x) * len(y))
    for right in (0, 1):
        for up in (0, 1):
            weight = np.abs(1 - right - part[:, 0]) * np.abs(1 - up - part[:, 1])
            flat = (node[:, 1] + up) * len(x) + node[:, 0] + right
            counts += np.bincount(flat, weight, minlength=len(counts))
    return counts.reshape(len(y), len(x))


def _scott(cloud: NDArray[Any], smallest: float) -> NDArray[np.float64]:
    count = len(cloud)
    spread = cloud.std(axis=0, ddof=1) if count > 1 else np.zeros(2)
    # Below a dozen points the densest half is too few to measure a spread by.
    if count >= 12:
        spread = np.minimum(spread, _densest_half(cloud))
    # Scaled by the coordinates so that coinciding points still give distinct grid positions.
    floor = max(smallest, 1e-6 * max(1.0, float(np.abs(cloud).max())))
    return np.maximum(spread * count ** (-1 / 6), floor)


def _densest_half(cloud: NDArray[Any]) -> NDArray[np.float64]:
    """Returns the width of the shortest interval with half the points, as a standard deviation."""
    ordered = np.sort(cloud, axis=0)
    half = len(cloud) // 2
    # Half of a normal distribution lies within 0.6745 standard deviations of its centre.
    return (ordered[half:] - ordered[: len(cloud) - half]).min(axis=0) / (2 * 0.6745)


def _nodes(values: NDArray[Any], width: float) -> NDArray[np.float64]:
    low = values.min() - _MARGIN_BANDWIDTHS * width
    high = values.max() + _MARGIN_BANDWIDTHS * width
    cells = int(np.ceil((high - low) / width * _CELLS_PER_BANDWIDTH))
    return np.linspace(low, high, min(cells, _MOST_CELLS) + 1)
