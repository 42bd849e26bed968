"""The moves a person can make on a map; class clusters first, then shapes, points and functions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import KW_ONLY, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..checks import finite_array, quoted
from .move import Move, Points, checked, components_of
from .selection import BoolArray, Indices, Polygon, Selection, SelectionLike, as_selection
from .values import (
    any_callable,
    brief,
    factors,
    fraction,
    number,
    positive,
    rows,
    vector,
)


def _optional_vector(value: Any, name: str) -> tuple[float, ...] | None:
    return None if value is None else vector(value, name)


def _as_polygon(value: Any, name: str) -> Polygon:
    return value if isinstance(value, Polygon) else Polygon(value)


def _as_indices(value: Any, name: str) -> Indices:
    selection: Selection | None = None if np.ndim(value) == 0 else as_selection(value, name)
    if isinstance(value, Indices):
        selection = value
    if not isinstance(selection, Indices):
        raise TypeError(f"`{name}` must be integers of shape (k,). Received: {value!r}.")
    return selection


@dataclass(frozen=True)
class Shift(Move):
    """Shifts a class cluster, or any other selection, as a whole.

    Maps every selected point y to y + by (Hinterreiter et al. 2020, section 2.2).

    Args:
        selection: A class label, indices of shape `(k,)`, a mask of shape `(n,)` or a `Selection`.
        by: The way to go, one number a component, in units of the map.
        reason: Why, a sentence kept with the move.

    Raises:
        ValueError: If `by` is not finite, or, in `apply`, has not the embedding's components.

    Example:
        >>> targets, moved = Shift(7, by=(1, -1)).apply([[0.0, 0.0], [5.0, 5.0]], labels=[7, 3])
        >>> targets.tolist(), moved.tolist()
        ([[1.0, -1.0], [5.0, 5.0]], [True, False])
    """

    selection: SelectionLike = field(metadata={"convert": as_selection})
    by: ArrayLike = field(metadata={"convert": vector})

    def move_points(self, points: Points) -> Points:
        """Returns points + by."""
        return points + components_of(self.by, points, "by")

    def __str__(self) -> str:
        return f"shift {self.selection} by {brief(self.by)}"


@dataclass(frozen=True)
class Contract(Move):
    """Pulls a class cluster, or any other selection, towards its centre of mass.

    Maps every selected point y to c + factor * (y - c), where c is the mean of the selection
    (Hinterreiter et al. 2020, section 2.2). The centre stays where it is.

    Args:
        selection: A class label, indices of shape `(k,)`, a mask of shape `(n,)` or a `Selection`.
        factor: Remaining distance from the centre, in [0, 1]; 1 leaves the cluster as it is.
        reason: Why, a sentence kept with the move.

    Raises:
        ValueError: If `factor` lies outside [0, 1].

    Example:
        >>> targets, moved = Contract(3, factor=0.5).apply([[0.0, 0.0], [4.0, 8.0]], labels=[3, 3])
        >>> targets.tolist()
        [[1.0, 2.0], [3.0, 6.0]]
    """

    selection: SelectionLike = field(metadata={"convert": as_selection})
    factor: float = field(default=0.5, metadata={"convert": fraction})

    def move_points(self, points: Points) -> Points:
        """Returns the points scaled about their mean."""
        return _scaled(points, self.factor)

    def __str__(self) -> str:
        return f"contract {self.selection} to {brief(self.factor)} of its size"


@dataclass(frozen=True)
class MoveTo(Move):
    """Shifts a class cluster, or any other selection, so that its centre of mass lies at a place.

    Maps every selected point y to y + (position - c), where c is the mean of the selection: the
    shift of Hinterreiter et al. (2020, section 2.2), said by where it ends.

    Args:
        selection: A class label, indices of shape `(k,)`, a mask of shape `(n,)` or a `Selection`.
        position: Where the centre goes, one number a component.
        reason: Why, a sentence kept with the move.

    Raises:
        ValueError: If `position` is not finite, or, in `apply`, has not the embedding's components.

    Example:
        >>> move = MoveTo(3, position=(0, 0))
        >>> targets, moved = move.apply([[1.0, 0.0], [3.0, 0.0]], labels=[3, 3])
        >>> targets.tolist()
        [[-1.0, 0.0], [1.0, 0.0]]
    """

    selection: SelectionLike = field(metadata={"convert": as_selection})
    position: ArrayLike = field(metadata={"convert": vector})

    def move_points(self, points: Points) -> Points:
        """Returns the points with their mean at the position."""
        return points - points.mean(axis=0) + components_of(self.position, points, "position")

    def __str__(self) -> str:
        return f"move the centre of {self.selection} to {brief(self.position)}"


@dataclass(frozen=True)
class Separate(Move):
    """Moves two class clusters, or other selections, apart to a distance between their centres.

    Both are shifted along the line through their centres of mass, each half of the way, so that
    the point midway stays where it is: the separation of confused classes in Hinterreiter et al.
    (2020, section 3.1). A distance below the present one brings them closer.

    Args:
        first: A class label, indices of shape `(k,)`, a mask of shape `(n,)` or a `Selection`.
        second: Another; the two may not share points.
        distance: The centres' distance afterwards, positive, in units of the map.
        reason: Why, a sentence kept with the move.

    Raises:
        ValueError: If `distance` is not positive, or, in `apply`, if the two selections share
            points or their centres coincide, so that no direction leads apart.

    Example:
        >>> targets, moved = Separate(4, 9, distance=8.0).apply([[0.0, 0.0], [2.0, 0.0]], [4, 9])
        >>> targets.tolist()
        [[-3.0, 0.0], [5.0, 0.0]]
    """

    first: SelectionLike = field(metadata={"convert": as_selection})
    second: SelectionLike = field(metadata={"convert": as_selection})
    _: KW_ONLY
    distance: float = field(metadata={"convert": positive})

    def move_groups(self, groups: list[Points]) -> list[Points]:
        """Returns both groups, shifted in opposite directions by the same way."""
        first, second = groups
        start, end = first.mean(axis=0), second.mean(axis=0)
        present = float(np.linalg.norm(end - start))
        if present <= np.finfo(np.float32).eps * max(np.abs(start).max(), np.abs(end).max()):
            raise ValueError(
                f"The centres of {self.first} and {self.second} coincide at "
                f"{brief(start.tolist())}, so no direction leads apart; shift one of them first."
            )
        step = (self.distance - present) / 2 * (end - start) / present
        return [first - step, second + step]

    def __str__(self) -> str:
        return f"separate {self.first} and {self.second} to a distance of {brief(self.distance)}"


@dataclass(frozen=True)
class Rotate(Move):
    """Turns a class cluster, or any other selection, about its centre of mass.

    One of the further alterations that Hinterreiter et al. (2020, section 2.2) name as possible.

    Args:
        selection: A class label, indices of shape `(k,)`, a mask of shape `(n,)` or a `Selection`.
        degrees: The angle; counter-clockwise on a 2-D map whose y axis points up, and by the
            right-hand rule about `axis` on a 3-D map.
        axis: Direction of the axis, three numbers, for 3-D maps only.
        reason: Why, a sentence kept with the move.

    Raises:
        ValueError: If `axis` is zero or not of three numbers, or, in `apply`, if the map is 3-D and
            there is no axis, is 2-D and there is one, or has another number of components.

    Example:
        >>> targets, moved = Rotate([0, 1], degrees=90).apply([[1.0, 0.0], [-1.0, 0.0]])
        >>> (targets.round(6) + 0.0).tolist()
        [[0.0, 1.0], [0.0, -1.0]]
    """

    selection: SelectionLike = field(metadata={"convert": as_selection})
    degrees: float = field(metadata={"convert": number})
    _: KW_ONLY
    axis: ArrayLike | None = field(default=None, metadata={"convert": _optional_vector})

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.axis is not None and (np.shape(self.axis) != (3,) or not np.any(self.axis)):
            raise ValueError(
                f"`axis` must be three numbers, not all zero. "
                f"Received: {quoted(np.array(self.axis))}."
            )

    def move_points(self, points: Points) -> Points:
        """Returns the points turned about their mean."""
        centre = points.mean(axis=0)
        return centre + (points - centre) @ self._matrix(points.shape[1]).T

    def _matrix(self, components: int) -> Points:
        if components != (2 if self.axis is None else 3):
            asked = "without `axis` needs 2" if self.axis is None else "about `axis` needs 3"
            raise ValueError(
                f"A rotation {asked} components. The embedding has {components} components."
            )
        angle = np.deg2rad(self.degrees)
        cosine, sine = np.cos(angle), np.sin(angle)
        if self.axis is None:
            return np.array([[cosine, -sine], [sine, cosine]])
        x, y, z = np.array(self.axis) / np.linalg.norm(np.array(self.axis))
        cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
        return np.eye(3) + sine * cross + (1 - cosine) * cross @ cross

    def __str__(self) -> str:
        if self.axis is None:
            direction = "clockwise" if self.degrees < 0 else "counter-clockwise"
            turn = f"{brief(abs(self.degrees))} degrees {direction}"
        else:
            turn = f"{brief(self.degrees)} degrees about the axis {brief(self.axis)}"
        return f"rotate {self.selection} by {turn}"


@dataclass(frozen=True)
class Scale(Move):
    """Makes a class cluster, or any other selection, wider or narrower about its centre of mass.

    Maps every selected point y to c + factor * (y - c), where c is the mean of the selection: the
    contraction of Hinterreiter et al. (2020, section 2.2) with any factor, or one a component.

    Args:
        selection: A class label, indices of shape `(k,)`, a mask of shape `(n,)` or a `Selection`.
        factor: One number for all components, or one a component; not negative.
        reason: Why, a sentence kept with the move.

    Raises:
        ValueError: If a factor is negative or not finite, or, in `apply`, if there is not one for
            each of the embedding's components.

    Example:
        >>> targets, moved = Scale([0, 1], factor=(2, 1)).apply([[1.0, 0.0], [3.0, 4.0]])
        >>> targets.tolist()
        [[0.0, 0.0], [4.0, 4.0]]
    """

    selection: SelectionLike = field(metadata={"convert": as_selection})
    factor: ArrayLike = field(metadata={"convert": factors})

    def move_points(self, points: Points) -> Points:
        """Returns the points scaled about their mean."""
        if np.ndim(self.factor) == 1:
            return _scaled(points, components_of(self.factor, points, "factor"))
        return _scaled(points, np.asarray(self.factor))

    def __str__(self) -> str:
        return f"scale {self.selection} by {brief(self.factor)}"


@dataclass(frozen=True)
class MovePoints(Move):
    """Puts single points at given positions.

    The instance-level manipulation that Hinterreiter et al. (2020, section 4) look forward to.

    Args:
        indices: The points, integers of shape `(k,)`, counted from 0, none twice.
        positions: Where they go, shape `(k, components)`, in the order of the indices.
        reason: Why, a sentence kept with the move.

    Raises:
        ValueError: If an index comes twice, there is not one position for each, a position is not
            finite, or, in `apply`, the positions have not the embedding's components.
        TypeError: If the indices are no integers.

    Example:
        >>> targets, moved = MovePoints([1], [(5, 5)]).apply([[0.0, 0.0], [1.0, 1.0]])
        >>> targets.tolist(), moved.tolist()
        ([[0.0, 0.0], [5.0, 5.0]], [False, True])
    """

    indices: Indices | Sequence[int] | NDArray[Any] = field(metadata={"convert": _as_indices})
    positions: ArrayLike = field(repr=False, metadata={"convert": rows})

    def __post_init__(self) -> None:
        super().__post_init__()
        assert isinstance(self.indices, Indices)
        indices, positions = np.asarray(self.indices.indices), np.asarray(self.positions)
        unique, counts = np.unique(indices, return_counts=True)
        if len(unique) < len(indices):
            raise ValueError(
                f"A point can go to one position only. "
                f"Named more than once: {quoted(unique[counts > 1])}."
            )
        if len(positions) != len(indices):
            raise ValueError(
                f"There must be one position for each of the {len(indices)} indices. "
                f"Received {len(positions)} positions."
            )
        # A selection hands its points over in the order of the map, so the positions follow it.
        object.__setattr__(self, "indices", Indices(unique))
        object.__setattr__(self, "positions", rows(positions[np.argsort(indices)], "positions"))

    def move_points(self, points: Points) -> Points:
        """Returns the positions given."""
        return components_of(self.positions, points, "positions")

    def __str__(self) -> str:
        return f"put {self.indices} at new positions"


@dataclass(frozen=True)
class Lasso(Move):
    """Takes the points inside a polygon, scales them about their centre of mass and shifts them.

    Maps every point y inside to c + scale * (y - c) + by, where c is their mean; shifting and
    contracting as in Hinterreiter et al. (2020, section 2.2), for a region drawn by hand. The
    polygon is laid over the map as it stands after the moves before it.

    Args:
        polygon: Corners of shape `(k, 2)`, or a `Polygon`, which says what is inside.
        by: The way to go, two numbers in units of the map.
        scale: Factor of all distances from the centre, not negative.
        reason: Why, a sentence kept with the move.

    Raises:
        ValueError: If the polygon has fewer than three different corners, `by` is not two finite
            numbers, or, in `apply`, the map is not 2-D or holds no point inside.

    Example:
        >>> move = Lasso([(0, 0), (2, 0), (2, 2), (0, 2)], by=(10, 0))
        >>> targets, moved = move.apply([[1.0, 1.0], [5.0, 5.0]])
        >>> targets.tolist(), moved.tolist()
        ([[11.0, 1.0], [5.0, 5.0]], [True, False])
    """

    polygon: Polygon | Sequence[Sequence[float]] | NDArray[Any] = field(
        metadata={"convert": _as_polygon}
    )
    by: ArrayLike = field(default=(0.0, 0.0), metadata={"convert": vector})
    _: KW_ONLY
    scale: float = field(default=1.0, metadata={"convert": factors})

    def __post_init__(self) -> None:
        super().__post_init__()
        if np.shape(self.by) != (2,):
            raise ValueError(
                f"A lasso lies on a 2-D map, so `by` must be two numbers. "
                f"Received: {quoted(np.array(self.by))}."
            )

    def move_points(self, points: Points) -> Points:
        """Returns the points scaled about their mean, then shifted."""
        return _scaled(points, self.scale) + np.asarray(self.by)

    def __str__(self) -> str:
        scaled = "" if self.scale == 1 else f"scale {self.polygon} by {brief(self.scale)} and "
        what = "them" if scaled else self.polygon
        return f"{scaled}shift {what} by {brief(self.by)}"


@dataclass(frozen=True)
class Custom(Move):
    """Moves a selection by the caller's own function.

    Arbitrary alterations of the map are possible in principle (Hinterreiter et al. 2020,
    section 2.2). A plan with a function cannot be stored as JSON.

    Args:
        selection: A class label, indices of shape `(k,)`, a mask of shape `(n,)` or a `Selection`.
        function: Takes the selected points, float32 of shape `(k, components)`, and returns their
            new positions in the same shape.
        reason: Why, a sentence kept with the move.

    Raises:
        TypeError: If `function` is not callable.
        ValueError: In `apply`, if it returns another shape, NaN or infinity.

    Example:
        >>> targets, moved = Custom([0], lambda points: points**2).apply([[3.0, 2.0], [1.0, 1.0]])
        >>> targets.tolist()
        [[9.0, 4.0], [1.0, 1.0]]
    """

    selection: SelectionLike = field(metadata={"convert": as_selection})
    function: Callable[[NDArray[np.float32]], ArrayLike] = field(metadata={"convert": any_callable})

    def move_points(self, points: Points) -> Points:
        """Returns what the function makes of the points."""
        returned = self.function(points.astype(np.float32))
        return _same_shape(returned, points.shape, self.function).astype(np.float64)

    def __str__(self) -> str:
        return f"move {self.selection} by the function {_name(self.function)}"


@dataclass(frozen=True)
class WholeMap(Move):
    """Moves any points by the caller's own function of the whole map.

    What a bare callable in the list given to `InterventionPlan` becomes. Points count as moved
    where their position changed.

    Args:
        function: Takes the embedding, float32 of shape `(n, components)`, and the labels, shape
            `(n,)` or None, and returns targets of the embedding's shape.
        reason: Why, a sentence kept with the move.

    Raises:
        TypeError: If `function` is not callable.
        ValueError: In `apply`, if it returns another shape, NaN or infinity.

    Example:
        >>> move = WholeMap(lambda embedding, labels: embedding.clip(-2, 2))
        >>> targets, moved = move.apply([[3.0, 2.0], [1.0, 1.0]])
        >>> targets.tolist(), moved.tolist()
        ([[2.0, 2.0], [1.0, 1.0]], [True, False])
    """

    function: Callable[[NDArray[np.float32], Any], ArrayLike] = field(
        metadata={"convert": any_callable}
    )

    def apply(
        self, embedding: ArrayLike, labels: ArrayLike | None = None
    ) -> tuple[NDArray[np.float32], BoolArray]:
        """Returns what the function makes of the map, and which rows it changed."""
        positions, classes = checked(embedding, labels)
        # The function may write into what it is given; the caller's arrays must not change.
        returned = self.function(positions.copy(), None if classes is None else classes.copy())
        targets = _same_shape(returned, positions.shape, self.function)
        return targets, (targets != positions).any(axis=1)

    def __str__(self) -> str:
        return f"move points by the function {_name(self.function)} of the whole map"


def _scaled(points: Points, factor: float | NDArray[Any]) -> Points:
    centre = points.mean(axis=0)
    return centre + factor * (points - centre)


def _same_shape(
    returned: ArrayLike, shape: tuple[int, ...], source: Callable[..., Any]
) -> NDArray[np.float32]:
    array = np.asarray(returned)
    if array.shape != shape:
        raise ValueError(
            f"The function {_name(source)} must return the shape it was given, {shape}. "
            f"Received shape {array.shape}."
        )
    return finite_array(array, f"what {_name(source)} returned", ndim=2)


def _name(source: Callable[..., Any]) -> str:
    return getattr(source, "__qualname__", type(source).__name__)
