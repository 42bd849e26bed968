"""Lanczos: a symmetric matrix that is known by its products alone, as a small tridiagonal one."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.linalg import eigh_tridiagonal

Product = Callable[[NDArray[np.float64]], ArrayLike]
# Below so small a share of the matrix's scale, what is left of a vector is rounding.
_EXHAUSTED = 1e-10


def tridiagonalized(
    product: Product, start: ArrayLike, steps: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Returns the diagonal and the off-diagonal of the matrix in the Krylov space of a vector.

    Every vector is made orthogonal to all before it, twice, so that no eigenvalue comes up again by rounding.
    It ends early where the space is exhausted.

    Args:
        product: The symmetric matrix times a vector, `(size,)` to `(size,)`.
        start: The first vector, of any length but zero.
        steps: Most products.

    Returns:
        Diagonal `(k,)` and off-diagonal `(k - 1,)`, `k` at most `steps`.

    Example:
        >>> diagonal, beside = tridiagonalized(lambda v: np.array([1.0, 3.0]) * v, [1.0, 1.0], 5)
        >>> np.round(diagonal, 6).tolist(), np.round(beside, 6).tolist()
        ([2.0, 2.0], [1.0])
    """
    vector = np.asarray(start, np.float64)
    vector = vector / np.linalg.norm(vector)
    basis = [vector]
    diagonal: list[float] = []
    beside: list[float] = []
    for _ in range(min(steps, len(vector))):
        image = np.asarray(product(basis[-1]), np.float64)
        scale = float(np.linalg.norm(image))
        diagonal.append(float(basis[-1] @ image))
        known = np.stack(basis)
        for _ in range(2):
            image = image - known.T @ (known @ image)
        length = float(np.linalg.norm(image))
        largest = max(scale, *np.abs(diagonal), *beside)
        if length <= _EXHAUSTED * largest or len(diagonal) == min(steps, len(vector)):
            break
        beside.append(length)
        basis.append(image / length)
    return np.array(diagonal), np.array(beside)


def gauss_quadrature(
    diagonal: ArrayLike, beside: ArrayLike
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Returns nodes and weights of the spectrum that a vector sees, of a tridiagonal matrix.

    For a vector v of length 1, the weighted sum of f over the nodes is v' f(H) v, exactly for polynomials up
    to degree 2k - 1 (Golub and Meurant 1994).

    Args:
        diagonal: `(k,)`.
        beside: The off-diagonal, `(k - 1,)`.

    Returns:
        Nodes, ascending, and their weights, which sum to 1; `(k,)` each.

    Example:
        >>> nodes, weights = gauss_quadrature([2.0, 2.0], [1.0])
        >>> np.round(nodes, 6).tolist(), np.round(weights, 6).tolist()
        ([1.0, 3.0], [0.5, 0.5])
    """
    nodes, vectors = eigh_tridiagonal(np.asarray(diagonal, float), np.asarray(beside, float))
    return nodes, vectors[0] ** 2
