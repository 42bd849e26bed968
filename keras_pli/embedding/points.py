"""Points whose digits survive: centred in float64 before they are rounded, and brought to one scale.

Distances do not depend on where the origin lies, but what float32 keeps of them does: at an offset of 1e7 it
holds whole numbers only, and from 1e19 on squares overflow. Everything here reads the caller's array some
rows at a time, so that it may be memory-mapped and is never copied whole in float64.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..checks import quoted

CHUNK_ENTRIES = 1_000_000  # coordinates held at a time in float64, and looked at for a centre
LEAST_SAMPLE = 100  # rows that a centre is taken from, however many features they have
FAR = 4.0  # times the radius that 95 % of the points lie within: from here on a point is far from the rest
FARTHEST = 2.0**50  # in units of the points' spread; farther ones are taken to lie there

Rows = NDArray[np.float64]
Prepare = Callable[[slice, Rows], Rows]


@dataclass(frozen=True)
class CentredPoints:
    """Points about their median, in a unit that is a power of two.

    Args:
        values: float32 array of shape `(samples, features)`: the points less their median, divided by
            2**exponent, nearly all of them with a norm below 1.
        center: float64 array of shape `(features,)`, the median.
        exponent: The logarithm of the unit to the base of 2, so that the unit costs no digit.
    """

    values: NDArray[np.float32]
    center: Rows
    exponent: int

    def alike(self, array: NDArray[Any], prepare: Prepare | None = None) -> NDArray[np.float32]:
        """Other points of as many features about the same centre, in the same unit."""
        return _moved(array, self.center, self.exponent, prepare)


def features_of(array: NDArray[Any]) -> int:
    """Numbers that a point has, over all axes."""
    return array.size // len(array)


def chunks(array: NDArray[Any]) -> Iterator[tuple[slice, Rows]]:
    """Yields slices of rows and those rows, flattened, as float64 arrays that may be changed."""
    step = max(1, CHUNK_ENTRIES // max(1, features_of(array)))
    for start in range(0, len(array), step):
        part = slice(start, min(start + step, len(array)))
        yield part, rows_of(array, part)


def rows_of(array: NDArray[Any], part: slice) -> Rows:
    """Some rows of an array, flattened, in float64 and never a view."""
    return np.array(array[part], dtype=np.float64).reshape(-1, features_of(array))


def spread_rows(array: NDArray[Any], count: int | None = None) -> slice:
    """A slice of rows from all over an array, at most `count`; by default as many as tell its median."""
    if count is None:
        count = max(LEAST_SAMPLE, CHUNK_ENTRIES // max(1, features_of(array)))
    return slice(0, None, -(-len(array) // count))


def centred_points(array: NDArray[Any], prepare: Prepare | None = None) -> CentredPoints:
    """Centres and scales points, without a copy in float64.

    The centre is the median of each feature, which a few far points do not move.

    Args:
        array: Finite points of shape `(samples, ...)` and any real type, memory-mapped or not.
        prepare: What to do to rows before: called with a slice and the rows there, which it may change.

    Example:
        >>> points = centred_points(np.array([[1e9], [1e9 + 0.25], [1e9 + 1.0]]))
        >>> (points.values.ravel() * 2**points.exponent).tolist()
        [-0.25, 0.0, 0.75]
    """
    some = spread_rows(array)
    sample = _prepared(rows_of(array, some), some, prepare)
    center = np.median(sample, axis=0)
    radius = np.linalg.norm(sample - center, axis=1)
    exponent = int(np.frexp(np.quantile(radius, 0.95) or radius.max())[1])
    return CentredPoints(_moved(array, center, exponent, prepare), center, exponent)


def far_rows_drawn_in(array: NDArray[Any]) -> tuple[Rows, Prepare]:
    """Returns the median point, and a function that moves rows far from it to where rows begin to be far.

    The function takes a slice and the rows there, and returns them less the median.
    """
    some = spread_rows(array)
    center = np.median(rows_of(array, some), axis=0)
    radius = np.empty(len(array))
    for part, rows in chunks(array):
        radius[part] = np.linalg.norm(rows - center, axis=1)
    limit = FAR * float(np.quantile(radius, 0.95))
    factor = np.ones(len(array))
    if limit > 0:  # nearly all points coincide where it is 0, and the others are all there is
        np.divide(limit, radius, out=factor, where=radius > limit)

    def drawn_in(part: slice, rows: Rows) -> Rows:
        return (rows - center) * factor[part, None]

    return center, drawn_in


def to_unit_length(array: NDArray[Any]) -> Prepare:
    """Returns a function that brings rows to length 1, where the Euclidean distance tells the angle.

    Raises:
        ValueError: If a row is 0.
    """
    zero = [part.start + np.flatnonzero(~rows.any(axis=1)) for part, rows in chunks(array)]
    rows_of_zero = np.concatenate(zero)
    if len(rows_of_zero):
        raise ValueError(
            f"The cosine is not defined for points at the origin. Received: rows {quoted(rows_of_zero)}."
        )

    def unit(part: slice, rows: Rows) -> Rows:
        rows = rows / np.abs(rows).max(axis=1, keepdims=True)  # so that no square overflows
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)

    return unit


def _prepared(rows: Rows, part: slice, prepare: Prepare | None) -> Rows:
    return rows if prepare is None else prepare(part, rows)


def _moved(
    array: NDArray[Any], center: Rows, exponent: int, prepare: Prepare | None
) -> NDArray[np.float32]:
    values = np.empty((len(array), features_of(array)), dtype=np.float32)
    for part, rows in chunks(array):
        rows = _prepared(rows, part, prepare)
        rows -= center
        np.ldexp(rows, -exponent, out=rows)
        np.clip(rows, -FARTHEST, FARTHEST, out=rows)
        values[part] = rows
    return values
