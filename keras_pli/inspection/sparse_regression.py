"""Logistic regression with an L1 penalty, fitted to probabilities by accelerated proximal gradient steps."""

from __future__ import annotations

import keras
import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigh
from scipy.special import expit, softmax

Array = NDArray[np.float64]


def sparse_regression(
    features: Array,
    targets: Array,
    penalty: float,
    *,
    tolerance: float = 0.03,
    steps: int = 5000,
    verbose: int = 0,
) -> tuple[Array, Array]:
    """Minimises the mean cross-entropy under target probabilities plus penalty · ∑ |weight|.

    FISTA (Beck & Teboulle 2009), begun anew where its momentum points uphill (O'Donoghue & Candès 2015). A
    step is two products with the features, whatever the number of classes that a sample is shared by.

    Args:
        features: `(samples, features)`, of about unit variance.
        targets: Probabilities `(samples, classes)`; one column for that of the second of two classes.
        penalty: Of the weights, above 0; constants are free.
        tolerance: Steps end where no slope is further off, in units of the penalty.
        steps: Most steps.
        verbose: 1 draws a progress bar.

    Returns:
        Weights `(classes, features)`, and constants `(classes,)`.

    Example:
        >>> x = np.array([[-1.0, 0.5], [1.0, 0.5], [-1.0, -0.5], [1.0, -0.5]])
        >>> weights, constants = sparse_regression(x, np.array([[0.1], [0.9], [0.1], [0.9]]), 0.1)
        >>> weights.round(1) + 0.0
        array([[1.4, 0. ]])
    """
    single = targets.shape[1] == 1
    x = np.concatenate([features, np.ones((len(features), 1))], axis=1)
    rate = 1.0 / _smoothness(x, 0.25 if single else 0.5)
    shrink = np.full((x.shape[1], 1), rate * penalty)
    shrink[-1] = 0.0
    total = targets.sum(axis=1, keepdims=True)
    weights = ahead = np.zeros((x.shape[1], targets.shape[1]))
    momentum = 1.0
    progress = keras.utils.Progbar(None, verbose=verbose, unit_name="step")
    for _ in range(steps):
        scores = x @ ahead
        said = expit(scores) if single else total * softmax(scores, axis=1)
        moved = ahead - rate * (x.T @ (said - targets)) / len(x)
        moved = np.sign(moved) * np.maximum(np.abs(moved) - shrink, 0.0)
        off = np.abs(ahead - moved).max() / rate
        if np.sum((ahead - moved) * (moved - weights)) > 0:
            momentum = 1.0
        following = (1 + np.sqrt(1 + 4 * momentum**2)) / 2
        ahead = moved + (momentum - 1) / following * (moved - weights)
        weights, momentum = moved, following
        progress.add(1)
        if off <= tolerance * penalty:
            break
    return weights[:-1].T, weights[-1]


def _smoothness(x: Array, bend: float) -> float:
    """A bound on the loss's curvature: the greatest of the outputs times that of the features."""
    gram = x.T @ x if x.shape[1] <= len(x) else x @ x.T
    last = len(gram) - 1
    return bend * float(eigh(gram, eigvals_only=True, subset_by_index=[last, last])[0]) / len(x)
