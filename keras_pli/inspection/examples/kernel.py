"""The Gaussian kernel between rows of an array, some rows at a time."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import cdist, pdist

Array = NDArray[np.float64]
_HELD = 2**24  # kernel values held at a time
_MEDIAN_OF = 1000


def median_gamma(z: Array, *, seed: int = 0) -> float:
    """Returns γ = 1 / median ‖x − y‖² over all pairs, of 1,000 rows drawn at random where there are more.

    1 where all rows are the same.

    Example:
        >>> median_gamma(np.array([[0.0], [1.0], [2.0]]))
        1.0
    """
    if len(z) < 2:
        return 1.0
    if len(z) > _MEDIAN_OF:
        z = z[np.random.default_rng(seed).choice(len(z), _MEDIAN_OF, replace=False)]
    distances = pdist(z, "sqeuclidean")
    # Where most rows are copies the median is 0.
    median = np.median(distances) or distances.mean()
    return float(1.0 / median) if median > 0 else 1.0


def gaussian(x: Array, y: Array, gamma: float) -> Array:
    """Returns exp(−γ ‖x − y‖²) of all pairs, `(rows of x, rows of y)`."""
    return np.asarray(np.exp(-gamma * cdist(x, y, "sqeuclidean")))


def kernel_means(z: Array, gamma: float) -> Array:
    """Returns the mean of each row's kernel with all rows, itself among them, `(rows,)`."""
    size = max(1, _HELD // len(z))
    parts = [
        gaussian(z[start : start + size], z, gamma).mean(axis=1) for start in range(0, len(z), size)
    ]
    return np.concatenate(parts)
