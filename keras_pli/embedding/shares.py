"""How the points of a batch are shared out among replicas, so that together they do what one would."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from keras import ops

from ..replicas import gathered, replica_count, replica_number

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
