"""What a frozen classifier of images says, in one form: logits of which softmax makes probabilities."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from ..model_shapes import input_shape
from .decision import examined

Tensor = Any


class ClassReader:
    """A classifier of images, read by its logits, in inference mode and without touching it.

    The softmax or sigmoid that it ends in is undone. A single unit, a sigmoid's or a logit, stands for the
    classes 0 and 1. Its functions make graph operations: call them where a graph is being traced.

    Args:
        classifier: A built Keras model from images to classes.
        image_shape: Shape of an image.

    Raises:
        TypeError: If it is not a Keras model.
        ValueError: If it takes other images, no logits can be found, or its units do not exclude each other,
            as with several sigmoids.
    """

    def __init__(self, classifier: keras.Model, image_shape: tuple[int, ...]) -> None:
        taken = input_shape(classifier, "classifier")
        if taken != tuple(image_shape):
            raise ValueError(
                f"`classifier` must take images of shape {tuple(image_shape)}. It takes {taken}."
            )
        self._network, units, _ = examined(classifier, taken)
        self.classifier, self.classes = classifier, max(units, 2)
        spec = tf.TensorSpec((None, *taken), tf.float32)
        tf.function(self.logits, autograph=False).get_concrete_function(spec)

    def logits(self, images: Tensor) -> Tensor:
        """Returns logits `(batch, classes)` of which softmax makes the classifier's probabilities."""
        forward = self._network.forward(images)
        logits = forward.logits
        if logits.shape[-1] == 1:
            return tf.concat([tf.zeros_like(logits), logits], axis=-1)
        if forward.squashing != "Sigmoid":
            return logits
        if self._network.model.output_shape[-1] > 1:
            raise ValueError(
                f"The classes of {self.classifier.name!r} do not exclude each other: it ends in "
                f"{logits.shape[-1]} sigmoids. A class code needs a softmax, or a single unit."
            )
        return logits / 2  # of the pair (−l, l), whose softmax would be the sigmoid of 2 l


def log_odds(logits: Tensor, classes: Tensor) -> Tensor:
    """Returns log p/(1 − p) of one class of each sample, `(batch,)`.

    It orders samples as the probability p does, and still tells them apart where p is rounded to 1.

    Example:
        >>> odds = log_odds(tf.math.log([[0.1, 0.2, 0.7]]), tf.constant([2]))
        >>> round(float(tf.sigmoid(odds)[0]), 4)
        0.7
    """
    chosen = tf.one_hot(classes, logits.shape[-1], on_value=True, off_value=False)
    of_class = tf.gather(logits, classes, axis=1, batch_dims=1)
    return of_class - tf.reduce_logsumexp(tf.where(chosen, float("-inf"), logits), axis=-1)
