"""Solving with a Hessian that is known by its products alone."""

from __future__ import annotations

import keras
import numpy as np
from numpy.typing import NDArray
from scipy.sparse.linalg import LinearOperator, cg

Array = NDArray[np.float64]


def solved(
    operator: LinearOperator,
    right: Array,
    *,
    tolerance: float = 1e-8,
    steps: int | None = None,
    verbose: int = 0,
) -> Array:
    """Returns the solutions for several right-hand sides, by conjugate gradients in float64.

    Args:
        operator: A symmetric positive definite operator.
        right: Right-hand sides, `(number, size)`.
        tolerance: Of the residual's norm, relative to that of the right-hand side.
        steps: Most steps for each, by default ten times the size.
        verbose: 1 draws a progress bar.

    Raises:
        ValueError: If a direction of negative curvature is met, or the steps do not suffice.

    Example:
        >>> matrix = np.array([[2.0, 1.0], [1.0, 3.0]])
        >>> from scipy.sparse.linalg import aslinearoperator
        >>> np.round(solved(aslinearoperator(matrix), np.array([[3.0, 4.0]])), 6)
        array([[1., 1.]])
    """

    def product(v: Array) -> Array:
        found = operator.matvec(v)
        curvature = float(v @ found) / max(float(v @ v), 1e-300)
        if curvature < 0:
            raise ValueError(
                f"The Hessian has a direction of curvature {curvature:.2g}: the weights are at no "
                f"minimum there. Pass more `damping`, by {-curvature:.2g}, or curvature='gauss_newton'."
            )
        return np.asarray(found)

    checked = LinearOperator(operator.shape, matvec=product, dtype=np.float64)
    found = np.zeros_like(right)
    progress = keras.utils.Progbar(len(right), verbose=verbose, unit_name="system")
    for number, side in enumerate(right):
        found[number], left = cg(checked, side, rtol=tolerance, maxiter=steps)
        if left:
            raise ValueError(
                f"Conjugate gradients did not reach a relative error of {tolerance:g} in {left} steps. Pass "
                "a larger `damping`, or more `steps`."
            )
        progress.add(1)
    return found
