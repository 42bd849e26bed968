"""Outlines of classes on a map: where they run, and whether they can still be told apart."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from .density import ClassDensity, class_density

# A point within more outlines than this, on average, and no eye follows one of them.
MOST_OVERLAP = 4.0
_SAMPLE = 2000


@dataclass(frozen=True, eq=False, repr=False)
class Outline:
    """Where a class's density exceeds 1/N, without small islands.

    Attributes:
        density: The class's density.
        share: The density's `clusters`: 0 in the islands left out.
    """

    density: ClassDensity
    share: NDArray[np.float64]

    @property
    def exists(self) -> bool:
        """Whether the density exceeds the level anywhere."""
        return bool(self.share.max() > self.density.level)

    @property
    def corners(self) -> NDArray[np.float64]:
        """The lower left and upper right corner of the box around it, shape `(2, 2)`, or `(0, 2)`."""
        rows, columns = np.nonzero(self.share > self.density.level)
        if not len(rows):
            return np.zeros((0, 2))
        x, y = self.density.x, self.density.y
        # The line runs between the last node inside and the first one outside.
        low = x[max(columns.min() - 1, 0)], y[max(rows.min() - 1, 0)]
        high = x[min(columns.max() + 1, len(x) - 1)], y[min(rows.max() + 1, len(y) - 1)]
        return np.array([low, high])

    def encloses(self, points: NDArray[Any]) -> NDArray[np.bool_]:
        """Returns which points lie within it, to the nearest node of the grid."""
        inside = np.zeros(len(points), dtype=bool)
        x, y = self.density.x, self.density.y
        start, cell = np.array([x[0], y[0]]), np.array([x[1] - x[0], y[1] - y[0]])
        column, row = np.rint((points - start) / cell).astype(np.int64).T
        near = (column >= 0) & (row >= 0) & (column < len(x)) & (row < len(y))
        inside[near] = self.share[row[near], column[near]] > self.density.level
        return inside

    def draw(self, ax: Axes, color: str, *, dashed: bool = False) -> None:
        """Draws the line, if there is one."""
        if self.exists:
            ax.contour(
                self.density.x,
                self.density.y,
                self.share,
                levels=[self.density.level],
                colors=[color],
                linewidths=1.0,
                linestyles="dashed" if dashed else "solid",
                alpha=0.9,
                zorder=3,
            )


def class_outlines(
    points: NDArray[Any], labels: NDArray[Any], *, width: float, total: int | None = None
) -> dict[Any, Outline]:
    """Returns the outline of each class that has points.

    Args:
        points: Positions of all classes, shape `(samples, 2)`.
        labels: Classes, shape `(samples,)`.
        total: Points of the map, where those given are but a part of it.
        width: Width of the map: a class that collapsed to a spot still gets a ring one can see on it.
    """
    found = {}
    for label in np.unique(labels).tolist():
        density = class_density(
            points[labels == label], total=total or len(points), smallest=0.004 * width
        )
        found[label] = Outline(density, density.clusters())
    return found


def overlap(outlines: Iterable[Outline], points: NDArray[Any]) -> float:
    """Returns how many outlines a point of the map lies within, on average: 1 where classes lie apart.

    Of more than 2,000 points a sample tells it.
    """
    if len(points) > _SAMPLE:
        rows = np.random.default_rng(0).choice(len(points), _SAMPLE, replace=False)
        points = points[rows]
    return float(sum(outline.encloses(points).mean() for outline in outlines))


def told_apart(maps: Sequence[tuple[Iterable[Outline], NDArray[Any]]]) -> bool:
    """Whether the outlines of all maps, each with its points, overlap so little that one can follow them."""
    return all(overlap(outlines, points) <= MOST_OVERLAP for outlines, points in maps)
