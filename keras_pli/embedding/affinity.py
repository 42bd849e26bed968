"""Affinities p_ij: Gaussian kernels whose widths give every point the same perplexity."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from ..checks import quoted
from .neighbor_graph import NeighborGraph

CHUNK = 1024  # rows solved together: their kernels stay in the processor's cache
SUMMED = 2048  # rows whose joint affinities are summed together
MACHINE = np.finfo(np.float64)
Function = Callable[[NDArray[np.float64], NDArray[np.intp]], NDArray[np.float64]]


@dataclass(frozen=True)
class Affinities:
    """Sparse input affinities of t-SNE, held beside the lists of neighbours.

    A pair is held in the row of each point that lists the other, so no array is wider than the lists.

    Args:
        neighbors: int32 array of shape `(samples, k)`; a padded entry repeats the point itself.
        conditional: float32 array of shape `(samples, k)`, the p_{j|i}; each row sums to 1, padding is 0.
        log_sigma: float64 array, the logarithms of the kernel widths: of shape `(samples,)`, or
            `(samples, scales)` where a list of perplexities was given.
    """

    neighbors: NDArray[np.int32]
    conditional: NDArray[np.float32]
    log_sigma: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.neighbors)

    def to_sparse(self) -> sparse.csr_matrix:
        """Returns the symmetric P as a SciPy matrix of shape `(samples, samples)` that sums to 1."""
        rows = _sparse_rows(self.neighbors, self.conditional.astype(np.float64)).copy()
        joint = (rows + rows.T) / (2 * len(self))
        joint.eliminate_zeros()
        return joint.tocsr()

    @cached_property
    def negative_entropy(self) -> float:
        """Σ p_ij log p_ij, the part of the Kullback-Leibler divergence that no map can change."""
        rows = _sparse_rows(self.neighbors, self.conditional)
        columns = rows.T.tocsr()
        total = 0.0
        for start in range(0, len(self), SUMMED):
            part = slice(start, start + SUMMED)
            joint = rows[part].astype(np.float64) + columns[part].astype(np.float64)
            p = joint.data[joint.data > 0] / (2 * len(self))
            total += float(np.sum(p * np.log(p)))
        return total


def affinities(graph: NeighborGraph, *, perplexity: float | Sequence[float] = 50.0) -> Affinities:
    """Computes the input affinities of t-SNE on a graph of neighbours.

    The width σ_i of each point's kernel is found by Brent's method (Hinterreiter et al. 2020, section 2.1),
    for all points at once and in float64, such that 2 to the power of the entropy of p_{·|i} is the
    perplexity. Where that has no solution, because a point has more exact duplicates than the perplexity or
    not more neighbours, the limit is taken: equal affinities to the nearest, or to all. Nothing depends on
    the unit of the distances.

    Args:
        graph: Neighbours and distances, as `nearest_neighbors` gives them.
        perplexity: Effective number of neighbours, above 1 and below N / 3; or a list, whose conditional
            affinities are averaged (multi-scale, Kobak & Berens 2019), all over the same neighbours.

    Returns:
        The `Affinities`.

    Raises:
        ValueError: If a perplexity lies outside (1, N / 3), or the list is empty.

    Example:
        >>> import numpy as np
        >>> from keras_pli.embedding import nearest_neighbors
        >>> z = np.random.default_rng(0).normal(size=(100, 5))
        >>> p = affinities(nearest_neighbors(z, perplexity=10), perplexity=10)
        >>> entropy = -np.sum(p.conditional * np.log(p.conditional), axis=1)
        >>> np.allclose(np.exp(entropy), 10, rtol=1e-4)
        True
    """
    samples, k = graph.indices.shape
    check_perplexity(perplexity, samples)
    scales = np.atleast_1d(np.asarray(perplexity, dtype=np.float64))
    conditional = np.empty((samples, k), dtype=np.float32)
    log_sigma = np.empty((samples, len(scales)))

    def solve(start: int) -> None:
        part = slice(start, start + CHUNK)
        squared = np.square(graph.distances[part], dtype=np.float64)
        solved = [_kernels(squared, scale) for scale in scales]
        conditional[part] = np.mean([probabilities for probabilities, _ in solved], axis=0)
        log_sigma[part] = np.stack([log for _, log in solved], axis=1)

    with ThreadPoolExecutor() as pool:  # NumPy lets go of the interpreter's lock inside exp
        for _ in pool.map(solve, range(0, samples, CHUNK)):
            pass
    return Affinities(
        _padding_points_home(graph),
        conditional,
        log_sigma if np.ndim(perplexity) else log_sigma[:, 0],
    )


def check_perplexity(perplexity: float | Sequence[float], samples: int | None = None) -> None:
    """Raises a ValueError unless 1 < perplexity < samples / 3, where k = 3 · perplexity neighbours exist.

    Args:
        perplexity: A number or several.
        samples: Number of points, or None where it is not known yet.
    """
    given = np.atleast_1d(np.asarray(perplexity, dtype=np.float64))
    if given.ndim > 1 or not len(given):
        raise ValueError(
            f"`perplexity` must be a number or a list of at least one. Received: {perplexity}."
        )
    most = np.inf if samples is None else samples / 3
    if not ((given > 1) & (given < most)).all():
        below = f" and below a third of the {samples} points ({most:.6g})" if samples else ""
        raise ValueError(f"`perplexity` must be above 1{below}. Received: {perplexity}.")


def find_roots(
    function: Function,
    lower: NDArray[np.float64],
    upper: NDArray[np.float64],
    *,
    tolerance: float = 1e-9,
) -> NDArray[np.float64]:
    """Finds one root in each bracket by Brent's method (Brent 1973, chapter 4), for many at once.

    Every bracket goes through the same steps as in the scalar method: inverse quadratic interpolation or
    the secant where they converge, bisection where they do not. Solved ones leave the computation.

    Args:
        function: Called as `function(x, rows)` with float64 arrays of the same length, where `rows` says
            which of the problems the entries of `x` belong to; returns the values there.
        lower: Lower ends, shape `(problems,)`.
        upper: Upper ends; the function's signs at the two ends must differ.
        tolerance: Absolute error allowed in a root.

    Returns:
        float64 array of shape `(problems,)`.

    Raises:
        ValueError: If a bracket's ends have values of the same sign.

    Example:
        >>> import numpy as np
        >>> c = np.array([2.0, 9.0])
        >>> find_roots(lambda x, rows: x**2 - c[rows], np.zeros(2), np.full(2, 10.0)).round(6).tolist()
        [1.414214, 3.0]
    """
    rows = np.arange(len(lower))
    a, b = lower.astype(np.float64), upper.astype(np.float64)
    fa, fb = function(a, rows), function(b, rows)
    wrong = np.flatnonzero(np.sign(fa) * np.sign(fb) > 0)
    if len(wrong):
        raise ValueError(
            f"The function has the same sign at both ends of brackets {quoted(wrong)}."
        )
    roots = b.copy()
    c, fc = a.copy(), fa.copy()
    step = previous = b - a
    while len(rows):
        # b is the best estimate, a the one before it, and the root lies between b and c.
        outside = np.sign(fb) == np.sign(fc)
        c, fc = np.where(outside, a, c), np.where(outside, fa, fc)
        step, previous = np.where(outside, b - a, step), np.where(outside, b - a, previous)
        swap = np.abs(fc) < np.abs(fb)
        a, b, c = np.where(swap, b, a), np.where(swap, c, b), np.where(swap, b, c)
        fa, fb, fc = np.where(swap, fb, fa), np.where(swap, fc, fb), np.where(swap, fb, fc)

        allowed = 2 * MACHINE.eps * np.abs(b) + tolerance / 2
        half = (c - b) / 2
        done = (np.abs(half) <= allowed) | (fb == 0)
        roots[rows[done]] = b[done]
        live = ~done
        rows, half, allowed = rows[live], half[live], allowed[live]
        a, b, c, fa, fb, fc = (array[live] for array in (a, b, c, fa, fb, fc))
        step, previous = _brent_step(
            (a, b, c), (fa, fb, fc), half, allowed, step[live], previous[live]
        )

        a, fa = b, fb
        b = b + np.where(np.abs(step) > allowed, step, np.copysign(allowed, half))
        fb = function(b, rows)
    return roots


def _brent_step(
    x: tuple[NDArray[np.float64], ...],
    f: tuple[NDArray[np.float64], ...],
    half: NDArray[np.float64],
    allowed: NDArray[np.float64],
    step: NDArray[np.float64],
    previous: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The next step from b and the one it followed: interpolated where safe, else half the bracket."""
    (a, b, c), (fa, fb, fc) = x, f
    with np.errstate(divide="ignore", invalid="ignore"):
        s, q, r = fb / fa, fa / fc, fb / fc
        secant = a == c
        numerator = np.where(secant, 2 * half * s, s * (2 * half * q * (q - r) - (b - a) * (r - 1)))
        denominator = np.where(secant, 1 - s, (q - 1) * (r - 1) * (s - 1))
    denominator = np.where(numerator > 0, -denominator, denominator)
    numerator = np.abs(numerator)
    safe = (
        (np.abs(previous) >= allowed)
        & (np.abs(fa) > np.abs(fb))
        & (2 * numerator < 3 * half * denominator - np.abs(allowed * denominator))
        & (numerator < np.abs(previous * denominator / 2))
    )
    with np.errstate(divide="ignore", invalid="ignore"):
        interpolated = numerator / denominator
    return np.where(safe, interpolated, half), np.where(safe, step, half)


def _kernels(
    squared: NDArray[np.float64], perplexity: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Conditional probabilities and log σ of some rows of squared distances."""
    excess = squared - squared.min(axis=1, keepdims=True)
    finite = np.isfinite(excess)
    counts = finite.sum(axis=1)
    # In units of each row's own mean, the solution lies within a few powers of e whatever the data's scale.
    scale = np.where(finite, excess, 0).sum(axis=1) / np.maximum(counts, 1)
    ties = (excess == 0).sum(axis=1)
    solvable = (ties < perplexity) & (counts > perplexity)
    excess = np.where(finite, excess / np.where(scale > 0, scale, 1)[:, None], np.inf)

    rows = np.flatnonzero(solvable)
    target = np.log(perplexity)

    def surplus(log_beta: NDArray[np.float64], index: NDArray[np.intp]) -> NDArray[np.float64]:
        return _entropy(excess[rows[index]], log_beta) - target

    lower, upper = _brackets(surplus, len(rows))
    log_beta = np.where(ties >= perplexity, np.inf, -np.inf).astype(np.float64)
    log_beta[rows] = find_roots(surplus, lower, upper)
    weights = _weights(excess, log_beta)
    probabilities = weights / weights.sum(axis=1, keepdims=True)
    # β = 1 / 2σ² in the row's units
    log_sigma = 0.5 * (np.log(np.where(scale > 0, scale, 1)) - np.log(2) - log_beta)
    return probabilities, log_sigma


def _brackets(surplus: Function, problems: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Widens an interval of log β around 0 until the entropy passes the target within it."""
    lower, upper = np.full(problems, -1.0), np.full(problems, 2.0)
    for end, direction in ((lower, -1.0), (upper, 1.0)):
        rows, width = np.arange(problems), 1.0
        while len(rows):
            # entropy falls with β: above the target at the lower end, below it at the upper
            rows = rows[direction * surplus(end[rows], rows) > 0]
            end[rows] += direction * width
            width *= 2
    return lower, upper


def _weights(excess: NDArray[np.float64], log_beta: NDArray[np.float64]) -> NDArray[np.float64]:
    # β = 0 and β = ∞ are the two limits: equal weights for all, or for the nearest alone.
    with np.errstate(invalid="ignore", over="ignore"):
        exponent = excess * np.exp(log_beta)[:, None]
    exponent = np.where(excess == 0, 0.0, exponent)
    return np.where(np.isfinite(excess), np.exp(-np.where(np.isnan(exponent), 0.0, exponent)), 0.0)


def _entropy(excess: NDArray[np.float64], log_beta: NDArray[np.float64]) -> NDArray[np.float64]:
    """Entropy in nats of weights exp(−β · excess): log Σw + β Σ w · excess / Σw."""
    finite = np.where(np.isfinite(excess), excess, MACHINE.max)
    with np.errstate(over="ignore", under="ignore"):
        exponent = np.minimum(finite * np.exp(log_beta)[:, None], 745.0)
        weights = np.where(np.isfinite(excess), np.exp(-exponent), 0.0)
    total = weights.sum(axis=1)
    return np.log(total) + np.einsum("ij,ij->i", weights, exponent) / total


def _padding_points_home(graph: NeighborGraph) -> NDArray[np.int32]:
    """The lists of neighbours, each padded entry being the point itself."""
    neighbors = np.asarray(graph.indices, dtype=np.int32)
    for start in range(0, len(neighbors), CHUNK):
        rows, places = np.nonzero(~np.isfinite(graph.distances[start : start + CHUNK]))
        if len(rows):
            neighbors = neighbors.copy() if neighbors is graph.indices else neighbors
            neighbors[start + rows, places] = start + rows
    return neighbors


def _sparse_rows(neighbors: NDArray[np.int32], values: NDArray[np.floating]) -> sparse.csr_matrix:
    """A matrix that shares the arrays, which SciPy would sort in place where that is asked of it."""
    samples, k = neighbors.shape
    pointers = np.arange(0, samples * k + 1, k)
    return sparse.csr_matrix(
        (values.ravel(), neighbors.ravel(), pointers), shape=(samples, samples)
    )
