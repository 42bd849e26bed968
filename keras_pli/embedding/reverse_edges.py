"""Lists of neighbours read from the other end: what the neighbours of a point say of it."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

CHUNK_ENTRIES = 250_000  # worked through together: they stay in the processor's cache


def chunks(samples: int, k: int) -> list[slice]:
    """Slices of rows of an array of shape `(samples, k)`."""
    height = max(1, CHUNK_ENTRIES // k)
    return [slice(start, min(start + height, samples)) for start in range(0, samples, height)]


def reverse_values(
    neighbors: NDArray[np.int32], values: NDArray[np.float32]
) -> Iterator[tuple[slice, NDArray[np.float32]]]:
    """Yields slices of rows, and for each of their entries the value of the same pair in the neighbour's row.

    Args:
        neighbors: int32 array of shape `(samples, k)`, the points that each point lists.
        values: float32 array of shape `(samples, k)`; an entry of 0 is not listed.

    Example:
        >>> neighbors = np.array([[1], [0], [0]], dtype=np.int32)
        >>> [back.tolist() for _, back in reverse_values(neighbors, np.array([[0.25], [0.5], [0.125]]))]
        [[[0.5], [0.25], [0.0]]]
    """
    samples, k = neighbors.shape
    columns = _listed(neighbors, values).tocsc()  # column i: which points list i, in their order
    for part in chunks(samples, k):
        yield part, _from_the_other_end(part, neighbors[part], columns)


def _listed(neighbors: NDArray[np.int32], values: NDArray[np.float32]) -> sparse.csr_matrix:
    """The entries above 0; where all are, without a copy of them."""
    samples, k = neighbors.shape
    counts = np.count_nonzero(values > 0, axis=1)
    if counts.min() == k:
        entries = values.ravel(), neighbors.ravel()
    else:
        listed = values > 0
        entries = values[listed], neighbors[listed]
    pointers = np.concatenate([[0], np.cumsum(counts)])
    return sparse.csr_matrix((*entries, pointers), shape=(samples, samples))


def _from_the_other_end(
    part: slice, neighbors: NDArray[np.int32], columns: sparse.csc_matrix
) -> NDArray[np.float32]:
    samples = columns.shape[0]
    pointers = columns.indptr[part.start : part.stop + 1]
    held = slice(pointers[0], pointers[-1])
    if held.start == held.stop:  # nobody lists any of these points
        return np.zeros(neighbors.shape, dtype=columns.dtype)
    points = np.arange(part.start, part.stop, dtype=np.int64)
    keys = np.repeat(points * samples, np.diff(pointers)) + columns.indices[held]
    wanted = points[:, None] * samples + neighbors
    place = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    return np.where(keys[place] == wanted, columns.data[held][place], columns.dtype.type(0))
