"""Distances between all points of a batch, and t-SNE's sum over them, safe where points coincide."""

from __future__ import annotations

import itertools
from typing import Any

from keras import ops

Tensor = Any

MOST_PAIRS = 4_000_000  # pairs held at a time, 16 MB of them: all of a batch of 2,000


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
    each operation takes, and computed along with the sum, so that no array of all pairs is kept: they are
    gone through some rows at a time.

    Args:
        y: Map points, shape `(B, components)`.
        weight: Weights w of the points, shape `(B,)`; held constant.
    """
    column = weight[:, None]
    weighted = ops.concatenate([column, column * y], axis=1)
    parts = [_kernel_sums(y, weighted, rows) for rows in _row_blocks(y.shape[0])]
    sums, squared_sums = (ops.concatenate(part, axis=0) for part in zip(*parts, strict=True))
    slope = -4.0 * column * (squared_sums[:, :1] * y - squared_sums[:, 1:])

    def gradient(*args: Tensor, upstream: Tensor = None) -> tuple[Tensor, Tensor]:
        upstream = args[-1] if upstream is None else upstream
        return upstream * slope, ops.zeros_like(weight)

    return ops.sum(column * sums), gradient


def _kernel_sums(y: Tensor, weighted: Tensor, rows: slice) -> tuple[Tensor, Tensor]:
    """Σ_j w_j k_ij of some rows i, and Σ_j k_ij² (w_j, w_j y_j), where k_ii = 0."""
    size = y.shape[0]
    own = ops.arange(rows.start, rows.stop)[:, None] == ops.arange(size)[None, :]
    kernel = ops.where(own, 0.0, 1.0 / (1.0 + squared_distances(y[rows], y)))
    return ops.matmul(kernel, weighted[:, :1]), ops.matmul(ops.square(kernel), weighted)


def _row_blocks(size: int) -> list[slice]:
    """Parts of that many rows, as even as can be, each of a few million pairs with all of them."""
    count = -(-size * size // MOST_PAIRS)
    ends = [size * part // count for part in range(count + 1)]
    return [slice(*part) for part in itertools.pairwise(ends)]
