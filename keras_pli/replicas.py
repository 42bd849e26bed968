"""What a step of a training that `tf.distribute` spreads over replicas must know of the other replicas.

Without a strategy, and on other backends, there is one replica, and all here leaves things as they are.
Keras adds the replicas' gradients up: a loss that is a mean is therefore divided by their number.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
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


def device_count() -> int:
    """Returns among how many devices `keras.distribution` shares the rows of a batch out, on JAX.

    It is one program that all of them run: a step is traced as for one device, of the whole batch.

    Example:
        >>> device_count()
        1
    """
    distribution = _distribution()
    if distribution is None:
        return 1
    mesh = distribution.device_mesh
    return int(mesh.shape[mesh.axis_names.index(distribution.batch_dim_name)])


def on_all_devices(rows: Tensor) -> Tensor:
    """Shares rows out among the devices of `keras.distribution`, whose number must divide theirs."""
    if device_count() == 1:
        return rows
    return keras.distribution.distribute_tensor(rows, _distribution().get_data_layout(rows.shape))


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
    """Returns a replica's part of the mean of all replicas' values, as the loss that Keras logs and lowers.

    Its gradient is that of `share_of_mean`. Its value is the mean of the replica's own over the number of
    replicas, which Keras takes times that number and averages over all rows.

    Example:
        >>> float(mean_loss(keras.ops.array([1.0, 3.0])))
        2.0
    """
    if replica_count() == 1:
        return keras.ops.mean(values)
    share = share_of_mean(values)
    count = keras.ops.maximum(keras.ops.cast(keras.ops.size(values), values.dtype), 1.0)
    own = shared_loss(keras.ops.sum(values) / count)
    return share + keras.ops.stop_gradient(own - share)


def made_like(model: Any) -> AbstractContextManager[Any]:
    """Returns the scope in which to make what belongs to a Keras model: of its strategy, if it has one.

    Example:
        >>> with made_like(keras.Sequential()):
        ...     replica_count()
        1
    """
    strategy = getattr(model, "_distribute_strategy", None)
    return nullcontext() if strategy is None else strategy.scope()


def replicas_of(model: Any) -> int:
    """Returns over how many replicas a step of a model's training will be spread.

    Example:
        >>> replicas_of(keras.Sequential())
        1
    """
    with made_like(model):
        return replica_count()


def of_first_worker(model: Any, number: float) -> float:
    """Returns a number as the first worker of a model's strategy has found it, for all of them.

    Example:
        >>> of_first_worker(keras.Sequential(), 0.5)
        0.5
    """
    with made_like(model):
        if worker_count() == 1:
            return number

    def of_first() -> Tensor:
        return total(keras.ops.where(replica_number() == 0, float(number), 0.0))

    strategy = model.distribute_strategy
    # In a function of TensorFlow's, outside of which replicas would meet slowly.
    found = _tensorflow().function(lambda: strategy.run(of_first))()
    return float(strategy.experimental_local_results(found)[0])


def check_scope(model: Any, variables: Sequence[Any], name: str) -> None:
    """Raises where variables that a training writes to are not under the strategy of the model.

    Args:
        model: The Keras model that is trained.
        variables: Keras variables.
        name: Whose they are, as the error calls it.

    Raises:
        ValueError: If they were made outside of its scope, or the model outside of theirs.
    """
    strategy = getattr(model, "_distribute_strategy", None)
    if strategy is None and replica_count() > 1:
        strategy = _tensorflow().distribute.get_strategy()
    if strategy is not None:
        _check_made_in(strategy, variables, name)
        return
    for variable in variables:
        others = getattr(variable.value, "distribute_strategy", None)
        if others is not None:
            raise ValueError(
                f"The {name} was made in the scope of a {type(others).__name__}, and the "
                f"{type(model).__name__} outside of it. Make both within `with strategy.scope(): ...`."
            )


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
            optimizer = getattr(model, "optimizer", None)
            held = [*model.variables, *([] if optimizer is None else optimizer.variables)]
            _check_made_in(strategy, held, repr(model.name))
        yield


def _check_made_in(strategy: Any, variables: Sequence[Any], name: str) -> None:
    inside = strategy.extended.variable_created_in_scope
    outside = [variable.path for variable in variables if not inside(variable.value)]
    if outside:
        raise ValueError(
            f"A model trained by a {type(strategy).__name__} must be made, or loaded, in its scope: `with "
            f"strategy.scope(): ...`. Made outside of it: {quoted(outside)} of {name}."
        )


def _distribution() -> Any:
    return keras.distribution.distribution() if keras.backend.backend() == "jax" else None


def _context() -> Any:
    if keras.backend.backend() != "tensorflow":
        return None
    return _tensorflow().distribute.get_replica_context()


def _tensorflow() -> Any:
    return imported("tensorflow", "Keras on TensorFlow")
