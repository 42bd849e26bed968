"""What a classifier says of samples, from outputs that are already there."""

from __future__ import annotations

import keras
import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

from ...retraining.outputs import are_probabilities, one_column_a_class

Probabilities = NDArray[np.float32]


def class_probabilities(outputs: NDArray[np.float32], classifier: keras.Model) -> Probabilities:
    """Returns the probability of each class, `(samples, classes)`.

    Args:
        outputs: What the classifier gave, `(samples, classes)`, or `(samples, 1)` for two classes:
            probabilities, or logits, which get the softmax that they were trained with.
        classifier: The classifier.

    Raises:
        ValueError: If the outputs are of another shape, as those of several heads are.

    Example:
        >>> one_unit = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
        >>> class_probabilities(np.array([[0.0], [200.0]], np.float32), one_unit).tolist()
        [[0.5, 0.5], [0.0, 1.0]]
    """
    given = np.asarray(outputs, dtype=np.float32)
    if given.ndim != 2 or not given.shape[1]:
        raise ValueError(
            "A studio shows a classifier of one output, (samples, classes). "
            f"{classifier.name!r} gives shape {given.shape}."
        )
    columns = one_column_a_class(given, classifier)
    return columns if are_probabilities(given, classifier) else softmax(columns, axis=1)


def decided(probabilities: Probabilities) -> NDArray[np.int64]:
    """Returns the class of the largest probability, and -1 where one is not finite.

    Example:
        >>> decided(np.array([[0.2, 0.8], [np.nan, 0.5]], np.float32)).tolist()
        [1, -1]
    """
    finite = np.isfinite(probabilities).all(axis=1)
    return np.where(finite, probabilities.argmax(axis=1), -1)
