"""Activations and labels as the searches for proposals take them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.decomposition import PCA
from sklearn.neighbors import NearestNeighbors

from ...checks import finite_array, label_array, quoted, real_array
from ..data_changes import is_unlabelled

Points = NDArray[np.float32]
Rows = NDArray[np.int64]
# Distances in more features than these are nearly those along the largest principal axes, and slower.
MOST_FEATURES = 64
_LEFT_ASIDE = -2
QUERIES = 4096  # points whose neighbours are looked for together
FITTED = 10_000  # points that principal axes are found from


@dataclass(frozen=True, eq=False)
class Classes:
    """Labels as numbers.

    Args:
        names: The labels that occur, sorted, -1 left out.
        codes: int64 `(n,)`: which of `names` a sample has, -1 for none, -2 where it was left aside.
    """

    names: list[Any]
    codes: Rows

    @classmethod
    def of(cls, labels: ArrayLike, samples: int) -> Classes:
        """Reads labels `(n,)`; raises ValueError if they are of another number, or none is a class."""
        array = label_array(labels, samples)
        unlabelled = is_unlabelled(array)
        if unlabelled.all():
            raise ValueError("`labels` must name the class of at least one sample; all are -1.")
        names, codes = np.unique(array[~unlabelled], return_inverse=True)
        every = np.full(samples, -1, dtype=np.int64)
        every[~unlabelled] = codes
        return cls(names.tolist(), every)

    def without(self, rows: Rows) -> Classes:
        """The same, with samples left aside: they count as neither labelled nor unlabelled."""
        codes = self.codes.copy()
        codes[rows] = _LEFT_ASIDE
        return replace(self, codes=codes)

    @property
    def labelled(self) -> Rows:
        """Rows of samples that have a label."""
        return np.flatnonzero(self.codes >= 0)

    @property
    def unlabelled(self) -> Rows:
        """Rows of samples that have none."""
        return np.flatnonzero(self.codes == -1)

    def members(self, code: int) -> Rows:
        """Rows of one class."""
        return np.flatnonzero(self.codes == code)


def points_of(z: ArrayLike, name: str = "z") -> Points:
    """Returns activations `(n, ...)` as float32 points of at most 64 features, along principal axes.

    Raises:
        ValueError: If they are not finite, or have no samples axis.
    """
    array = finite_array(z, name)
    array = array.reshape(len(array), -1)
    if array.shape[1] <= MOST_FEATURES:
        return array
    return principal(array[:: -(-len(array) // FITTED)], array)[0]


def principal(fitted: Points, *others: Points) -> list[Points]:
    """Returns points along the largest principal axes of the first, at most 64 of them."""
    components = min(MOST_FEATURES, *fitted.shape)
    # Of samples that are all equal, PCA divides by their variance for a share that nothing here reads.
    with np.errstate(divide="ignore", invalid="ignore"):
        axes = PCA(components, svd_solver="randomized", random_state=0).fit(fitted)
    return [axes.transform(points).astype(np.float32) for points in others]


def flat(values: ArrayLike, name: str) -> NDArray[Any]:
    """Returns samples `(n, features)` in their own type."""
    array = real_array(values, name)
    return array.reshape(len(array), -1)


def nearest(points: Points, k: int) -> Rows:
    """Returns each point's k nearest others, `(n, k)`, the nearest first."""
    found = nearest_of(points, points, min(k + 1, len(points)))[1]
    order = np.argsort(found == np.arange(len(points))[:, None], axis=1, kind="stable")
    return np.take_along_axis(found, order, axis=1)[:, : min(k, len(points) - 1)]


def nearest_of(queries: Points, points: Points, k: int) -> tuple[Points, Rows]:
    """Returns distances and rows of each query's k nearest points, `(queries, k)`."""
    search = NearestNeighbors(algorithm="brute").fit(points)
    parts = [
        search.kneighbors(queries[start : start + QUERIES], n_neighbors=k)
        for start in range(0, len(queries), QUERIES)
    ]
    distances, rows = (np.concatenate(part) for part in zip(*parts, strict=True))
    return distances.astype(np.float32), rows.astype(np.int64)


def predicted_codes(outputs: ArrayLike, classes: Classes) -> Rows:
    """Returns what a classifier says of each sample, as codes; -1 for a class that no label names.

    Raises:
        ValueError: If outputs are of another number of samples, have one column, or labels are no columns of
            theirs.
    """
    array = finite_array(outputs, "outputs", ndim=2)
    if len(array) != len(classes.codes):
        raise ValueError(
            f"`outputs` must have one row for each of the {len(classes.codes)} samples. "
            f"Received {len(array)} rows."
        )
    columns = array.shape[1]
    if columns == 1:
        raise ValueError(
            "`outputs` must have one column a class. Received one column; for a sigmoid p, stack 1 - p and p."
        )
    outside = [name for name in classes.names if not _is_column(name, columns)]
    if outside:
        raise ValueError(
            f"Beside `outputs`, labels must be ints in [0, {columns}), their columns. "
            f"Received: {quoted(outside)}."
        )
    code_of = np.full(columns, -1, dtype=np.int64)
    code_of[classes.names] = np.arange(len(classes.names))
    return code_of[array.argmax(axis=1)]


def _is_column(name: Any, columns: int) -> bool:
    return isinstance(name, int) and not isinstance(name, bool) and 0 <= name < columns
