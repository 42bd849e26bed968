"""What a step of a training that `tf.distribute` spreads over replicas must know of the other replicas.

Without a strategy, and on other backends, there is one replica, and all here leaves things as they are.
Keras adds the replicas' gradients up: a loss that is a mean is therefore divided by their number.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import keras

from .optional import imported

Tensor = Any


def replica_count() -> int:
    """Returns over how many replicas the step that is traced or run now is spread.

    Example:
        >>> replica_count()
        1
    """
    if keras.backend.backend() != "tensorflow":
        return 1
    return int(_tensorflow().distribute.get_strategy().num_replicas_in_sync)


def replica_number() -> Tensor:
    """Returns which of the replicas this is, from 0; outside a step, the first."""
    context = _context()
    return 0 if context is None else context.replica_id_in_sync_group


def shared_loss(loss: Tensor) -> Tensor:
    """Returns a replica's part of a loss that is the mean over replicas.

    Example:
        >>> shared_loss(3.0)
        3.0
    """
    count = replica_count()
    # As Keras divides its own losses, to the last bit.
    return loss if count == 1 else loss * (1.0 / count)


def share_of_mean(values: Tensor) -> Tensor:
    """Returns a replica's part of the mean of all replicas' values; the parts add up to it.

    Exact also where replicas have different numbers of rows, or one of them none.

    Example:
        >>> float(share_of_mean(keras.ops.array([1.0, 3.0])))
        2.0
    """
    if replica_count() == 1:
        return keras.ops.mean(values)
    return keras.ops.sum(values) / total(keras.ops.cast(keras.ops.size(values), values.dtype))


def mean_loss(values: Tensor) -> Tensor:
    """Returns a replica's part of the mean of all replicas' values, as the loss that Keras lowers and logs.

    Its gradient is that of `share_of_mean`. Its value is the same on all replicas, so that the mean that
    Keras logs is right, however many rows each has.

    Example:
        >>> float(mean_loss(keras.ops.array([1.0, 3.0])))
        2.0
    """
    share = share_of_mean(values)
    if replica_count() == 1:
        return share
    return share + keras.ops.stop_gradient(shared_loss(total(share)) - share)


@dataclass(frozen=True)
class ReplicaRows:
    """Which rows of the batch of all replicas are this replica's.

    Args:
        count: Rows of all.
        first: The first of this replica's.
        own: How many it has.
    """

    count: Tensor
    first: Tensor
    own: Tensor

    @classmethod
    def even(cls, own: Tensor) -> ReplicaRows:
        """The rows of a replica where each has as many.

        Example:
            >>> ReplicaRows.even(4)
            ReplicaRows(count=4, first=0, own=4)
        """
        return cls(own * replica_count(), own * replica_number(), own)

    @classmethod
    def of(cls, own: Tensor) -> ReplicaRows:
        """The rows of a replica where others may have more or fewer, as they tell each other."""
        count = replica_count()
        if count == 1:
            return cls.even(own)
        each = gathered(keras.ops.reshape(own, (1,)))
        before = keras.ops.arange(count) < replica_number()
        first = keras.ops.sum(keras.ops.where(before, each, 0))
        return cls(keras.ops.sum(each), first, own)

    def part(self, drawn: Tensor, groups: int = 1) -> Tensor:
        """Returns this replica's rows of what was drawn for all, in each of so many batches in a row."""
        if replica_count() == 1:
            return drawn
        shape = tuple(drawn.shape[1:])
        grouped = keras.ops.reshape(drawn, (groups, self.count, *shape))
        return keras.ops.reshape(grouped[:, self.first : self.first + self.own], (-1, *shape))


def gathered(own: Tensor) -> Tensor:
    """Returns the rows of all replicas, in their order; gradients go back to each replica's own.

    Args:
        own: Rows of this replica, as many as each of the others has.
    """
    context = _context()
    if context is None or replica_count() == 1:
        return own
    rows = context.all_gather(own, axis=0)
    if own.shape[0] is not None:
        rows.set_shape((own.shape[0] * replica_count(), *own.shape[1:]))
    return rows


def total(own: Tensor) -> Tensor:
    """Returns the sum of a tensor over the replicas, for all of them."""
    context = _context()
    if context is None or replica_count() == 1:
        return own
    return context.all_reduce(_tensorflow().distribute.ReduceOp.SUM, own)


def assign_all(variables: Sequence[Any], values: Sequence[Tensor]) -> None:
    """Assigns values that are the same on all replicas, each on its own copy of a variable."""
    context = _context()
    if context is None or replica_count() == 1:
        for variable, value in zip(variables, values, strict=True):
            variable.assign(value)
        return
    held = [getattr(variable, "value", variable) for variable in variables]

    def assign(strategy: Any, values: Sequence[Tensor]) -> None:
        for variable, value in zip(held, values, strict=True):
            strategy.extended.update(
                variable, lambda own, now: own.assign(now), args=(value,), group=False
            )

    context.merge_call(assign, args=(list(values),))


def _context() -> Any:
    if keras.backend.backend() != "tensorflow":
        return None
    return _tensorflow().distribute.get_replica_context()


@cache  # AutoGraph leaves what is cached alone; it cannot read Python's own importing, and says so
def _tensorflow() -> Any:
    return imported("tensorflow", "Keras on TensorFlow")
