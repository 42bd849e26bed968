"""Distances between all points of a batch, and t-SNE's sum over them, safe where points coincide."""

from __future__ import annotations

from typing import Any

from keras import ops

Tensor = Any


def squared_distances(y: Tensor, others: Tensor | None = None) -> Tensor:
    """Squared distances of all rows of `y` from all rows of `others`, or of `y`; exactly 0 for equal rows.

    Differences are squared one component at a time, which keeps the digits that the usual expansion of
    the square loses.
    """
    others = y if others is None else others
    total: Tensor = 0.0
    for component in range(y.shape[-1]):
        difference = y[:, component][:, None] - others[:, component][None, :]
        total = total + ops.square(difference)
    return total


def attraction(y: Tensor, columns: Tensor, p: Tensor) -> Tensor:
    """Σ p_ic log(1 + ‖y_i − y_j‖²), where j is the point of a batch that row i lists in column c.

    Args:
        y: Map points, shape `(B, components)`.
        columns: Places in the batch, int32 of shape `(B, k)`.
        p: Weights of those pairs, shape `(B, k)`.
    """
    apart = ops.sum(ops.square(y[:, None] - ops.take(y, columns, axis=0)), axis=-1)
    return ops.sum(p * ops.log1p(apart))


@ops.custom_gradient
def kernel_sum(y: Tensor, weight: Tensor) -> tuple[Tensor, Any]:
    """Σ w_i w_j (1 + ‖y_i − y_j‖²)⁻¹ over the pairs i ≠ j of a batch.

    The gradient is written out, since that takes a third of the passes over the pairs which differentiating
    each operation takes.

    Args:
        y: Map points, shape `(B, components)`.
        weight: Weights w of the points, shape `(B,)`; held constant.
    """
    size = y.shape[0]
    kernel = (1.0 - ops.eye(size, dtype=y.dtype)) / (1.0 + squared_distances(y))
    column = weight[:, None]

    def gradient(*args: Tensor, upstream: Tensor = None) -> tuple[Tensor, Tensor]:
        upstream = args[-1] if upstream is None else upstream
        sums = ops.matmul(ops.square(kernel), ops.concatenate([column, column * y], axis=1))
        return -4.0 * upstream * column * (sums[:, :1] * y - sums[:, 1:]), ops.zeros_like(weight)

    return ops.sum(column * ops.matmul(kernel, column)), gradient
