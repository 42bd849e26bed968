"""Means and variances of arrays that come in parts, without losing digits where values lie far from zero."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

Array = NDArray[np.float64]
_CHUNK_ENTRIES = 2_000_000  # numbers that are worked on at a time


@dataclass(frozen=True, eq=False)
class Moments:
    """How many rows there were, their mean, and the sum of their squared distances from it.

    Two of them combine up to rounding (Chan, Golub and LeVeque 1979, Updating formulae and a pairwise
    algorithm for computing sample variances, equation 2.1), while plain sums of squares would cancel.

    Args:
        count: Rows.
        mean: Their mean, in any shape.
        squares: The sum of squared distances from the mean, in the same shape.

    Example:
        >>> one, other = Moments.of([1.0, 2.0]), Moments.of([6.0])
        >>> whole = one.joined(other)
        >>> whole.count, float(whole.mean), float(whole.variance)
        (3, 3.0, 7.0)
    """

    count: int
    mean: Array
    squares: Array

    @classmethod
    def of(cls, rows: ArrayLike) -> Moments:
        """Returns the moments of rows, one at least, worked on some at a time."""
        values = np.asarray(rows)
        step = max(1, _CHUNK_ENTRIES * len(values) // max(1, values.size))
        parts = Pairwise()
        for start in range(0, len(values), step):
            parts.add(cls._of_few(values[start : start + step]))
        return parts.total

    @classmethod
    def _of_few(cls, values: NDArray[np.generic]) -> Moments:
        first = values[0].astype(np.float64)
        apart = values.astype(np.float64) - first  # small, wherever the values lie
        mean = apart.mean(axis=0)
        apart -= mean
        # What rounding has left of the mean is taken out of the squares.
        squares = np.square(apart).sum(axis=0) - np.square(apart.sum(axis=0)) / len(values)
        return cls(len(values), first + mean, np.maximum(squares, 0.0))

    def joined(self, other: Moments) -> Moments:
        """Returns the moments of the rows of both."""
        count = self.count + other.count
        apart = other.mean - self.mean
        mean = self.mean + apart * (other.count / count)
        between = np.square(apart) * (self.count * other.count / count)
        return Moments(count, mean, self.squares + other.squares + between)

    @property
    def variance(self) -> Array:
        """The variance, of a sample: divided by one less than the count; NaN for a single row."""
        if self.count < 2:
            return np.full_like(self.mean, np.nan)
        return self.squares / (self.count - 1)

    @property
    def deviation(self) -> Array:
        """The standard deviation."""
        return np.sqrt(self.variance)

    @property
    def error(self) -> Array:
        """The standard error of the mean."""
        return np.sqrt(self.variance / self.count)

    def interval(self, confidence: float = 0.95) -> tuple[Array, Array]:
        """Returns the ends of the mean's confidence interval by Student's t; NaN for a single row."""
        margin = stats.t.ppf(0.5 + confidence / 2, df=max(self.count - 1, 1)) * self.error
        return self.mean - margin, self.mean + margin


@dataclass(eq=False)
class Pairwise:
    """Joins moments in pairs of as many parts each: rounding grows with the logarithm of their number."""

    _waiting: list[tuple[int, Moments]] = field(default_factory=list)

    def add(self, moments: Moments) -> None:
        """Takes in the moments of a further part."""
        parts = 1
        while self._waiting and self._waiting[-1][0] <= parts:
            before, other = self._waiting.pop()
            parts, moments = parts + before, other.joined(moments)
        self._waiting.append((parts, moments))

    @property
    def total(self) -> Moments:
        """The moments of all parts, one at least."""
        return _joined(moments for _, moments in reversed(self._waiting))


def _joined(moments: Iterable[Moments]) -> Moments:
    total, *others = moments
    for other in others:
        total = other.joined(total)
    return total
