"""Whether numbers rise along a way."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata


def rank_correlations(values: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """Returns Spearman's rank correlation of each row with its positions, NaN for a constant row.

    Args:
        values: Shape `(samples, points)`.

    Example:
        >>> rank_correlations(np.array([[1.0, 2.0, 9.0], [3.0, 2.0, 0.0]])).tolist()
        [1.0, -1.0]
    """
    ranks = rankdata(values, axis=1)
    ranks -= ranks.mean(axis=1, keepdims=True)
    places = np.arange(values.shape[1]) - (values.shape[1] - 1) / 2
    sizes = np.sqrt((ranks**2).sum(axis=1) * (places**2).sum())
    with np.errstate(invalid="ignore"):
        found: NDArray[np.float64] = ranks @ places / sizes
    return found


def violations(values: NDArray[np.floating[Any]], tolerance: float = 0.0) -> NDArray[np.int64]:
    """Returns how often each row falls from one point to the next by more than a tolerance.

    Example:
        >>> violations(np.array([[0.1, 0.5, 0.4, 0.9, 0.8999]]), tolerance=0.001).tolist()
        [1]
    """
    falls = np.diff(np.asarray(values, np.float64), axis=1) < -tolerance
    return falls.sum(axis=1)
