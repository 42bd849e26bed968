"""Ways to take two clusters apart, and which of them lead to a place where no other class lives."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .move import Move
from .moves import Shift
from .occupancy import NEIGHBORS, Collision, Occupancy, Residents
from .plan import InterventionPlan

DIRECTIONS = 16
# The longest way, in how much further apart it takes two clusters; straight apart is 1.
DETOUR = 2.0
MOST_POINTS = 4000  # points of a map that are looked at
# Ways whose shares of neighbours differ by no more are alike, and the shortest is taken.
ALIKE = 0.01


@dataclass(frozen=True)
class Way:
    """One way to take two clusters apart.

    Args:
        moves: The moves.
        length: The distance that centres go in all, in units of the map.
    """

    moves: tuple[Move, ...]
    length: float


class FreeRoom:
    """Says of plans for one map whether they move points of one class into another.

    Looks at 4,000 points at most, drawn at random, and at all of them: a large class that is moved onto a
    small one hardly sees it, but is seen.

    Args:
        embedding: The map, float32 of shape `(n, components)`.
        labels: Classes of shape `(n,)`.

    Example:
        >>> from keras_pli.intervention import InterventionPlan, Shift
        >>> places = np.arange(12, dtype="float32")[:, None]
        >>> room = FreeRoom(places, np.repeat([0, 1], 6))
        >>> [len(room.collisions(InterventionPlan([Shift(0, by=[by])]))) for by in (-6, 6)]
        [0, 1]
    """

    def __init__(self, embedding: NDArray[np.float32], labels: NDArray[Any]) -> None:
        self.rows = np.arange(len(labels))
        if len(labels) > MOST_POINTS:
            drawn = np.random.default_rng(0).permutation(len(labels))
            self.rows = np.sort(drawn[:MOST_POINTS])
        self.embedding, self.labels = embedding, labels
        self.residents = Residents(embedding[self.rows], labels[self.rows], NEIGHBORS)

    def collisions(self, plan: InterventionPlan) -> tuple[Collision, ...]:
        """The classes that a plan moves points of other classes into, the largest gain first."""
        return self._after(plan).collisions

    def best(
        self, plan: InterventionPlan, ways: Iterable[Way], pair: tuple[int, int]
    ) -> Way | None:
        """Finds the way that, after a plan, leaves a pair the fewest neighbours of other classes.

        Args:
            plan: The plan so far.
            ways: Ways to add to it.
            pair: The two classes.

        Returns:
            The way, the shortest of those that are alike; None where each collides with a class.
        """
        free = []
        for way in ways:
            occupancy = self._after(InterventionPlan([*plan, *way.moves]))
            if not occupancy.collisions:
                free.append((occupancy.foreign_to(pair)[1], way))
        fewest = min((share for share, _ in free), default=0)
        alike = [way for share, way in free if share <= fewest + ALIKE]
        return min(alike, key=lambda way: way.length, default=None)

    def foreign(self, plan: InterventionPlan, pair: tuple[int, int]) -> tuple[float, float]:
        """A pair's share of neighbours of other classes, on the map as it is and after a plan."""
        return self._after(plan).foreign_to(pair)

    def _after(self, plan: InterventionPlan) -> Occupancy:
        targets, _ = plan.apply(self.embedding, self.labels)
        return self.residents.after(targets[self.rows], np.arange(len(self.rows)))


def ways_apart(
    first: int,
    second: int,
    offset: NDArray[np.float64],
    distance: float,
) -> Iterator[Way]:
    """Yields ways to bring two clusters to a distance: each alone, or both by opposite ways.

    Args:
        first: A class.
        second: Another.
        offset: From the second's centre to the first's, shape `(components,)`.
        distance: The centres' distance afterwards, no less than now.

    Example:
        >>> ways = list(ways_apart(0, 1, np.array([1.0, 0.0]), 3.0))
        >>> print(*ways[0].moves, ways[0].length)
        shift class 0 by (2, 0) 2.0
    """
    present = float(np.linalg.norm(offset))
    longest = DETOUR * (distance - present)
    for direction in _directions(offset):
        along = float(direction @ offset)
        length = -along + float(np.sqrt(along**2 + distance**2 - present**2))
        if length <= longest:
            by = length * direction
            yield Way((Shift(first, by=by),), length)
            yield Way((Shift(second, by=-by),), length)
            yield Way((Shift(first, by=by / 2), Shift(second, by=-by / 2)), length)


def _directions(offset: NDArray[np.float64]) -> NDArray[np.float64]:
    """Unit vectors in all directions, the first along the offset if it has a direction."""
    components = len(offset)
    present = np.linalg.norm(offset)
    straight = offset / present if present > 0 else np.eye(components)[0]
    if components == 1:
        return np.stack([straight, -straight])
    if components == 2:
        angles = 2 * np.pi * np.arange(DIRECTIONS) / DIRECTIONS
        turned = np.array([-straight[1], straight[0]])
        return np.cos(angles)[:, None] * straight + np.sin(angles)[:, None] * turned
    drawn = np.random.default_rng(0).normal(size=(2 * DIRECTIONS, components))
    return np.vstack([straight, drawn / np.linalg.norm(drawn, axis=1, keepdims=True)])
