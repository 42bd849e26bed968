"""What a step of a training that `tf.distribute` spreads over replicas must know of the other replicas.

Without a strategy, and on other backends, there is one replica, and everything here leaves things as they
are.
Keras adds the replicas' gradients up: a loss that is a mean is therefore divided by their number.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any

import keras

from .checks import quoted
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


def worker_count() -> int:
    """Returns over how many processes the strategy in whose scope this is called is spread.

    Example:
        >>> worker_count()
        1
    """
    if replica_count() == 1:  # and TensorFlow's default strategy would not say which devices it has
        return 1
    return replica_count() // len(_tensorflow().distribute.get_strategy().extended.worker_devices)


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
    return loss if count == 1 else loss / count


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


@contextmanager
def scope_of(model: keras.Model) -> Iterator[None]:
    """Enters the scope of the strategy that a model was made in, if there is one.

    Raises:
        ValueError: If a strategy is at work, but the model, or one within it, was made outside of its scope.

    Example:
        >>> with scope_of(keras.Sequential([keras.layers.Dense(2)])):
        ...     replica_count()
        1
    """
    if keras.backend.backend() != "tensorflow":
        yield
        return
    distribute = _tensorflow().distribute
    strategy = model.distribute_strategy
    with nullcontext() if strategy is distribute.get_strategy() else strategy.scope():
        if distribute.has_strategy():
            _check_scope(model, strategy)
        yield


def _check_scope(model: keras.Model, strategy: Any) -> None:
    optimizer = getattr(model, "optimizer", None)
    held = [*model.variables, *([] if optimizer is None else optimizer.variables)]
    inside = strategy.extended.variable_created_in_scope
    outside = [variable.path for variable in held if not inside(variable.value)]
    if outside:
        raise ValueError(
            f"A model trained by a {type(strategy).__name__} must be made, or loaded, in its scope: `with "
            f"strategy.scope(): ...`. Made outside of it: {quoted(outside)} of {model.name!r}."
        )


def _context() -> Any:
    if keras.backend.backend() != "tensorflow":
        return None
    return _tensorflow().distribute.get_replica_context()


def _tensorflow() -> Any:
    return imported("tensorflow", "Keras on TensorFlow")
