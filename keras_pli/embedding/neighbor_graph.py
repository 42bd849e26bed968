"""A graph of neighbours, and the forms in which a caller may hand one over."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from ..checks import quoted


@dataclass(frozen=True)
class NeighborGraph:
    """For each point its nearest neighbours, nearest first, the point itself left out.

    Args:
        indices: int32 array of shape `(samples, k)`.
        distances: float32 array of shape `(samples, k)`, in the metric that the neighbours were found in.
            An entry of infinity pads a row with fewer than `k` neighbours.
    """

    indices: NDArray[np.int32]
    distances: NDArray[np.float32]


def given_neighbors(graph: Any) -> NeighborGraph:
    """Takes a graph the caller has: a `NeighborGraph`, `(indices, distances)` or a sparse distance matrix.

    A sparse matrix holds at `[i, j]` the distance from i to its neighbour j, as
    `sklearn.neighbors.kneighbors_graph(..., mode="distance")` makes it. Entries of a point with itself are
    left out, and rows of unequal length are padded. A full matrix of distances is no graph yet:
    `nearest_neighbors(..., metric="precomputed")` makes one of it.

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
            "of distances; a full one goes to nearest_neighbors(..., metric='precomputed'). "
            f"Received: {type(graph).__name__}."
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
