"""What all moves share: selecting points, checking the result, and what they store."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..checks import finite_array, label_array, quoted
from .change import Change
from .selection import BoolArray, selections_of

Points: TypeAlias = NDArray[np.float64]


@dataclass(frozen=True)
class Move(Change, abstract=True):
    """One change to a map: selected points go to new positions.

    A subclass is a `Change` that says in `move_points` where points go.

    Args:
        reason: Why the move is made, a sentence kept with it.

    Example:
        >>> from dataclasses import dataclass, field
        >>> from keras_pli.intervention.selection import SelectionLike, as_selection
        >>> @dataclass(frozen=True)
        ... class Mirror(Move):
        ...     selection: SelectionLike = field(metadata={"convert": as_selection})
        ...
        ...     def move_points(self, points):
        ...         return points * [-1, 1]
        ...
        ...     def __str__(self):
        ...         return f"mirror {self.selection}"
        >>> targets, moved = Mirror([0]).apply([[1.0, 2.0], [3.0, 4.0]])
        >>> targets.tolist(), moved.tolist()
        ([[-1.0, 2.0], [3.0, 4.0]], [True, False])
    """

    def apply(
        self, embedding: ArrayLike, labels: ArrayLike | None = None
    ) -> tuple[NDArray[np.float32], BoolArray]:
        """Returns the positions after this move, and which points it selected.

        Args:
            embedding: Positions of shape `(n, components)`; not changed.
            labels: Class labels of shape `(n,)`, needed where a class is selected.

        Returns:
            Targets, float32 of shape `(n, components)`, and moved, booleans of shape `(n,)`.

        Raises:
            ValueError: If the embedding or the resulting positions are not finite, a selection does
                not fit them, two selections of one move share points, or the move was made for
                another number of components.
        """
        positions, classes = checked(embedding, labels)
        masks = [selection.resolve(positions, classes) for selection in selections_of(self)]
        shared = np.flatnonzero(np.sum(masks, axis=0) > 1)
        if len(shared):
            raise ValueError(
                f"The selections of one move may not overlap, but share {len(shared)} points: "
                f"{quoted(shared)}."
            )
        groups = self.move_groups([positions[mask].astype(np.float64) for mask in masks])
        targets = positions.copy()
        with np.errstate(over="ignore"):
            for mask, group in zip(masks, groups, strict=True):
                targets[mask] = group
        return finite_array(targets, "targets", ndim=2), np.logical_or.reduce(masks)

    def move_groups(self, groups: list[Points]) -> list[Points]:
        """Returns the new positions of each selection's points; one selection knows no other."""
        return [self.move_points(points) for points in groups]

    def move_points(self, points: Points) -> Points:
        """Returns the new positions, shape `(k, components)`, of the selected points."""
        raise NotImplementedError


def checked(
    embedding: ArrayLike, labels: ArrayLike | None
) -> tuple[NDArray[np.float32], NDArray[Any] | None]:
    """Returns the embedding as finite float32 and the labels, if any, as one entry a point."""
    positions = finite_array(embedding, "embedding", ndim=2)
    return positions, None if labels is None else label_array(labels, len(positions))


def components_of(values: Any, points: Points, name: str) -> Points:
    """Returns a move's own vector or positions, if they have as many components as the points.

    Raises:
        ValueError: If the numbers of components differ.
    """
    array = np.asarray(values, dtype=np.float64)
    if array.shape[-1] != points.shape[1]:
        raise ValueError(
            f"`{name}` has {array.shape[-1]} components, but the embedding has {points.shape[1]}: "
            f"the move was made for another number of components."
        )
    return array
