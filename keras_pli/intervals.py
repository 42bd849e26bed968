"""Means with confidence intervals over seeds."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats


def mean_interval(values: ArrayLike, confidence: float = 0.95) -> tuple[float, float, float]:
    """Returns the mean of independent values and its confidence interval, by Student's t.

    Values that are NaN are left out; with fewer than two values the interval is NaN.

    Args:
        values: Array-like of any shape, flattened.
        confidence: Coverage of the interval, in (0, 1).

    Returns:
        `(mean, low, high)`.

    Example:
        >>> mean, low, high = mean_interval([1.0, 2.0, 3.0])
        >>> round(mean, 2), round(low, 2), round(high, 2)
        (2.0, -0.48, 4.48)
    """
    values = np.asarray(values, dtype=np.float64).ravel()
    values = values[~np.isnan(values)]
    if len(values) == 0:
        return float("nan"), float("nan"), float("nan")
    mean = float(values.mean())
    if len(values) == 1:
        return mean, float("nan"), float("nan")
    error = float(values.std(ddof=1) / np.sqrt(len(values)))
    margin = float(stats.t.ppf(0.5 + confidence / 2, df=len(values) - 1)) * error
    return mean, mean - margin, mean + margin
