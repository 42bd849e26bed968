"""Nearest neighbours of points, in the metric and by the search that the caller asks for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse

from ..checks import one_of, real_array
from .neighbor_graph import NeighborGraph, given_neighbors
from .points import centred_points, to_unit_length
from .search import TREE_FEATURES, among_distances, approximate, exact

__all__ = ["NeighborGraph", "given_neighbors", "nearest_neighbors"]

METHODS = ["auto", "exact", "approximate"]
METRICS = ["euclidean", "cosine", "precomputed"]
# N² · features up to which the exact search is taken. Measured on two cores, k = 150, each in a new
# process (`benchmarks/neighbors.py`): 60,000 × 64 exact 11 s, pynndescent 43 s, most of it compilation;
# 60,000 × 784, which is 2.8e12, exact 64 s, pynndescent 58 s.
EXACT_OPERATIONS = 3e12


def nearest_neighbors(
    z: ArrayLike,
    k: int | None = None,
    *,
    perplexity: float | Sequence[float] = 50.0,
    method: str = "auto",
    metric: str = "euclidean",
    seed: int | None = None,
    verbose: Any = False,
) -> NeighborGraph:
    """Finds each point's `k` nearest neighbours.

    The number defaults to k = min(3 · perplexity, N − 1) (Hinterreiter et al. 2020, section 2.1). A point
    is left out of its own list by its index, not by its distance, so that exact duplicates stay neighbours.
    Points are centred in float64, so that their offset and their unit do not matter, and read some rows at a
    time.

    Args:
        z: Points of shape `(samples, ...)`, memory-mapped or not; further axes are flattened. With
            `metric="precomputed"` their distances, of shape `(samples, samples)`, row by row and symmetric
            or not; a sparse matrix is taken as by `given_neighbors`, rows being cut to the `k` nearest.
        k: Number of neighbours, or None to derive it from the perplexity.
        perplexity: Used only where `k` is None; of several, the largest counts.
        method: `"exact"` (scikit-learn), `"approximate"` (pynndescent), or `"auto"`, which takes the exact
            search up to the size at which the other was measured to be faster.
        metric: `"euclidean"`; `"cosine"`, one minus the cosine of the angle seen from the origin; or
            `"precomputed"`.
        seed: Seed of the approximate search.
        verbose: Whether a search that takes some ten seconds or more shows its progress.

    Returns:
        A `NeighborGraph`. Distances are in the unit of the points; where float32 could not hold them, in a
        power of two of it, which no affinity depends on.

    Raises:
        ValueError: If a point is not finite, a row is 0 where the cosine is asked for, distances are
            negative or not square, `k` lies outside [1, samples − 1], or method or metric is unknown.
        ImportError: If the approximate search is taken and pynndescent cannot be imported.

    Example:
        >>> graph = nearest_neighbors([[0.0, 0], [1, 0], [5, 0]], k=1)
        >>> graph.indices.tolist()
        [[1], [0], [1]]
        >>> nearest_neighbors([[1.0, 0], [5, 0], [0, 2]], k=1, metric="cosine").indices[:2].tolist()
        [[1], [0]]
    """
    one_of(method, METHODS, "method")
    if one_of(metric, METRICS, "metric") == "precomputed":
        return _precomputed(z, k, perplexity, method)
    array = real_array(z, "z")
    k = _count(k, perplexity, len(array))
    points = centred_points(array, to_unit_length(array) if metric == "cosine" else None)
    if method == "auto":
        samples, features = points.values.shape
        operations = float(samples) ** 2 * features
        small = features <= TREE_FEATURES or operations <= EXACT_OPERATIONS
        method = "exact" if small else "approximate"
    if method == "exact":
        found = exact(points.values, k, verbose=verbose)
    else:
        found = approximate(points.values, k, seed=seed, verbose=verbose)
    _restore_unit(found.distances, points.exponent, cosine=metric == "cosine")
    return found


def _count(k: int | None, perplexity: float | Sequence[float], samples: int) -> int:
    if k is None:
        k = min(int(3 * np.max(perplexity)), samples - 1)
    if not 1 <= k < samples:
        raise ValueError(f"`k` must lie between 1 and samples - 1 = {samples - 1}. Received: {k}.")
    return k


def _precomputed(
    z: Any, k: int | None, perplexity: float | Sequence[float], method: str
) -> NeighborGraph:
    if method == "approximate":
        raise ValueError(
            "Among precomputed distances the search is exact. Received: 'approximate'."
        )
    if sparse.issparse(z):
        found = given_neighbors(z)
        k = _count(k, perplexity, len(found.indices))
        return NeighborGraph(found.indices[:, :k].copy(), found.distances[:, :k].copy())
    distances = real_array(z, "z", ndim=2)
    return among_distances(distances, _count(k, perplexity, len(distances)))


def _restore_unit(distances: NDArray[np.float32], exponent: int, *, cosine: bool) -> None:
    """Brings distances of scaled points back to the caller's unit, in place."""
    if (
        cosine
    ):  # ‖a − b‖² = 2 (1 − cos) on the unit sphere, without the difference that loses digits
        np.square(distances, out=distances)
        exponent = 2 * exponent - 1
    largest = np.log2(max(float(distances.max()), 1e-30)) + exponent
    if -100 < largest < 126:
        np.ldexp(distances, exponent, out=distances)
