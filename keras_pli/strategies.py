"""The strategy of `tf.distribute` under which a model was made, and what does not belong to it.

Without a strategy, and on other backends, nothing here does anything.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import keras

from .checks import quoted
from .optional import imported
from .replicas import replica_count, replica_number, total

Tensor = Any


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
        ValueError: If they were made outside of its scope, or the model outside of theirs; or if this is
            called in the scope of another strategy.
    """
    strategy, entered = getattr(model, "_distribute_strategy", None), _entered_strategy()
    if strategy is not None and entered is not None and strategy is not entered:
        raise ValueError(
            f"A {type(model).__name__} is trained under the strategy that it was made under, here a "
            f"{type(strategy).__name__} of {strategy.num_replicas_in_sync} replicas. Received: the scope of "
            f"another, a {type(entered).__name__} of {entered.num_replicas_in_sync}. Load the model there, "
            "or leave that scope."
        )
    if strategy is None:
        strategy = entered
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


def check_steps(model: Any) -> None:
    """Raises where the replicas of a model's strategy would take several steps of a training at once.

    Neither Keras nor TensorFlow lets them speak to each other there.

    Raises:
        ValueError: If `steps_per_execution` is more than 1, and there are several replicas.

    Example:
        >>> model = keras.Sequential()
        >>> model.compile("sgd", "mse", steps_per_execution=2)
        >>> check_steps(model)
    """
    if replicas_of(model) > 1 and model.steps_per_execution > 1:
        raise ValueError(
            "Several replicas cannot take several steps in one execution. Received: "
            f"steps_per_execution={model.steps_per_execution}, and {replicas_of(model)} replicas."
        )


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
    optimizer = getattr(model, "optimizer", None)
    held = [*model.variables, *([] if optimizer is None else optimizer.variables)]
    check_scope(model, held, repr(model.name))
    with made_like(model):
        yield


def worker_count() -> int:
    """Returns over how many processes the strategy in whose scope this is called is spread.

    Example:
        >>> worker_count()
        1
    """
    if replica_count() == 1:  # and TensorFlow's default strategy would not say which devices it has
        return 1
    return replica_count() // len(_tensorflow().distribute.get_strategy().extended.worker_devices)


def _entered_strategy() -> Any:
    """The strategy in whose scope this is called, if any."""
    if keras.backend.backend() != "tensorflow":
        return None
    distribute = _tensorflow().distribute
    return distribute.get_strategy() if distribute.has_strategy() else None


def _check_made_in(strategy: Any, variables: Sequence[Any], name: str) -> None:
    inside = strategy.extended.variable_created_in_scope
    outside = [variable.path for variable in variables if not inside(variable.value)]
    if outside:
        raise ValueError(
            f"A model trained by a {type(strategy).__name__} must be made, or loaded, in its scope: `with "
            f"strategy.scope(): ...`. Made outside of it: {quoted(outside)} of {name}."
        )


def _tensorflow() -> Any:
    return imported("tensorflow", "Keras on TensorFlow")
