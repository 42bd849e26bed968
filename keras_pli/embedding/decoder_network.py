"""What a decoder is made of: its network, the order in which it meets pairs, and its error."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from ..replicas import ReplicaRows, replica_count

Array = NDArray[np.float32]


class ShareOfVariance(keras.metrics.Metric):
    """Squared errors over squared targets, where targets are distances from the training points' mean."""

    def __init__(self, name: str = "error", **kwargs: Any) -> None:
        super().__init__(name=name, **kwargs)
        self.errors = self.add_weight(shape=(), initializer="zeros", name="errors")
        self.squares = self.add_weight(shape=(), initializer="zeros", name="squares")

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Adds a batch."""
        # The metric's own precision is Keras's global one.
        y_true, y_pred = (ops.cast(values, self.errors.dtype) for values in (y_true, y_pred))
        self.errors.assign_add(ops.sum(ops.square(y_true - y_pred)))
        self.squares.assign_add(ops.sum(ops.square(y_true)))

    def result(self) -> Any:
        """The share so far."""
        return self.errors / ops.maximum(self.squares, keras.config.epsilon())


class GaussianNoise(keras.layers.GaussianNoise):
    """Keras's layer; of several replicas, each adds to its rows what one replica would add to them.

    It bears the name of Keras's, under which files hold the state of its draws.
    """

    def call(self, inputs: Any, training: bool = False) -> Any:
        """Draws noise for the rows of all replicas, and takes its own."""
        if replica_count() == 1 or not training or not self.stddev:
            return super().call(inputs, training=training)
        rows = ReplicaRows.of(ops.shape(inputs)[0])
        noise = keras.random.normal(
            (rows.count, *inputs.shape[1:]),
            stddev=self.stddev,
            dtype=self.compute_dtype,
            seed=self.seed_generator,
        )
        return inputs + rows.part(noise)


class PairBatches(keras.utils.PyDataset):
    """Pairs in an order of their own in each epoch, which Keras would draw from its global seed."""

    def __init__(self, positions: Array, targets: Array, size: int, seed: int | None) -> None:
        super().__init__()
        self._positions, self._targets = positions, targets
        self._size = min(size, len(targets))
        self._random = np.random.default_rng(seed)
        self.on_epoch_end()

    def __len__(self) -> int:
        # What is left over by whole batches is among others in the next epoch.
        return len(self._targets) // self._size

    def __getitem__(self, index: int) -> tuple[dict[str, Array], Array]:
        rows = self._order[index * self._size : (index + 1) * self._size]
        return {"positions": self._positions[rows]}, self._targets[rows]

    def on_epoch_end(self) -> None:
        """Draws the order of the next epoch."""
        self._order = self._random.permutation(len(self._targets))


def decoder_network(
    components: int,
    features: int,
    *,
    hidden_units: Sequence[int],
    activation: Any,
    smoothing: float,
    seed: int | None,
) -> keras.Sequential:
    """Returns an MLP from positions to features, with noise on positions in training."""
    layers = [
        keras.Input((components,)),
        GaussianNoise(smoothing, seed=seed, dtype="float32"),
    ]
    for number, width in enumerate([*hidden_units, features]):
        start = keras.initializers.GlorotUniform(None if seed is None else seed + number)
        kind = activation if number < len(hidden_units) else None
        layers.append(keras.layers.Dense(width, kind, kernel_initializer=start, dtype="float32"))
    return keras.Sequential(layers)
