"""Attributions from plain gradients of the score."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from ..network.forward import Target
from .attribution import Attribution
from .method import Method


class Saliency(Method):
    """The gradient of the score by the input.

    The value at a pixel is ∂S/∂x, with its sign; Simonyan et al. (2014, section 3) draw its absolute value.

    Args:
        model: A built Keras model.
        **options: `layer`, `output`, `score`, `embeddings`, `batch_size` and `jit_compile`, as in `Method`.

    Example:
        >>> import keras, numpy as np
        >>> model = keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Flatten(), keras.layers.Dense(3)])
        >>> Saliency(model)(np.ones((5, 8, 8, 1)), target=2).attributions.shape
        (5, 8, 8, 1)
    """

    takes_gradients = True

    def compute(self, x: Any, target: Target, baseline: Any = None) -> Attribution:
        """Explains a batch of tensors (see `Method.compute`)."""
        gradients, scores = self.network.gradients(x, target)
        return Attribution(gradients, scores)


class GradientTimesInput(Method):
    """The gradient of the score by the input, times the input (Shrikumar et al. 2016).

    Of a network with only linear maps, ReLU and max-pooling and no biases, it adds up to the score.

    Args:
        model: A built Keras model.
        **options: `layer`, `output`, `score`, `embeddings`, `batch_size` and `jit_compile`, as in `Method`.

    Example:
        >>> import keras, numpy as np
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, use_bias=False)])
        >>> found = GradientTimesInput(model)(np.ones((5, 4)), target=2)
        >>> bool(np.allclose(found.attributions.sum(axis=1), found.scores, atol=1e-6))
        True
    """

    takes_gradients = True

    def compute(self, x: Any, target: Target, baseline: Any = None) -> Attribution:
        """Explains a batch of tensors (see `Method.compute`)."""
        gradients, scores = self.network.gradients(x, target)
        return Attribution(tf.nest.map_structure(tf.multiply, gradients, x), scores)
