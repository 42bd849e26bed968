"""How the points of a batch are shared out among replicas, so that together they do what one would."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from ..replicas import gathered, replica_count, replica_number, total, worker_count

Tensor = Any


def shared_out(size: int, mapped: Callable[[Tensor | None], Tensor]) -> Tensor:
    """Returns the rows of a whole batch, of which each replica computes as many as the others.

    Where their number does not divide the batch, points from its beginning come once more, and are cut off.

    Args:
        size: Number of points in the batch.
        mapped: From places in the batch, int32 of shape `(places,)`, to a row for each; from None to the rows
            of all.

    Example:
        >>> import numpy as np
        >>> shared_out(3, lambda places: np.eye(3) if places is None else np.eye(3)[places]).shape
        (3, 3)
    """
    count = replica_count()
    if count == 1:
        return mapped(None)
    share = -(-size // count)
    places = (ops.arange(share, dtype="int32") + replica_number() * share) % size
    return gathered(mapped(places))[:size]


def shared_mean_square(errors: Tensor) -> Tensor:
    """Returns the mean square over the rows of all replicas, of which each has its own, and their gradient.

    Keras splits a batch into parts of different sizes where the replicas do not divide it. The value is the
    same on each replica, and divided by their number; the gradients of all add up to that of the mean.

    Args:
        errors: This replica's rows, shape `(rows, features)`; there may be none.

    Example:
        >>> float(shared_mean_square(ops.convert_to_tensor([[1.0, 3.0]])))
        5.0
    """
    squares = ops.square(errors)
    if replica_count() == 1:
        return ops.mean(squares)
    rows = ops.cast(ops.shape(errors)[0], squares.dtype)
    own = ops.sum(squares) / (total(rows) * errors.shape[-1])
    return own + ops.stop_gradient(total(own) / replica_count() - own)


def check_replicas(model: keras.Model, seed: int | None) -> None:
    """Refuses what the replicas of the strategy in scope cannot do together.

    Raises:
        ValueError: If several workers would draw without a seed, or several replicas take several steps in
            one execution, in which they cannot speak to each other.
    """
    if worker_count() > 1 and seed is None:
        raise ValueError(
            f"Several workers must draw the same batches: give `seed` a number. Received: seed=None, and "
            f"{worker_count()} workers."
        )
    if replica_count() > 1 and model.steps_per_execution > 1:
        raise ValueError(
            "Several replicas cannot take several steps in one execution. Received: "
            f"steps_per_execution={model.steps_per_execution}, and {replica_count()} replicas."
        )
