"""Which points of a map a move takes: a class, single points, a mask, or a polygon."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from difflib import get_close_matches
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..checks import quoted
from .enclosed import enclosed
from .values import rows

BoolArray: TypeAlias = NDArray[np.bool_]


@dataclass(frozen=True)
class Selection:
    """Which points of an embedding a move takes.

    A subclass is a frozen dataclass that implements `resolve`; its `str` is the words used in the
    `repr` of a plan.
    """

    def resolve(self, embedding: NDArray[Any], labels: NDArray[Any] | None = None) -> BoolArray:
        """Returns the selected points.

        Args:
            embedding: Positions of shape `(n, components)`.
            labels: Class labels of shape `(n,)`; only `ClassLabel` needs them.

        Returns:
            Boolean array of shape `(n,)`, True for at least one point.

        Raises:
            ValueError: If the selection holds no point of this embedding, or does not fit it.
        """
        raise NotImplementedError


@dataclass(frozen=True)
class ClassLabel(Selection):
    """Selects every point of one class.

    The cluster of a class is the set of all embedded points with that ground truth label
    (Hinterreiter et al. 2020, section 2.2), so the selection carries over to other samples.

    Args:
        label: An int or a string, an entry of the labels given to `InterventionPlan.apply`. The
            type counts: 4 does not select samples labelled "4".

    Raises:
        TypeError: If `label` is neither an int nor a string.

    Example:
        >>> ClassLabel(4).resolve(np.zeros((3, 2)), np.array([4, 9, 4])).tolist()
        [True, False, True]
    """

    label: int | str

    def __post_init__(self) -> None:
        label: Any = self.label
        if isinstance(label, np.generic):
            label = label.item()
        if isinstance(label, bool) or not isinstance(label, int | str):
            raise TypeError(
                f"A class label must be an int or a string. "
                f"Received: {self.label!r} of {type(self.label).__name__}."
            )
        object.__setattr__(self, "label", label)

    def resolve(self, embedding: NDArray[Any], labels: NDArray[Any] | None = None) -> BoolArray:
        """Returns the points of the class; raises ValueError if there is none, or no labels."""
        if labels is None:
            raise ValueError(
                f"Selecting {self} needs the labels: call `apply(embedding, labels)`. "
                f"Received no labels."
            )
        if labels.dtype.kind in "iu" and isinstance(self.label, int):
            mask = np.asarray(labels == self.label)
        else:  # in Python, not by numpy: strings and ints then differ instead of failing
            mask = np.array([entry == self.label for entry in labels.tolist()], dtype=bool)
        if not mask.any():
            raise ValueError(self._missing(labels.tolist()))
        return mask

    def _missing(self, entries: list[Any]) -> str:
        present = sorted(set(entries), key=lambda entry: (type(entry).__name__, entry))
        by_name = {str(entry): entry for entry in present}
        near = [by_name[name] for name in get_close_matches(str(self.label), by_name, n=3)]
        hint = f" Did you mean {quoted(near)}?" if near else ""
        return (
            f"No sample has the label {self.label!r} ({type(self.label).__name__}). "
            f"The labels there are: {quoted(present, most=30)}.{hint}"
        )

    def __str__(self) -> str:
        return f"class {self.label!r}"


@dataclass(frozen=True, repr=False)
class Indices(Selection):
    """Selects single points by their row in the embedding.

    The rows belong to one sample of points; the selection does not carry over to another sample.

    Args:
        indices: Integers of shape `(k,)`, counted from 0. A point named twice is selected once.

    Raises:
        TypeError: If the indices are no integers.
        ValueError: If there is none, one is negative, or they have more than one axis.

    Example:
        >>> Indices([2, 0]).resolve(np.zeros((3, 2))).tolist()
        [True, False, True]
    """

    indices: ArrayLike

    def __post_init__(self) -> None:
        array = np.asarray(self.indices)
        if array.size == 0:
            raise ValueError("The indices select no point: the list is empty.")
        if array.dtype.kind not in "iu":
            raise TypeError(f"Indices must be integers. Received dtype {array.dtype}.")
        if array.ndim != 1:
            raise ValueError(f"Indices must have one axis. Received shape {array.shape}.")
        if array.min() < 0:
            raise ValueError(
                f"Indices are counted from 0 upwards. Received: {quoted(array[array < 0])}."
            )
        object.__setattr__(self, "indices", tuple(array.tolist()))

    @cached_property
    def rows(self) -> NDArray[np.int64]:
        """The points as an array, each once and in order; asked for at every step of a plan."""
        return np.unique(np.asarray(self.indices))

    def resolve(self, embedding: NDArray[Any], labels: NDArray[Any] | None = None) -> BoolArray:
        """Returns the points named; raises ValueError for an index beyond the last point."""
        array = self.rows
        beyond = array[array >= len(embedding)]
        if len(beyond):
            raise ValueError(
                f"Indices must lie below the number of points, {len(embedding)}. "
                f"Out of range: {quoted(beyond)}."
            )
        mask = np.zeros(len(embedding), dtype=bool)
        mask[array] = True
        return mask

    def __repr__(self) -> str:
        assert isinstance(self.indices, tuple)
        return f"Indices([{quoted(self.indices)}])"

    def __str__(self) -> str:
        array = self.rows
        return f"point {array[0]}" if len(array) == 1 else f"{len(array)} points ({quoted(array)})"


@dataclass(frozen=True, repr=False)
class Mask(Selection):
    """Selects the points where a boolean array is True.

    The mask belongs to one sample of points; the selection does not carry over to another sample.

    Args:
        mask: Booleans of shape `(n,)`, one for each point of the embedding.

    Raises:
        TypeError: If the entries are not booleans.
        ValueError: If none is True, or they have more than one axis.

    Example:
        >>> Mask([True, False, True]).resolve(np.zeros((3, 2))).tolist()
        [True, False, True]
    """

    mask: ArrayLike

    def __post_init__(self) -> None:
        array = np.asarray(self.mask)
        if array.size and array.dtype.kind != "b":
            raise TypeError(f"A mask must be boolean. Received dtype {array.dtype}.")
        if array.ndim != 1:
            raise ValueError(f"A mask must have one axis. Received shape {array.shape}.")
        if not array.any():
            raise ValueError(f"The mask selects none of its {len(array)} points.")
        object.__setattr__(self, "mask", tuple(array.tolist()))

    def resolve(self, embedding: NDArray[Any], labels: NDArray[Any] | None = None) -> BoolArray:
        """Returns the mask; raises ValueError if it was made for another number of points."""
        array = np.array(self.mask, dtype=bool)
        if len(array) != len(embedding):
            raise ValueError(
                f"The mask has {len(array)} entries, but the embedding has {len(embedding)} points."
            )
        return array

    def __repr__(self) -> str:
        return f"Mask({self})"

    def __str__(self) -> str:
        array = np.asarray(self.mask)
        return f"{np.count_nonzero(array)} of {len(array)} points"


@dataclass(frozen=True, repr=False)
class Polygon(Selection):
    """Selects the points that a polygon encloses on a two-dimensional map.

    A point is inside if a ray from it crosses the outline an odd number of times; where the
    outline crosses itself, a region encircled twice is therefore outside. Points on the outline,
    up to the rounding of float32 coordinates, are inside.

    Args:
        vertices: Corners of shape `(k, 2)` with k at least 3, in order; the last is joined to the
            first, which may be repeated at the end.

    Raises:
        ValueError: If fewer than three different corners are given, or they are not finite pairs.

    Example:
        >>> square = Polygon([(0, 0), (2, 0), (2, 2), (0, 2)])
        >>> square.resolve(np.array([[1, 1], [3, 1], [2, 1]])).tolist()
        [True, False, True]
    """

    vertices: ArrayLike

    def __post_init__(self) -> None:
        vertices = rows(self.vertices, "vertices")
        if len(vertices[0]) != 2:
            raise ValueError(
                f"A polygon's corners are pairs (x, y). Received {len(vertices[0])} components."
            )
        farthest = float(np.abs(np.array(vertices)).max())
        if farthest > float(np.finfo(np.float32).max):
            raise ValueError(
                f"A polygon's corners must lie where float32 reaches, as maps do. Received: {farthest:.3g}."
            )
        if len(set(vertices)) < 3:
            raise ValueError(
                f"A polygon needs at least 3 different corners. Received: {quoted(vertices)}."
            )
        object.__setattr__(self, "vertices", vertices)

    def resolve(self, embedding: NDArray[Any], labels: NDArray[Any] | None = None) -> BoolArray:
        """Returns the points inside; raises ValueError if there is none, or the map is not 2-D."""
        if embedding.shape[1] != 2:
            raise ValueError(
                f"A polygon selects on a map of 2 components. "
                f"Received {embedding.shape[1]} components."
            )
        mask = enclosed(embedding.astype(np.float64), np.array(self.vertices))
        if not mask.any():
            (left, bottom), (right, top) = embedding.min(axis=0), embedding.max(axis=0)
            raise ValueError(
                f"The lasso holds none of the {len(embedding)} points; the map spans "
                f"x from {left:.4g} to {right:.4g} and y from {bottom:.4g} to {top:.4g}."
            )
        return mask

    def __repr__(self) -> str:
        return f"Polygon([{quoted(np.array(self.vertices).tolist())}])"

    def __str__(self) -> str:
        return f"the points in a lasso of {len(np.array(self.vertices))} corners"


SelectionLike: TypeAlias = Selection | int | np.integer | str | Sequence[int] | NDArray[Any]

SELECTION_KINDS: dict[str, type[Selection]] = {
    kind.__name__: kind for kind in (ClassLabel, Indices, Mask, Polygon)
}


def as_selection(value: Any, name: str) -> Selection:
    """Returns the selection that `value` stands for.

    Args:
        value: An int or a string for a class, integers of shape `(k,)` for points, booleans of
            shape `(n,)` for a mask, or a `Selection`.
        name: What the caller calls the argument; quoted in the error.

    Raises:
        TypeError: If `value` is none of these.
        ValueError: If it selects no point.

    Example:
        >>> as_selection(4, "selection"), as_selection([4], "selection")
        (ClassLabel(label=4), Indices([4]))
    """
    if isinstance(value, Selection):
        return value
    try:
        array = np.asarray(value)
    except ValueError:
        array = np.asarray(None)
    kind = array.dtype.kind
    if array.ndim == 0 and kind in "iuU":
        return ClassLabel(array.item())
    if array.ndim == 1 and (kind in "iu" or array.size == 0):
        return Indices(array)
    if array.ndim == 1 and kind == "b":
        return Mask(array)
    hint = " Several classes? Pass `np.isin(labels, classes)`." if kind in "UO" else ""
    raise TypeError(
        f"`{name}` must be a class label (an int or a string), indices, a boolean mask or one of "
        f"{', '.join(SELECTION_KINDS)}. Received: {value!r}.{hint}"
    )


def selections_of(record: Any) -> tuple[Selection, ...]:
    """Returns the fields of a dataclass that are selections, in order."""
    values = (getattr(record, field.name) for field in fields(record))
    return tuple(value for value in values if isinstance(value, Selection))
