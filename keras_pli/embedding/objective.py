"""The t-SNE objective on a batch, with gradients in closed form and safe where points coincide.

KL(p‖q) = Σ p_ij log p_ij + Σ p_ij log(1 + ‖y_i − y_j‖²) + log Z, where Z sums the Student-t kernel over all
pairs of different points (van der Maaten & Hinton 2008, equations 4 and 5). The gradients are written out
because that takes a third of the passes over the B × B pairs which differentiating each operation takes.
"""

from __future__ import annotations

from typing import Any

from keras import ops

Tensor = Any


def squared_distances(y: Tensor) -> Tensor:
    """Squared distances between all rows of `y`, shape `(B, B)`; exactly 0 for equal rows.

    Differences are squared one component at a time, which keeps the digits that the usual expansion of
    the square loses.
    """
    total: Tensor = 0.0
    for component in range(y.shape[-1]):
        column = y[:, component]
        total = total + ops.square(column[:, None] - column[None, :])
    return total


@ops.custom_gradient
def attraction(y: Tensor, p: Tensor) -> tuple[Tensor, Any]:
    """Σ p_ij log(1 + ‖y_i − y_j‖²) over a batch.

    Args:
        y: Map points, shape `(B, components)`.
        p: Symmetric affinities, shape `(B, B)`; held constant.
    """
    distances = squared_distances(y)

    def gradient(*args: Tensor, upstream: Tensor = None) -> tuple[Tensor, Tensor]:
        upstream = args[-1] if upstream is None else upstream
        return _pull(4.0 * upstream, y, p / (1.0 + distances)), ops.zeros_like(p)

    return ops.sum(p * ops.log1p(distances)), gradient


@ops.custom_gradient
def log_partition(y: Tensor, pairs: Tensor) -> tuple[Tensor, Any]:
    """log Σ w_ij (1 + ‖y_i − y_j‖²)⁻¹ over the pairs of different points of a batch.

    Args:
        y: Map points, shape `(B, components)`.
        pairs: Symmetric weights w of shape `(B, B)`, 0 where i and j are the same point; held constant.
    """
    kernel = 1.0 / (1.0 + squared_distances(y))
    weighted = pairs * kernel
    partition = ops.sum(weighted)

    def gradient(*args: Tensor, upstream: Tensor = None) -> tuple[Tensor, Tensor]:
        upstream = args[-1] if upstream is None else upstream
        return _pull(-4.0 * upstream / partition, y, weighted * kernel), ops.zeros_like(pairs)

    return ops.log(partition), gradient


def _pull(factor: Tensor, y: Tensor, weights: Tensor) -> Tensor:
    """factor · Σ_j weights_ij (y_i − y_j) for symmetric weights."""
    return factor * (ops.sum(weights, axis=1, keepdims=True) * y - ops.matmul(weights, y))


def negative_entropy(p: Tensor) -> Tensor:
    """Σ p log p, with 0 log 0 = 0."""
    return ops.sum(ops.where(p > 0, p * ops.log(ops.maximum(p, 1e-38)), 0.0))
