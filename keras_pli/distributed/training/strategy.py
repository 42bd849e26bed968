"""The strategy of several workers, as Keras 3 can train under it."""

from __future__ import annotations

import sys
from typing import Any

import keras
import tensorflow as tf

Tensor = Any


class MultiWorkerMirroredStrategy(tf.distribute.MultiWorkerMirroredStrategy):
    """Trains any Keras model on several workers by Keras's own `fit`, `evaluate` and `predict`.

    Keras 3 asks two things of a strategy that TensorFlow's own class refuses when there are several workers:
    the shapes of a batch, as the mean of a whole structure, and the mean of a step's metrics over the
    replicas, which it asks for over an axis that scalars do not have. This class answers both. Whoever else
    calls `reduce` gets what TensorFlow's own class gives.

    Each worker runs the same script with the whole data set, of which it takes its share of each batch:
    `batch_size` is that of all replicas together. Workers shuffle alike where
    `keras.utils.set_random_seed` got the same seed on each.

    Args:
        cluster_resolver: Says which workers there are, and which of them this one is; by default the
            environment variable `TF_CONFIG`. Without it there is one worker.
        communication_options: A `tf.distribute.experimental.CommunicationOptions`.

    Example:
        >>> strategy = MultiWorkerMirroredStrategy()  # before any other work of TensorFlow
        >>> with strategy.scope():
        ...     model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
        ...     model.compile("sgd", "mse")
        >>> history = model.fit(tf.ones((8, 4)), tf.ones((8, 1)), batch_size=4, verbose=0)
        >>> strategy.worker_count, strategy.is_chief
        (1, True)
    """

    @property
    def worker_count(self) -> int:
        """How many workers there are, each with as many replicas as it has devices."""
        return int(self.extended._num_workers)

    @property
    def worker_number(self) -> int:
        """Which of the workers this is, from 0."""
        return int(self.extended._id_in_cluster)

    @property
    def is_chief(self) -> bool:
        """Whether this worker is the one that writes what is written once."""
        return bool(self.extended._is_chief)

    def reduce(self, reduce_op: Any, value: Any, axis: int | None) -> Any:
        """Reduces a value over the replicas, as `tf.distribute.Strategy.reduce` does.

        Raises:
            NotImplementedError: If Keras asks for another reduction than those that it is known to need.
        """
        # Who asks decides: a vector of metrics and a caller's own per-sample losses look alike.
        caller = sys._getframe(1).f_globals.get("__name__", "")
        if not caller.startswith(_KERAS):
            return super().reduce(reduce_op, value, axis)
        asked = (str(getattr(reduce_op, "value", reduce_op)).upper(), axis)
        if asked == ("MEAN", None):
            # Of a batch, whose shapes and types alone Keras wants, to build the model.
            return tf.nest.map_structure(self._own, value)
        if asked == ("MEAN", 0) and not tf.nest.is_nested(value):  # of a metric after a step
            return super().reduce("MEAN", value, axis=None)
        raise NotImplementedError(
            f"Keras {keras.__version__} asks of a strategy what Keras 3.15 does not: reduce({reduce_op!r}, "
            f"{type(value).__name__}, axis={axis}), from {caller}. Install keras 3.15, and tell the authors "
            "of this package."
        )

    def run(self, fn: Any, *args: Any, **kwargs: Any) -> Any:
        """Runs a function on each replica, as `tf.distribute.Strategy.run` does.

        Raises:
            NotImplementedError: If Keras takes training steps within a loop of TensorFlow, where it cannot
                share gradients: `steps_per_execution` above 1.
        """
        trains = getattr(fn, "__name__", "") == "train_step" and self.num_replicas_in_sync > 1
        if trains and _is_conditional(tf.compat.v1.get_default_graph()):
            raise NotImplementedError(
                "Keras cannot train with steps_per_execution above 1 on several replicas, under any strategy "
                "(https://github.com/keras-team/keras/issues/19246). Compile with steps_per_execution=1."
            )
        return super().run(fn, *args, **kwargs)

    def _own(self, value: Any) -> Tensor:
        """Returns what the first replica of this worker has."""
        return self.experimental_local_results(value)[0]


# Where Keras's trainer is, whatever file it comes to lie in.
_KERAS = "keras.src."


def _is_conditional(graph: Any) -> bool:
    """Whether a graph, or one around it, is a branch of `tf.cond`."""
    while graph is not None:
        if type(graph).__name__ == "CondBranchFuncGraph":
            return True
        graph = getattr(graph, "outer_graph", None)
    return False
