"""The loss of a classifier that was not compiled."""

from __future__ import annotations

import keras

from ..network.activations import ends_squashed
from .outputs import output_sizes


def loss_for(classifier: keras.Model) -> keras.losses.Loss:
    """Returns the cross-entropy that suits a classifier's outputs and integer labels.

    Args:
        classifier: A Keras model of one output, `(samples, classes)`, or `(samples, 1)` for two classes.

    Example:
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
        >>> loss_for(model).get_config()["from_logits"]
        True
    """
    logits = not ends_squashed(classifier)
    if output_sizes(classifier) == (1,):
        return keras.losses.BinaryCrossentropy(from_logits=logits)
    return keras.losses.SparseCategoricalCrossentropy(from_logits=logits)
