"""The second model that learns from predictions and explanations: it looks where its attention lies."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import layers
from numpy.typing import NDArray

Array = NDArray[np.float64]


def attention_student(
    shape: Sequence[int], classes: int, *, filters: Sequence[int] = (16, 32), seed: int = 0
) -> keras.Model:
    """Builds a small convolutional network that pools its maps by an attention of its own.

    The class is read from ∑ a(p) f(p) over positions p, with features f and an attention a that sums to 1. An
    explanation can teach the attention; when the network is asked, it sees the input alone.

    Args:
        shape: Shape of a sample, `(*spatial, channels)`, of one to three spatial axes.
        classes: Number of classes.
        filters: Filters of each convolution; all but the last are followed by max-pooling by two.
        seed: Seed of the weights.

    Returns:
        A model of two outputs: logits `(batch, classes)` and attention `(batch, *grid)`.

    Example:
        >>> student = attention_student((28, 28, 1), 3)
        >>> [tuple(output.shape) for output in student.outputs]
        [(None, 3), (None, 14, 14)]
    """
    rank = len(shape) - 1
    draw = iter(range(seed * 1000, seed * 1000 + 100))

    def layer(kind: str, *arguments: Any, **options: Any) -> Any:
        return getattr(layers, f"{kind}{rank}D")(*arguments, **options)

    def start() -> Any:
        return keras.initializers.HeNormal(next(draw))

    inputs = keras.Input(tuple(shape))
    maps = inputs
    for number, width in enumerate(filters):
        if number:
            maps = layer("MaxPooling", 2, padding="same")(maps)
        maps = layer("Conv", width, 5 if number else 3, padding="same", kernel_initializer=start())(
            maps
        )
        maps = layers.ReLU()(maps)
    grid = tuple(maps.shape[1:-1])
    places = layers.Reshape((int(np.prod(grid)), filters[-1]))(maps)
    scores = layers.Dense(1, kernel_initializer=start())(places)
    attention = layers.Softmax(axis=1)(scores)
    seen = layers.Flatten()(layers.Dot(axes=1)([attention, places]))
    logits = layers.Dense(classes, kernel_initializer=start(), name="logits")(seen)
    return keras.Model(inputs, [logits, layers.Reshape(grid, name="attention")(attention)])


class StudentTraining:
    """Trains a student anew as often as asked, with one trace for all trainings.

    Args:
        student: A model of two outputs, logits and attention. Its weights are changed.
        steps: Steps of each training.
        batch: Samples a step.
        rate: Adam's learning rate.
    """

    def __init__(
        self, student: keras.Model, *, steps: int, batch: int = 32, rate: float = 2e-3
    ) -> None:
        self.student, self.steps, self.batch = student, steps, batch
        self.optimizer = keras.optimizers.Adam(rate)
        self.optimizer.build(student.trainable_variables)
        self._begin = [np.asarray(v).copy() for v in self.optimizer.variables]
        self._step = tf.function(self._traced, reduce_retracing=True)

    def run(
        self,
        weights: Sequence[NDArray[Any]],
        x: NDArray[Any],
        labels: NDArray[Any],
        maps: Array | None,
        strength: float,
        seed: int,
    ) -> None:
        """Trains from given weights.

        Args:
            weights: Where it starts.
            x: Inputs.
            labels: The classes to learn.
            maps: Attention to learn, `(samples, *grid)`, each summing to 1; None for none.
            strength: Weight of the maps against the classes.
            seed: Seed of the batches.
        """
        self.student.set_weights(weights)
        for variable, value in zip(self.optimizer.variables, self._begin, strict=True):
            variable.assign(value)
        random = np.random.default_rng(seed)
        if maps is None:
            grid = self.student.outputs[1].shape[1:]
            maps, strength = np.zeros((len(x), *grid)), 0.0
        order = np.zeros(0, np.intp)
        for _ in range(self.steps):
            while len(order) < self.batch:
                order = np.concatenate([order, random.permutation(len(x))])
            rows, order = order[: self.batch], order[self.batch :]
            self._step(
                tf.constant(x[rows], tf.float32),
                tf.constant(labels[rows], tf.int32),
                tf.constant(maps[rows], tf.float32),
                tf.constant(strength, tf.float32),
            )

    def _traced(self, x: Any, labels: Any, maps: Any, strength: Any) -> None:
        variables = self.student.trainable_variables
        with tf.GradientTape() as tape:
            logits, attention = self.student(x, training=True)
            loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits))
            taught = -tf.reduce_sum(maps * tf.math.log(attention + 1e-7)) / self.batch
            loss += strength * taught
        self.optimizer.apply(tape.gradient(loss, variables), variables)


def attention_targets(maps: NDArray[Any], grid: Sequence[int]) -> Array:
    """Returns maps as attention to learn: absolute values, averaged over the grid's cells, summing to 1.

    Args:
        maps: `(samples, *spatial)`.
        grid: Cells along each axis, at most as many as positions.

    Example:
        >>> attention_targets(np.array([[0.0, -3.0, 1.0, 0.0]]), (2,))
        array([[0.75, 0.25]])
    """
    found = np.abs(maps.astype(np.float64))
    for axis, cells in enumerate(grid, start=1):
        length = found.shape[axis]
        edges = np.arange(cells) * length // cells
        sizes = np.diff(np.append(edges, length))
        sums = np.add.reduceat(found, edges, axis=axis)
        found = sums / sizes.reshape([-1 if i == axis else 1 for i in range(found.ndim)])
    total = found.reshape(len(found), -1).sum(axis=1).reshape(-1, *[1] * len(grid))
    even = 1.0 / np.prod(grid)
    return np.asarray(np.where(total > 0, found / np.where(total > 0, total, 1.0), even))
