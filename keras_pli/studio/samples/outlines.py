"""Where each class lies on a map: lines around it, and places for its name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.ndimage import label as islands_of
from scipy.ndimage import maximum_position, sum_labels

from ...checks import finite_array, label_array
from ...intervention.data_changes import is_unlabelled
from ...optional import imported
from ...plotting.outlines import Outline, class_outlines, told_apart

Point = tuple[float, float]

_TOLERANCE = 0.2  # cells of the density's grid that a line may leave its true course by


@dataclass(frozen=True, eq=False)
class ClassOutline:
    """Where a class lies on a map.

    Attributes:
        label: The class.
        lines: Polylines in map units, each `(vertices, 2)`; closed ones end where they begin. A class that is
            too thin everywhere has none.
        label_at: The densest spot of the class.
        places: The densest spot of each of its clusters, the one with the most of the class first.
    """

    label: Any
    lines: tuple[NDArray[np.float64], ...]
    label_at: Point
    places: tuple[Point, ...]


@dataclass(frozen=True, eq=False)
class MapOutlines:
    """The outlines of all classes of a map.

    Attributes:
        classes: One outline a class that has points, in the order of the labels.
        told_apart: Whether they overlap so little that an eye can follow them.
    """

    classes: tuple[ClassOutline, ...]
    told_apart: bool


def map_outlines(points: ArrayLike, labels: ArrayLike) -> MapOutlines:
    """Returns the lines that the package's figures draw around classes.

    They run where a class's density is that of one point (see `plotting.density.class_density`). Samples
    without a label, -1, are no class.

    Args:
        points: The map, `(samples, 2)`.
        labels: Classes, `(samples,)`.

    Raises:
        ValueError: If points are not finite or not of shape `(samples, 2)`, or labels are of another number.
        ImportError: If scikit-image cannot be imported.

    Example:
        >>> cloud = np.random.default_rng(0).normal(size=(200, 2))
        >>> (only,) = map_outlines(cloud, np.zeros(200, int)).classes
        >>> len(only.lines), only.places == (only.label_at,)
        (1, True)
    """
    positions = finite_array(points, "points", ndim=2)
    if positions.shape[1] != 2:
        raise ValueError(f"`points` must have 2 components. Received shape {positions.shape}.")
    classes = label_array(labels, len(positions))
    known = ~is_unlabelled(classes)
    width = float(np.ptp(positions[:, 0]))
    found = class_outlines(positions[known], classes[known], width=width)
    outlines = tuple(_class_outline(label, outline) for label, outline in found.items())
    return MapOutlines(outlines, told_apart([(found.values(), positions)]))


def _class_outline(label: Any, outline: Outline) -> ClassOutline:
    peak = outline.density.peak
    if not outline.exists:
        return ClassOutline(label, (), peak, (peak,))
    return ClassOutline(label, _lines(outline), peak, _places(outline))


def _lines(outline: Outline) -> tuple[NDArray[np.float64], ...]:
    measure = imported(
        "skimage.measure", "Outlining classes", otherwise="draw maps without outlines"
    )
    density = outline.density
    start = np.array([density.x[0], density.y[0]])
    cell = np.array([density.x[1] - density.x[0], density.y[1] - density.y[0]])
    lines = measure.find_contours(outline.share, density.level)
    thinned = [measure.approximate_polygon(line, _TOLERANCE) for line in lines]
    # In rows and columns, which are y and x.
    return tuple(start + line[:, ::-1] * cell for line in thinned)


def _places(outline: Outline) -> tuple[Point, ...]:
    density = outline.density
    islands, count = islands_of(outline.share > density.level)
    numbers = np.arange(1, count + 1)
    held = sum_labels(outline.share, islands, numbers)
    spots: Sequence[tuple[int, int]] = maximum_position(outline.share, islands, numbers)
    order = np.argsort(-held, kind="stable")
    return tuple(
        (float(density.x[spots[place][1]]), float(density.y[spots[place][0]])) for place in order
    )
