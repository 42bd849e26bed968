"""Distances between all points of a batch, and t-SNE's sum over them, safe where points coincide."""

from __future__ import annotations

from typing import Any

from keras import ops

Tensor = Any

MOST_PAIRS = 4_000_000  # held at once, in 16 MB: those of a batch of 2,000
BLOCK = 512  # rows of a larger batch that are held with all their pairs


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
    each operation takes, and computed along with the sum, so that no array of all pairs is kept.

    Args:
        y: Map points, shape `(B, components)`.
        weight: Weights w of the points, shape `(B,)`; held constant.
    """
    column = weight[:, None]
    sums, squared_sums = _kernel_sums(y, ops.concatenate([column, column * y], axis=1))
    slope = -4.0 * column * (squared_sums[:, :1] * y - squared_sums[:, 1:])

    def gradient(*args: Tensor, upstream: Tensor = None) -> tuple[Tensor, Tensor]:
        upstream = args[-1] if upstream is None else upstream
        return upstream * slope, ops.zeros_like(weight)

    return ops.sum(column * sums), gradient


def _kernel_sums(y: Tensor, weighted: Tensor) -> tuple[Tensor, Tensor]:
    """Σ_j w_j k_ij of each row i, and Σ_j k_ij² (w_j, w_j y_j), where k_ii = 0."""
    size, components = y.shape
    others = ops.arange(size, dtype="int32")[None, :]

    def sums(block: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        rows, own = block
        kernel = ops.where(own[:, None] == others, 0.0, 1.0 / (1.0 + squared_distances(rows, y)))
        return ops.matmul(kernel, weighted[:, :1]), ops.matmul(ops.square(kernel), weighted)

    if size * size <= MOST_PAIRS:
        return sums((y, others[0]))
    # A loop, since XLA would hold all of the blocks at once; the last one is filled up.
    count = -(-size // BLOCK)
    rows = ops.pad(y, [[0, count * BLOCK - size], [0, 0]])
    own = ops.arange(count * BLOCK, dtype="int32")
    blocks = ops.reshape(rows, (count, BLOCK, components)), ops.reshape(own, (count, BLOCK))
    return tuple(ops.reshape(f, (count * BLOCK, -1))[:size] for f in ops.map(sums, blocks))
