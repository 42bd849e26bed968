"""Who lives at a place of a map: the classes among the nearest neighbours, before and after a move."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from sklearn.neighbors import NearestNeighbors

from ..checks import checked_number, finite_array, label_array
from .data_changes import UNLABELLED, is_unlabelled
from .selection import as_selection

# Share of neighbours that another class must gain: one point in fifty more would be taken for that class
# by a neighbour on the map, which is the size of effect on F1 that an experiment of ten seeds can tell.
GAIN = 0.02
# A place is empty beyond the distance within which nearly all points of the map have their neighbours.
COVERED = 0.95
MEASURED = 2000  # points from which that distance is taken
NEIGHBORS = 10


@dataclass(frozen=True)
class Collision:
    """A class that the points of another are moved into.

    Args:
        label: Class of the points moved.
        other: Class that lives there.
        before: Share of the other class among the neighbours of the points moved, before.
        after: The same afterwards.
        of_residents: Whether the shares are those of the points moved among the neighbours of the other
            class instead: many that are moved onto few hardly see them, but are seen.
    """

    label: Any
    other: Any
    before: float
    after: float
    of_residents: bool = False

    def __str__(self) -> str:
        return f"{self.label} collides with {self.other}: {self.shares(3)}"

    def shares(self, digits: int) -> str:
        """The shares in words, to so many decimal places."""
        before, after = (f"{share:.{digits}f}" for share in (self.before, self.after))
        if self.of_residents:
            return f"it is {before} of the neighbours there before, {after} after"
        return f"{before} of its neighbours before, {after} after"


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
        moved: The classes of which some point, selected or not, has another place on the edited map.

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
    moved: tuple[Any, ...]

    @property
    def gains(self) -> NDArray[np.float64]:
        """`after - before`, `(rows, classes)`."""
        return self.after - self.before

    @property
    def collisions(self) -> tuple[Collision, ...]:
        """Classes that other points are moved into, the largest gain first.

        A class collides with the points of another where its share of their neighbours grows by more than
        .02, and by more than two standard errors. Their own class never does, nor does any with points
        that have no label. Nor do two classes of which none has moved: they see more of one another
        where a third has left. That a move names both classes is no excuse: points of two classes at one
        place contradict the classification loss whether they were meant to meet or not.
        """
        gains = self.gains
        found = [
            (gains[row, column], Collision(label, other, *self._shares(row, column)))
            for row, label in enumerate(self.labels)
            for column, other in enumerate(self.classes)
            if label != other
            and label != UNLABELLED
            and (label in self.moved or other in self.moved)
            and gains[row, column] > max(GAIN, 2 * self.errors[row, column])
        ]
        return tuple(collision for _, collision in sorted(found, key=lambda entry: -entry[0]))

    @property
    def foreign(self) -> tuple[float, float]:
        """Share of neighbours of another class than the point's own, before and after, over all points."""
        return self.foreign_to(self.labels)

    def foreign_to(self, labels: Collection[Any]) -> tuple[float, float]:
        """The same over the selected points of these classes; NaN where there is none."""
        rows = [
            row for row, label in enumerate(self.labels) if label in labels and label != UNLABELLED
        ]
        if not rows:
            return float("nan"), float("nan")
        own = np.array([[self.labels[row] == other for other in self.classes] for row in rows])
        before, after = (
            float(np.average(np.where(own, 0, on_map).sum(axis=1), weights=self.counts[rows]))
            for on_map in (self.before[rows], self.after[rows])
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
    neighbors: int = NEIGHBORS,
) -> Occupancy:
    """Counts the classes among the nearest neighbours of selected points, before and after a change.

    Neighbours before are the nearest other points on the map as it is; neighbours after the nearest on the
    edited map, where all points that move have left their old places. Points without a label (-1) are
    nobody's neighbours. Nor is a point farther away than 95 % of the map's points have to their neighbours
    of that number: whoever moves into an empty place has none. For points of a class that is spread so thinly
    that half of them have not even one another in this reach, it is as far as they have to one another.

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
    residents = Residents(positions, label_array(labels, len(positions)), neighbors)
    chosen = as_selection(selected, "selected").resolve(positions, residents.labels)
    return residents.after(targets, np.flatnonzero(chosen))


class Residents:
    """A map's points as neighbours of one another, to be compared with many edited maps.

    Args:
        positions: The map, float32 of shape `(n, components)`.
        labels: Classes of shape `(n,)`; -1 for no label.
        neighbors: How many neighbours of each point.

    Raises:
        ValueError: If fewer than two points have a label, or `neighbors` is not an int of at least 1.

    Example:
        >>> residents = Residents(np.array([[0.0], [0.1], [9.0]]), np.array([0, 0, 1]), 1)
        >>> residents.after(residents.positions, np.array([0])).after.tolist()
        [[1.0, 0.0]]
    """

    def __init__(self, positions: NDArray[Any], labels: NDArray[Any], neighbors: int) -> None:
        self.positions, self.labels = positions, labels
        known = ~is_unlabelled(labels)
        self.candidates = np.flatnonzero(known)
        if len(self.candidates) < 2:
            raise ValueError(
                f"At least two points must have a label. Received: {len(self.candidates)}."
            )
        neighbors = checked_number(neighbors, "neighbors", least=1, whole=True)
        self.neighbors = min(neighbors, len(self.candidates) - 1)
        self.classes, self.numbers = np.unique(labels[known], return_inverse=True)
        self.reach = self._reaches()
        self._before: dict[bytes, NDArray[np.float64]] = {}

    def after(self, targets: NDArray[Any], rows: NDArray[np.intp]) -> Occupancy:
        """Returns the occupancy of the points of these rows if the map becomes `targets`."""
        key = rows.tobytes()
        if key not in self._before:
            self._before = {key: self.shares(self.positions, rows)}
        return self._compared(targets, rows, self._before[key], self.shares(targets, rows))

    def collisions(self, targets: NDArray[Any], chosen: NDArray[np.bool_]) -> tuple[Collision, ...]:
        """The collisions of chosen points if the map becomes `targets`, the largest gain first.

        By the rule of `Occupancy.collisions`, seen from both sides: the classes that the chosen points get
        for neighbours, and, where those are too few to be seen, the classes that get chosen points.
        """
        rows = np.flatnonzero(chosen)
        seen = self.after(targets, rows).collisions if len(rows) else ()
        of_movers = {(each.label, each.other) for each in seen}
        met = [
            replace(each, label=each.other, other=each.label, of_residents=True)
            for each in self._met(targets, chosen)
            if (each.other, each.label) not in of_movers
        ]
        return tuple(sorted([*seen, *met], key=lambda each: each.before - each.after))

    def _met(self, targets: NDArray[Any], chosen: NDArray[np.bool_]) -> list[Collision]:
        """Collisions of the other points with classes of chosen ones; `label` is that of the others."""
        rows = np.flatnonzero(~chosen & ~is_unlabelled(self.labels))
        if not len(rows) or not chosen.any():
            return []
        # What chosen points bring, and not others of their class, and not in place of others of it.
        gained, whole = (
            self._compared(
                targets, rows, *(self.shares(at, rows, only) for at in (self.positions, targets))
            ).collisions
            for only in (chosen, None)
        )
        brought = {(each.label, each.other) for each in gained}
        return [each for each in whole if (each.label, each.other) in brought]

    def _compared(
        self,
        targets: NDArray[Any],
        rows: NDArray[np.intp],
        before: NDArray[np.float64],
        after: NDArray[np.float64],
    ) -> Occupancy:
        own = np.unique(self.labels[rows])
        groups = [self.labels[rows] == label for label in own]
        return Occupancy(
            classes=tuple(self.classes.tolist()),
            labels=tuple(own.tolist()),
            counts=np.array([np.count_nonzero(group) for group in groups]),
            before=np.array([before[group].mean(axis=0) for group in groups]),
            after=np.array([after[group].mean(axis=0) for group in groups]),
            errors=np.array([_standard_error((after - before)[group]) for group in groups]),
            moved=tuple(np.unique(self.labels[(targets != self.positions).any(axis=1)]).tolist()),
        )

    def shares(
        self,
        positions: NDArray[Any],
        rows: NDArray[np.intp],
        only: NDArray[np.bool_] | None = None,
    ) -> NDArray[np.float64]:
        """Share of each class among the neighbours of each of the rows, `(rows, classes)`.

        With a mask `only` the other neighbours are counted for no class.
        """
        fitted = NearestNeighbors().fit(positions[self.candidates])
        distances, found = fitted.kneighbors(positions[rows], self.neighbors + 1)
        # A point is left out by its index, as duplicates of it are neighbours; where so many lie at its
        # very place that it was not found itself, any one of them is too many.
        itself = self.candidates[found] == rows[:, None]
        itself[~itself.any(axis=1), -1] = True
        shape = (len(rows), self.neighbors)
        near = distances[~itself].reshape(shape) <= self.reach[rows, None]
        if only is not None:
            near &= only[self.candidates[found[~itself]]].reshape(shape)
        columns = self.numbers[found[~itself]].reshape(shape)
        cells = (np.arange(len(rows))[:, None] * len(self.classes) + columns)[near]
        counts = np.bincount(cells, minlength=len(rows) * len(self.classes))
        return np.asarray(counts.reshape(len(rows), -1) / self.neighbors)

    def _reaches(self) -> NDArray[np.float64]:
        """How far away a neighbour of each point may be."""
        places = self.positions[self.candidates]
        # Exactly the distance asked for may come out a rounding larger on another map.
        usual = np.quantile(_distances(places, self.neighbors), COVERED) * (1 + 1e-5)
        reaches = np.full(len(self.positions), usual)
        for number in range(len(self.classes)):
            members = self.candidates[self.numbers == number]
            # Of a class of few, those of half of it: strays would have the whole map for neighbours.
            others = min(self.neighbors, (len(members) - 1) // 2)
            if others:
                own = _distances(self.positions[members], others)
                if np.median(own) > usual:
                    reaches[members] = np.quantile(own, COVERED) * (1 + 1e-5)
        return reaches


def _distances(positions: NDArray[Any], neighbors: int) -> NDArray[np.float64]:
    """From some points to the neighbour of that number."""
    some = positions[:: -(-len(positions) // MEASURED)]
    distances, _ = NearestNeighbors().fit(positions).kneighbors(some, neighbors + 1)
    return np.asarray(distances[:, -1])


def _standard_error(differences: NDArray[np.float64]) -> NDArray[np.float64]:
    if len(differences) < 2:
        return np.zeros(differences.shape[1])
    return np.asarray(differences.std(axis=0, ddof=1) / np.sqrt(len(differences)))
