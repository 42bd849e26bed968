"""Nearest neighbours: exact, approximate, or a graph that the caller already has."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse
from sklearn.neighbors import NearestNeighbors

from ..checks import finite_array, one_of, quoted
from ..optional import imported

# N² · features up to which the exact search is taken. Measured on two cores, k = 150, each in a new
# process (`benchmarks/neighbors.py`): 60,000 × 64 exact 11 s, pynndescent 43 s, most of it compilation;
# 60,000 × 784, which is 2.8e12, exact 64 s, pynndescent 58 s.
EXACT_OPERATIONS = 3e12
# A tree beats brute force on maps of two or three components; with 10 features it takes three times as long.
TREE_FEATURES = 4
CHUNK_ENTRIES = 8_000_000  # coordinates held at a time


@dataclass(frozen=True)
class NeighborGraph:
    """For each point its nearest neighbours, nearest first, the point itself left out.

    Args:
        indices: int32 array of shape `(samples, k)`.
        distances: float32 array of shape `(samples, k)`, Euclidean unless the graph was given. An entry
            of infinity pads a row with fewer than `k` neighbours.
    """

    indices: NDArray[np.int32]
    distances: NDArray[np.float32]


def nearest_neighbors(
    z: ArrayLike,
    k: int | None = None,
    *,
    perplexity: float = 50.0,
    method: str = "auto",
    seed: int | None = None,
) -> NeighborGraph:
    """Finds each point's `k` nearest neighbours in Euclidean distance.

    The number defaults to k = min(3 · perplexity, N − 1) (Hinterreiter et al. 2020, section 2.1). A point
    is left out of its own list by its index, not by its distance, so that exact duplicates stay neighbours.

    Args:
        z: Points of shape `(samples, ...)`; further axes are flattened.
        k: Number of neighbours, or None to derive it from the perplexity.
        perplexity: Used only where `k` is None.
        method: `"exact"` (scikit-learn), `"approximate"` (pynndescent), or `"auto"`, which takes the exact
            search up to the size at which the other was measured to be faster.
        seed: Seed of the approximate search.

    Returns:
        A `NeighborGraph`.

    Raises:
        ValueError: If a point is not finite, `k` lies outside [1, samples − 1], or the method is unknown.
        ImportError: If the approximate search is taken and pynndescent cannot be imported.

    Example:
        >>> graph = nearest_neighbors([[0.0, 0], [1, 0], [5, 0]], k=1)
        >>> graph.indices.tolist()
        [[1], [0], [1]]
    """
    points = finite_array(z, "z")
    points = points.reshape(len(points), -1)
    one_of(method, ["auto", "exact", "approximate"], "method")
    if k is None:
        k = min(int(3 * perplexity), len(points) - 1)
    if not 1 <= k < len(points):
        raise ValueError(
            f"`k` must lie between 1 and samples - 1 = {len(points) - 1}. Received: {k}."
        )
    if method == "auto":
        in_tree = points.shape[1] <= TREE_FEATURES
        operations = float(len(points)) ** 2 * points.shape[1]
        method = "exact" if in_tree or operations <= EXACT_OPERATIONS else "approximate"
    search = _exact if method == "exact" else _approximate
    return search(points, k, seed)


def given_neighbors(graph: Any) -> NeighborGraph:
    """Takes a graph the caller has: a `NeighborGraph`, `(indices, distances)` or a sparse distance matrix.

    A sparse matrix holds at `[i, j]` the distance from i to its neighbour j, as
    `sklearn.neighbors.kneighbors_graph(..., mode="distance")` makes it. Entries of a point with itself are
    left out, and rows of unequal length are padded.

    Raises:
        ValueError: If shapes differ, an index is out of range or listed twice, a distance is negative or not
            a number, or a point has no neighbour.
        TypeError: If the graph is none of these.

    Example:
        >>> import numpy as np
        >>> given_neighbors((np.array([[1], [0]]), np.array([[0.5], [0.5]]))).indices.tolist()
        [[1], [0]]
    """
    if isinstance(graph, NeighborGraph):
        indices, distances = graph.indices, graph.distances
    elif sparse.issparse(graph):
        indices, distances = _rows_of(graph.tocsr())
    elif isinstance(graph, tuple | list) and len(graph) == 2:
        indices, distances = np.asarray(graph[0]), np.asarray(graph[1], dtype=np.float32)
    else:
        raise TypeError(
            "A graph of neighbours must be a NeighborGraph, a pair (indices, distances) or a sparse matrix "
            f"of distances. Received: {type(graph).__name__}."
        )
    if indices.ndim != 2 or indices.shape != distances.shape:
        raise ValueError(
            "Indices and distances of neighbours must both have shape (samples, k). "
            f"Received: {indices.shape} and {distances.shape}."
        )
    outside = np.flatnonzero(((indices < 0) | (indices >= len(indices))).any(axis=1))
    if len(outside):
        raise ValueError(f"Neighbours out of range [0, {len(indices)}) in rows {quoted(outside)}.")
    wrong = np.flatnonzero((np.isnan(distances) | (distances < 0)).any(axis=1))
    if len(wrong):
        raise ValueError(f"Negative or missing distances to neighbours in rows {quoted(wrong)}.")
    found = _without_self(indices, distances)
    listed = np.sort(np.where(np.isfinite(found.distances), found.indices, -1), axis=1)
    twice = np.flatnonzero(((listed[:, 1:] == listed[:, :-1]) & (listed[:, 1:] >= 0)).any(axis=1))
    if len(twice):
        raise ValueError(f"A neighbour is listed more than once in rows {quoted(twice)}.")
    return found


def _exact(points: NDArray[np.float32], k: int, seed: int | None) -> NeighborGraph:
    algorithm = "kd_tree" if points.shape[1] <= TREE_FEATURES else "brute"
    search = NearestNeighbors(n_neighbors=k, algorithm=algorithm, n_jobs=-1).fit(points)
    distances, indices = search.kneighbors()
    _measure_close_pairs(points, indices, distances)
    order = np.argsort(distances, axis=1, kind="stable")
    indices = np.take_along_axis(indices, order, axis=1).astype(np.int32)
    return NeighborGraph(indices, np.take_along_axis(distances, order, axis=1).astype(np.float32))


def _measure_close_pairs(
    points: NDArray[np.float32], indices: NDArray[Any], distances: NDArray[Any]
) -> None:
    """Replaces small distances, in place, by those of the differences: 0 for exact duplicates.

    Brute force expands the square, which leaves rounding of about 1e-8 of the points' norm. A kernel fitted
    to duplicates would take that for structure.
    """
    rows, columns = np.nonzero(distances < 1e-3 * np.linalg.norm(points, axis=1)[:, None])
    parts = max(1, len(rows) * points.shape[1] // CHUNK_ENTRIES)
    for part in np.array_split(np.arange(len(rows)), parts):
        i, j = rows[part], columns[part]
        distances[i, j] = np.linalg.norm(points[i] - points[indices[i, j]], axis=1)


def _approximate(points: NDArray[np.float32], k: int, seed: int | None) -> NeighborGraph:
    # It compiles for seconds at import.
    search = imported("pynndescent", "The approximate search", otherwise="take the exact one")
    # Given None, pynndescent would draw from NumPy's global generator.
    drawn = int(np.random.default_rng(seed).integers(2**31))
    index = search.NNDescent(
        points, n_neighbors=min(k + 1, len(points)), random_state=drawn, verbose=False
    )
    indices, distances = index.neighbor_graph
    missing = np.flatnonzero((indices < 0).any(axis=1))
    if len(missing):  # the search may come back short for isolated points: find theirs exactly
        found = NearestNeighbors(n_neighbors=indices.shape[1], n_jobs=-1).fit(points)
        distances[missing], indices[missing] = found.kneighbors(points[missing])
    found = _without_self(indices, distances)
    # With many duplicates a point may be missing from its own row, which is then one longer.
    return NeighborGraph(found.indices[:, :k].copy(), found.distances[:, :k].copy())


def _without_self(indices: NDArray[Any], distances: NDArray[Any]) -> NeighborGraph:
    """Sorts rows by distance and drops each point from its own row; rows shorter than others are padded."""
    distances = distances.astype(np.float32)
    own = indices == np.arange(len(indices))[:, None]
    order = np.argsort(np.where(own, np.inf, distances), axis=1, kind="stable")
    indices = np.take_along_axis(indices, order, axis=1).astype(np.int32)
    distances = np.take_along_axis(np.where(own, np.inf, distances), order, axis=1)
    listed = np.isfinite(distances)
    empty = np.flatnonzero(~listed.any(axis=1))
    if len(empty):
        raise ValueError(f"Points without any neighbour but themselves: {quoted(empty)}.")
    longest = int(listed.sum(axis=1).max(initial=1))
    return NeighborGraph(indices[:, :longest].copy(), distances[:, :longest].copy())


def _rows_of(matrix: sparse.csr_matrix) -> tuple[NDArray[Any], NDArray[Any]]:
    if matrix.shape[0] != matrix.shape[1]:
        raise ValueError(
            f"A sparse graph of neighbours must be square. Received shape {matrix.shape}."
        )
    counts = np.diff(matrix.indptr)
    samples, width = matrix.shape[0], max(int(counts.max(initial=0)), 1)
    indices = np.repeat(np.arange(samples)[:, None], width, axis=1)
    distances = np.full((samples, width), np.inf, dtype=np.float32)
    filled = np.arange(width) < counts[:, None]
    indices[filled], distances[filled] = matrix.indices, matrix.data
    return indices, distances
