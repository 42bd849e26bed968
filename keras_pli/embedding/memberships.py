"""UMAP's fuzzy memberships, undirected graphs from which edges are drawn, and the curve of its map."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import curve_fit

from ..checks import checked_number, quoted
from .affinity import find_roots
from .neighbor_graph import NeighborGraph
from .reverse_edges import chunks, reverse_values

LEAST_WIDTH = 1e-3  # of a kernel, in units of the mean distance to the neighbours, as in umap-learn
MARGIN = 1e-3  # in log β, by which brackets are widened against rounding at their ends


@dataclass(frozen=True)
class Edges:
    """An undirected weighted graph from which edges are drawn.

    An anchor i is drawn uniformly and its partner j from `conditional[i]`; what is measured on the pair
    counts with `weight[i]`. The mean over such draws is the mean over the edges of the graph, weighted as
    they are.

    Args:
        neighbors: int32 array of shape `(samples, k)`.
        conditional: float32 array of shape `(samples, k)`; each row sums to 1. A row that holds no edge has
            its 1 in the first place, and weight 0.
        weight: float32 array of shape `(samples,)` with mean 1.
    """

    neighbors: NDArray[np.int32]
    conditional: NDArray[np.float32]
    weight: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.neighbors)


def memberships(graph: NeighborGraph) -> NDArray[np.float32]:
    """Computes how far each neighbour belongs to a point's surroundings, a number in [0, 1].

    w_{j|i} = exp(−max(0, d_ij − ρ_i) / σ_i), where ρ_i is the distance to the nearest neighbour that is no
    duplicate, and σ_i lets the row sum to log₂(k + 1) (McInnes, Healy & Melville 2018, section 3.1 and
    algorithm 3). The point itself is not among the k neighbours here; umap-learn counts it, so its
    `n_neighbors` is k + 1. As there, σ_i is at least 0.001 of the mean distance in the row, the point itself
    counted. In a row that is padded, k is the number of its own neighbours, and padding gets 0.

    Args:
        graph: Neighbours and distances, as `nearest_neighbors` gives them.

    Returns:
        float32 array of shape `(samples, k)`.

    Example:
        >>> from keras_pli.embedding import nearest_neighbors
        >>> found = memberships(nearest_neighbors([[0.0], [1], [3], [7]], k=3))
        >>> found.sum(axis=1).round(4).tolist()
        [2.0, 2.0, 2.0, 2.0]
    """
    samples, k = graph.distances.shape
    found = np.empty((samples, k), dtype=np.float32)

    def solve(rows: slice) -> None:
        found[rows] = _memberships_of(graph.distances[rows].astype(np.float64))

    with ThreadPoolExecutor() as pool:  # NumPy lets go of the interpreter's lock inside exp
        list(pool.map(solve, chunks(samples, k)))
    return found


def fuzzy_union(neighbors: NDArray[np.int32], values: NDArray[np.float32]) -> Edges:
    """Unites directed memberships a and b of a pair to an undirected graph of edges w = a + b − a · b.

    This is UMAP's fuzzy union (McInnes, Healy & Melville 2018, section 3.1). With values of 1 it is the
    symmetrized graph of neighbours, whose edges all weigh the same (Damrich et al. 2023). An edge that both
    of its points list is held half in the row of each, any other one in the row that lists it; so no array
    is wider than the lists.

    Args:
        neighbors: int32 array of shape `(samples, k)`, the points that each point lists.
        values: float32 array of shape `(samples, k)`, in [0, 1]; an entry of 0 is not listed.

    Returns:
        The `Edges`.

    Raises:
        ValueError: If the shapes differ, a value lies outside [0, 1], or all are 0.

    Example:
        >>> import numpy as np
        >>> edges = fuzzy_union(np.array([[1], [0], [0]]), np.ones((3, 1)))
        >>> edges.weight.tolist()
        [0.75, 0.75, 1.5]
    """
    neighbors, values = np.asarray(neighbors, np.int32), np.asarray(values, np.float32)
    _check_values(neighbors, values)
    samples, k = neighbors.shape
    held = np.empty((samples, k), dtype=np.float32)
    totals = np.empty(samples)
    for rows, back in reverse_values(neighbors, values):
        united = values[rows] + back - values[rows] * back
        held[rows] = np.where(back > 0, united / 2, united)
        held[rows][values[rows] == 0] = 0
        totals[rows] = held[rows].sum(axis=1, dtype=np.float64)
        held[rows] /= np.where(totals[rows] > 0, totals[rows], 1)[:, None]
    held[totals == 0, 0] = 1
    return Edges(neighbors, held, (totals / totals.mean()).astype(np.float32))


def curve(min_dist: float = 0.1, spread: float = 1.0) -> tuple[float, float]:
    """Finds a and b of UMAP's similarity 1 / (1 + a d²ᵇ) of two points of a map at distance d.

    They are those that come nearest, in least squares up to three times the spread, to 1 below `min_dist`
    and exp(−(d − min_dist) / spread) above (McInnes, Healy & Melville 2018, definition 11).

    Args:
        min_dist: Distance at which points of a map may lie together, from 0 to `spread`.
        spread: Scale of the map, above 0.

    Returns:
        `(a, b)`.

    Raises:
        ValueError: If one lies elsewhere.

    Example:
        >>> a, b = curve(min_dist=0.1, spread=1.0)
        >>> round(a, 3), round(b, 3)
        (1.577, 0.895)
    """
    checked_number(min_dist, "min_dist", least=0)
    checked_number(spread, "spread", least=0)
    if not 0 < spread >= min_dist:
        raise ValueError(
            "`spread` must be above 0 and not below `min_dist`. "
            f"Received: spread={spread}, min_dist={min_dist}."
        )
    # In units of the spread, so that the fit starts near its end on every scale. At 0 all curves are 1.
    d = np.linspace(0, 3, 300)[1:]
    target = np.minimum(1, np.exp(min_dist / spread - d))
    (a, b), _ = curve_fit(lambda d, a, b: 1 / (1 + a * d ** (2 * b)), d, target, p0=(1.5, 1.0))
    return float(a / spread ** (2 * b)), float(b)


def _memberships_of(distances: NDArray[np.float64]) -> NDArray[np.float64]:
    """Memberships of some rows of distances."""
    listed = np.isfinite(distances)
    counts = listed.sum(axis=1)
    nearest = np.where(distances > 0, distances, np.inf).min(axis=1)
    nearest = np.where(np.isfinite(nearest), nearest, 0)  # of a row with nothing but duplicates
    excess = np.maximum(distances - nearest[:, None], 0)
    mean = np.where(listed, distances, 0).sum(axis=1) / (counts + 1)
    beta = _inverse_widths(excess, counts)
    with np.errstate(divide="ignore"):
        beta = np.minimum(beta, np.where(mean > 0, 1 / (LEAST_WIDTH * mean), 1))
    return np.exp(-excess * beta[:, None])


def _inverse_widths(excess: NDArray[np.float64], counts: NDArray[np.intp]) -> NDArray[np.float64]:
    """1 / σ for which a row of exp(−excess / σ) has the sum asked for; infinity where none does."""
    target = np.log2(counts + 1)
    ties = (excess == 0).sum(axis=1)
    beta = np.full(len(excess), np.inf)
    rows = np.flatnonzero(ties < target)
    if not len(rows):
        return beta
    excess, counts, ties, target = excess[rows], counts[rows], ties[rows], target[rows]
    # With all excesses at the largest one the sum is not above the true one, with all that are not 0 at the
    # smallest not below. Both solve for β.
    largest = np.where(np.isfinite(excess), excess, 0).max(axis=1)
    smallest = np.where(excess > 0, excess, np.inf).min(axis=1)
    lower = np.log(np.log(counts / target) / largest)
    upper = np.log(np.log((counts - ties) / (target - ties)) / smallest)

    def surplus(log_beta: NDArray[np.float64], index: NDArray[np.intp]) -> NDArray[np.float64]:
        return np.exp(-excess[index] * np.exp(log_beta)[:, None]).sum(axis=1) - target[index]

    beta[rows] = np.exp(find_roots(surplus, lower - MARGIN, upper + MARGIN))
    return beta


def _check_values(neighbors: NDArray[np.int32], values: NDArray[np.float32]) -> None:
    if neighbors.ndim != 2 or neighbors.shape != values.shape:
        raise ValueError(
            "Neighbours and values must both have shape (samples, k). "
            f"Received: {neighbors.shape} and {values.shape}."
        )
    wrong = np.flatnonzero(~((values >= 0) & (values <= 1)).all(axis=1))
    if len(wrong):
        raise ValueError(f"Values must lie in [0, 1], but do not in rows {quoted(wrong)}.")
    if not values.any():
        raise ValueError(f"No value of the {len(values)} rows is above 0.")
