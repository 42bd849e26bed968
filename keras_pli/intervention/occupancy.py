"""Who lives at a place of a map: the classes among the nearest neighbours, before and after a move."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from sklearn.neighbors import NearestNeighbors

from ..checks import checked_number, finite_array, label_array
from .selection import as_selection

UNLABELLED = -1
# Share of neighbours that another class must gain: one point in fifty more would be taken for that class
# by a neighbour on the map, which is the size of effect on F1 that an experiment of ten seeds can tell.
GAIN = 0.02
# A place is empty beyond the distance within which nearly all points of the map have their neighbours.
COVERED = 0.95
MEASURED = 2000  # points from which that distance is taken


@dataclass(frozen=True)
class Collision:
    """A class that the points of another are moved into.

    Args:
        label: Class of the points moved.
        other: Class that gains among their neighbours.
        before: Its share of the neighbours before.
        after: Its share afterwards.
    """

    label: Any
    other: Any
    before: float
    after: float

    def __str__(self) -> str:
        return (
            f"{self.label} collides with {self.other}: {self.before:.3f} of its neighbours before, "
            f"{self.after:.3f} after"
        )


@dataclass(frozen=True)
class Occupancy:
    """The classes that selected points have for neighbours, before and after a change of the map.

    Args:
        classes: The classes that neighbours can have, in order.
        labels: The classes of the selected points, one a row; -1 for those without a label.
        counts: How many points were selected of each, `(rows,)`.
        before: Mean share of each class among the neighbours, `(rows, classes)`. What is lacking to
            1 are neighbours so far away that they do not live at the place.
        after: The same on the edited map.
        errors: Standard errors of `after - before` over the selected points; 0 for a single point.

    Example:
        >>> places = [[0.0], [0.2], [5.0], [5.2], [9.0], [9.2]]
        >>> found = occupancy(places, places, [0, 0, 1, 1, 2, 2], [0, 1, 2], neighbors=1)
        >>> found.labels, found.counts.tolist(), found.before.tolist()
        ((0, 1), [2, 1], [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
    """

    classes: tuple[Any, ...]
    labels: tuple[Any, ...]
    counts: NDArray[np.int64] = field(repr=False)
    before: NDArray[np.float64] = field(repr=False)
    after: NDArray[np.float64] = field(repr=False)
    errors: NDArray[np.float64] = field(repr=False)

    @property
    def gains(self) -> NDArray[np.float64]:
        """`after - before`, `(rows, classes)`."""
        return self.after - self.before

    @property
    def collisions(self) -> tuple[Collision, ...]:
        """Classes that other points are moved into, the largest gain first.

        A class collides with the points of another where its share of their neighbours grows by more than
        .02, and by more than two standard errors. Their own class never does, nor does any with points
        that have no label. That a move names both classes is no excuse: points of two classes at one
        place contradict the classification loss whether they were meant to meet or not.
        """
        gains = self.gains
        found = [
            (gains[row, column], Collision(label, other, *self._shares(row, column)))
            for row, label in enumerate(self.labels)
            for column, other in enumerate(self.classes)
            if label != other
            and not _is_unlabelled(label)
            and gains[row, column] > max(GAIN, 2 * self.errors[row, column])
        ]
        return tuple(collision for _, collision in sorted(found, key=lambda entry: -entry[0]))

    @property
    def foreign(self) -> tuple[float, float]:
        """Share of neighbours of another class than the point's own, before and after, over all points."""
        known = [row for row, label in enumerate(self.labels) if not _is_unlabelled(label)]
        if not known:
            return float("nan"), float("nan")
        own = np.array([[label == other for other in self.classes] for label in self.labels])[known]
        weights = self.counts[known]
        before, after = (
            float(np.average(np.where(own, 0, shares[known]).sum(axis=1), weights=weights))
            for shares in (self.before, self.after)
        )
        return before, after

    def table(self) -> pd.DataFrame:
        """The shares, with columns `label`, `neighbor`, `before`, `after`, `gain`, `points`."""
        rows = [
            (label, other, *self._shares(row, column), int(self.counts[row]))
            for row, label in enumerate(self.labels)
            for column, other in enumerate(self.classes)
        ]
        table = pd.DataFrame(rows, columns=["label", "neighbor", "before", "after", "points"])
        table.insert(4, "gain", table["after"] - table["before"])
        return table

    def _shares(self, row: int, column: int) -> tuple[float, float]:
        return float(self.before[row, column]), float(self.after[row, column])

    def __str__(self) -> str:
        before, after = self.foreign
        text = f"neighbours of other classes: {before:.3f} before, {after:.3f} after"
        return "; ".join([text, *map(str, self.collisions)])


def occupancy(
    positions: ArrayLike,
    targets: ArrayLike,
    labels: ArrayLike,
    selected: ArrayLike,
    *,
    neighbors: int = 10,
) -> Occupancy:
    """Counts the classes among the nearest neighbours of selected points, before and after a change.

    Neighbours before are the nearest other points on the map as it is; neighbours after the nearest on the
    edited map, where all points that move have left their old places. Points without a label (-1) are
    nobody's neighbours. Nor is a point farther away than 95 % of the map's points have to their neighbours
    of that number: whoever moves into an empty place has none.

    Args:
        positions: The map, shape `(n, components)`.
        targets: The edited map, of the same shape.
        labels: Classes of shape `(n,)`, ints or strings; -1 for no label.
        selected: Which points to look at: a mask of shape `(n,)`, indices, a class, or a `Selection`.
        neighbors: How many neighbours of each point, an int of at least 1.

    Returns:
        An `Occupancy`.

    Raises:
        ValueError: If shapes differ, a position is not finite, fewer than two points have a label, or
            nothing is selected.
        TypeError: If `selected` is no selection.

    Example:
        >>> before = [[0.0], [0.1], [0.2], [5.0], [5.1], [5.2]]
        >>> after = [[5.0], [5.1], [5.2], [5.0], [5.1], [5.2]]
        >>> found = occupancy(before, after, [0, 0, 0, 1, 1, 1], 0, neighbors=2)
        >>> found.after.round(2).tolist()
        [[0.5, 0.5]]
        >>> print(found)
        neighbours of other classes: 0.000 before, 0.500 after; 0 collides with 1: 0.000 of its neighbours \
before, 0.500 after
    """
    positions = finite_array(positions, "positions", ndim=2)
    targets = finite_array(targets, "targets", ndim=2)
    if positions.shape != targets.shape:
        raise ValueError(
            "The map and the edited map must have the same shape. "
            f"Received: {positions.shape} and {targets.shape}."
        )
    classes = label_array(labels, len(positions))
    neighbors = checked_number(neighbors, "neighbors", least=1, whole=True)
    rows = np.flatnonzero(as_selection(selected, "selected").resolve(positions, classes))
    known = _labelled(classes)
    if np.count_nonzero(known) < 2:
        raise ValueError(
            f"At least two points must have a label. Received: {np.count_nonzero(known)}."
        )
    names, numbers = np.unique(classes[known], return_inverse=True)
    reach = _reach(positions[known], neighbors)
    before, after = (
        _shares(on_map, known, numbers, len(names), rows, neighbors, reach)
        for on_map in (positions, targets)
    )
    own = np.unique(classes[rows])
    groups = [classes[rows] == label for label in own]
    return Occupancy(
        classes=tuple(names.tolist()),
        labels=tuple(own.tolist()),
        counts=np.array([np.count_nonzero(group) for group in groups]),
        before=np.array([before[group].mean(axis=0) for group in groups]),
        after=np.array([after[group].mean(axis=0) for group in groups]),
        errors=np.array([_standard_error((after - before)[group]) for group in groups]),
    )


def _shares(
    positions: NDArray[np.float32],
    known: NDArray[np.bool_],
    numbers: NDArray[np.intp],
    classes: int,
    rows: NDArray[np.intp],
    neighbors: int,
    reach: float,
) -> NDArray[np.float64]:
    """Share of each class among the neighbours of each of the rows, `(rows, classes)`."""
    candidates = np.flatnonzero(known)
    asked = min(neighbors, len(candidates) - 1)
    fitted = NearestNeighbors().fit(positions[candidates])
    distances, found = fitted.kneighbors(positions[rows], asked + 1)
    # A point is left out by its index, as duplicates of it are neighbours; where so many lie at its very
    # place that it was not found itself, any one of them is too many.
    itself = candidates[found] == rows[:, None]
    itself[~itself.any(axis=1), -1] = True
    distances = distances[~itself].reshape(len(rows), asked)
    found = numbers[found[~itself]].reshape(len(rows), asked)
    near = distances <= reach
    cells = (np.arange(len(rows))[:, None] * classes + found)[near]
    counts = np.bincount(cells, minlength=len(rows) * classes).reshape(len(rows), classes)
    return np.asarray(counts / asked)


def _reach(positions: NDArray[np.float32], neighbors: int) -> float:
    asked = min(neighbors, len(positions) - 1)
    some = positions[:: -(-len(positions) // MEASURED)]
    distances, _ = NearestNeighbors().fit(positions).kneighbors(some, asked + 1)
    # Exactly the distance asked for may come out a rounding larger on another map.
    return float(np.quantile(distances[:, -1], COVERED)) * (1 + 1e-5)


def _labelled(labels: NDArray[Any]) -> NDArray[np.bool_]:
    if labels.dtype.kind in "iu":
        return np.asarray(labels != UNLABELLED)
    return np.array([not _is_unlabelled(label) for label in labels.tolist()], dtype=bool)


def _is_unlabelled(label: Any) -> bool:
    return not isinstance(label, str) and label == UNLABELLED


def _standard_error(differences: NDArray[np.float64]) -> NDArray[np.float64]:
    if len(differences) < 2:
        return np.zeros(differences.shape[1])
    return np.asarray(differences.std(axis=0, ddof=1) / np.sqrt(len(differences)))
