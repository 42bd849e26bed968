"""Searches for nearest neighbours: exact, approximate, and in a matrix of distances."""

from __future__ import annotations

from threading import Lock
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray
from sklearn.neighbors import NearestNeighbors

from ..checks import quoted
from ..optional import imported
from .neighbor_graph import NeighborGraph

# A tree beats brute force on maps of two or three components; with 10 features it takes three times as long.
TREE_FEATURES = 4
CHUNK_ENTRIES = 4_000_000  # coordinates or distances held at a time
QUERIES = 8192  # points whose neighbours are looked for together
LONG_OPERATIONS = (
    2e11  # N² · features from which the exact search takes some ten seconds on two cores
)
# Candidates that the descent compares for each point. Its workspace grows with the square of them: at
# 60,000 × 64 and k = 150, 60 (its default) take 1.1 GB and 30 take 0.4 GB. Recall on 30,000 × 784 pixels is
# .9999 and .9994, in half the time; on a Gaussian of 64 features .992 and .957, neighbours .1 percent
# farther away.
CANDIDATES = 30
# Its threads run in Numba's pool, which ends the process where two threads enter it at once.
_ONE_AT_A_TIME = Lock()


def exact(points: NDArray[np.float32], k: int, *, verbose: Any = False) -> NeighborGraph:
    """Each point's k nearest others, by brute force or a tree; `verbose` shows how long searches get on."""
    samples = len(points)
    found = _empty_graph(samples, k)
    long = float(samples) ** 2 * points.shape[1] >= LONG_OPERATIONS
    parts = range(0, samples, QUERIES)
    progress = keras.utils.Progbar(
        len(parts), verbose=int(bool(verbose) and long), unit_name="chunk of neighbours"
    )
    fitted = _fitted(points)
    for start in parts:
        rows = np.arange(start, min(start + QUERIES, samples))
        found.indices[rows], found.distances[rows] = _exact_rows(fitted, points, rows, k)
        progress.add(1)
    return found


def approximate(
    points: NDArray[np.float32], k: int, *, seed: int | None = None, verbose: Any = False
) -> NeighborGraph:
    """Each point's nearest others by nearest-neighbour descent; `verbose` as pynndescent shows it."""
    # It compiles for seconds at import.
    search = imported("pynndescent", "The approximate search", otherwise="take the exact one")
    # Given None, pynndescent would draw from NumPy's global generator.
    drawn = int(np.random.default_rng(seed).integers(2**31))
    with _ONE_AT_A_TIME:
        indices, distances = search.NNDescent(
            points,
            n_neighbors=k + 1,
            max_candidates=min(CANDIDATES, k + 1),
            random_state=drawn,
            verbose=bool(verbose),
        ).neighbor_graph
    found = _empty_graph(len(points), k)
    # It may come back short for isolated points, and without a point itself where there are duplicates.
    short = (indices < 0).any(axis=1) | ~np.isfinite(distances).all(axis=1)
    for start in range(0, len(points), QUERIES):
        rows = np.arange(start, min(start + QUERIES, len(points)))
        nearest = _nearest(rows, indices[rows], distances[rows], k)
        found.indices[rows], found.distances[rows] = nearest
    missing = np.flatnonzero(short)
    if len(missing):
        fitted = _fitted(points)
        for rows in np.array_split(missing, -(-len(missing) // QUERIES)):
            found.indices[rows], found.distances[rows] = _exact_rows(fitted, points, rows, k)
    return found


def among_distances(distances: NDArray[Any], k: int) -> NeighborGraph:
    """The k others at the smallest distances in each row of a square matrix, which need not be symmetric.

    Raises:
        ValueError: If the matrix is not square, or a distance is negative.
    """
    samples = len(distances)
    if distances.shape != (samples, samples):
        raise ValueError(f"A matrix of distances must be square. Received shape {distances.shape}.")
    found = _empty_graph(samples, k)
    step = max(1, CHUNK_ENTRIES // samples)
    negative: list[int] = []
    for start in range(0, samples, step):
        rows = np.arange(start, min(start + step, samples))
        held = np.array(distances[start : start + step], dtype=np.float64)
        negative += rows[(held < 0).any(axis=1)].tolist()
        held[np.arange(len(rows)), rows] = np.inf
        indices = np.argpartition(held, k - 1, axis=1)[:, :k]
        nearest = _nearest(rows, indices, np.take_along_axis(held, indices, axis=1), k)
        found.indices[rows], found.distances[rows] = nearest
    if negative:
        raise ValueError(f"Negative distances in rows {quoted(negative)}.")
    return found


def _empty_graph(samples: int, k: int) -> NeighborGraph:
    return NeighborGraph(np.empty((samples, k), np.int32), np.empty((samples, k), np.float32))


def _fitted(points: NDArray[np.float32]) -> NearestNeighbors:
    algorithm = "kd_tree" if points.shape[1] <= TREE_FEATURES else "brute"
    return NearestNeighbors(algorithm=algorithm, n_jobs=-1).fit(points)


def _exact_rows(
    fitted: NearestNeighbors, points: NDArray[np.float32], rows: NDArray[np.intp], k: int
) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    distances, indices = fitted.kneighbors(points[rows], n_neighbors=k + 1)
    _measure_close_pairs(points, rows, indices, distances)
    return _nearest(rows, indices, distances, k)


def _measure_close_pairs(
    points: NDArray[np.float32],
    rows: NDArray[np.intp],
    indices: NDArray[Any],
    distances: NDArray[Any],
) -> None:
    """Replaces small distances, in place, by those of the differences: 0 for exact duplicates.

    Brute force expands the square, which leaves rounding of about 1e-8 of the points' norm. A kernel fitted
    to duplicates would take that for structure.
    """
    norms = np.linalg.norm(points[rows], axis=1)
    near, columns = np.nonzero(distances < 1e-3 * norms[:, None])
    parts = max(1, len(near) * points.shape[1] // CHUNK_ENTRIES)
    for part in np.array_split(np.arange(len(near)), parts):
        i, j = near[part], columns[part]
        distances[i, j] = np.linalg.norm(points[rows[i]] - points[indices[i, j]], axis=1)


def _nearest(
    rows: NDArray[np.intp], indices: NDArray[Any], distances: NDArray[Any], k: int
) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """The k nearest of each row's candidates in order, the point itself left out.

    A point with many duplicates may be missing among its own candidates; the farthest is left out then.
    """
    distances = np.where(indices == rows[:, None], np.inf, distances)
    order = np.argsort(distances, axis=1, kind="stable")[:, :k]
    return (
        np.take_along_axis(indices, order, axis=1).astype(np.int32),
        np.take_along_axis(distances, order, axis=1).astype(np.float32),
    )
