"""The derivative of a map's positions with respect to the activations, on TensorFlow and JAX."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from ..optional import imported

Tensor = Any
Pair = tuple[NDArray[np.float64], NDArray[np.float64]]


def jacobian_of(model: keras.Model) -> Callable[[NDArray[np.float32]], Pair]:
    """Returns a function from activations to their positions and the derivative there.

    Keras has no gradient of its own, so each backend's is used. The model runs in inference mode; its weights
    are those at the time of the call.

    Args:
        model: A model from `(batch, ...)` to `(batch, components)` whose samples do not mix.

    Returns:
        A function from float32 `(batch, ...)` to positions `(batch, components)` and derivatives
        `(batch, components, ...)`, both float64.

    Raises:
        NotImplementedError: If Keras runs on a backend other than TensorFlow and JAX.

    Example:
        >>> double = keras.Sequential([keras.Input((2,)), keras.layers.Rescaling(2.0)])
        >>> positions, derivative = jacobian_of(double)(np.ones((1, 2), dtype=np.float32))
        >>> derivative[0].tolist()
        [[2.0, 0.0], [0.0, 2.0]]
    """
    backends = {"tensorflow": _by_tensorflow, "jax": _by_jax}
    backend = keras.backend.backend()
    if backend not in backends:
        raise NotImplementedError(
            f"Derivatives of a map need Keras on TensorFlow or JAX. Received: {backend!r}."
        )
    traced = backends[backend](lambda z: model(z, training=False))

    def evaluated(z: NDArray[np.float32]) -> Pair:
        y, slopes = traced(ops.convert_to_tensor(z))
        rows = [np.asarray(ops.convert_to_numpy(slope), dtype=np.float64) for slope in slopes]
        return np.asarray(ops.convert_to_numpy(y), dtype=np.float64), np.stack(rows, axis=1)

    return evaluated


def _by_tensorflow(model: Callable[[Tensor], Tensor]) -> Callable[[Tensor], tuple[Tensor, Any]]:
    tf = imported("tensorflow", "Keras on TensorFlow")

    @tf.function(reduce_retracing=True)
    def traced(z: Tensor) -> tuple[Tensor, Any]:
        with tf.GradientTape(persistent=True) as tape:
            tape.watch(z)
            parts = tf.unstack(model(z), axis=1)
        # Samples do not mix, so the gradient of a sum over the batch holds that of each.
        return tf.stack(parts, axis=1), [tape.gradient(part, z) for part in parts]

    return traced


def _by_jax(model: Callable[[Tensor], Tensor]) -> Callable[[Tensor], tuple[Tensor, Any]]:
    jax = imported("jax", "Keras on JAX")

    @jax.jit
    def traced(z: Tensor) -> tuple[Tensor, Any]:
        y, pulled_back = jax.vjp(model, z)
        ones = [jax.numpy.zeros_like(y).at[:, part].set(1.0) for part in range(y.shape[1])]
        return y, [pulled_back(one)[0] for one in ones]

    return traced
