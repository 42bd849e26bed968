"""The passes that no method can do without, by hand: what the benchmarks measure methods beside."""

from __future__ import annotations

import numpy as np


def bare_gradient(model):
    """A compiled function of inputs and classes that returns the gradient of the classes' scores."""
    import tensorflow as tf

    @tf.function(reduce_retracing=True)
    def gradient(x, target):
        with tf.GradientTape() as tape:
            tape.watch(x)
            score = tf.gather(model(x, training=False), target, axis=1, batch_dims=1)
        return tape.gradient(score, x)

    return gradient


def bare_forward(model):
    """A compiled function of inputs, and classes that it ignores, that returns what the model gives."""
    import tensorflow as tf

    @tf.function(reduce_retracing=True)
    def forward(x, target):
        return model(x, training=False)

    return forward


def in_batches(function, size: int, count: int = 1):
    """A function of arrays that runs `function` so many times on each batch, and returns the last result."""
    import tensorflow as tf

    def run(x: np.ndarray, target: np.ndarray) -> np.ndarray:
        for start in range(0, len(x), size):
            part = tf.constant(x[start : start + size])
            aim = tf.constant(target[start : start + size])
            for _ in range(count):
                found = function(part, aim).numpy()
        return found

    return run
