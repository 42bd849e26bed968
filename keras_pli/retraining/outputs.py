"""What a classifier puts out: one tensor, with a column for each class."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from ..checks import quoted
from ..network.activations import ends_squashed
from .data import Inputs

Tensor = Any


def predicted(model: keras.Model, x: Inputs) -> NDArray[np.float32]:
    """Returns what a model of one output gives for many inputs."""
    found = only_output(model, model.predict(x, batch_size=512, verbose=0))
    return np.asarray(found, dtype=np.float32)


def class_outputs(classifier: keras.Model, x: Inputs) -> NDArray[np.float32]:
    """Returns a classifier's outputs with one column a class, also where it has a single one for two classes.

    Args:
        classifier: A Keras model with output `(samples, classes)` or, for two classes, `(samples, 1)`.
        x: Inputs, shape `(samples, ...)`, or a list or dict of them.

    Returns:
        float32 array `(samples, classes)` whose largest entry in a row is the class decided for.

    Example:
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1, activation="sigmoid")])
        >>> class_outputs(model, np.zeros((3, 4))).tolist()
        [[0.5, 0.5], [0.5, 0.5], [0.5, 0.5]]
    """
    return one_column_a_class(predicted(classifier, x), classifier)


def one_column_a_class(
    outputs: NDArray[np.float32], classifier: keras.Model
) -> NDArray[np.float32]:
    """As `class_outputs`, of outputs that are already there."""
    if outputs.shape[1] > 1:
        return outputs
    other = 1.0 - outputs if are_probabilities(outputs, classifier) else np.zeros_like(outputs)
    return np.concatenate([other, outputs], axis=1)


def decided_classes(outputs: NDArray[np.float32], classifier: keras.Model) -> NDArray[np.int64]:
    """Returns the class that outputs decide for, and -1, which is never right, where they are not finite.

    Example:
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2, activation="softmax")])
        >>> decided_classes(np.array([[0.2, 0.8], [np.nan, 0.5]], np.float32), model).tolist()
        [1, -1]
    """
    decided = one_column_a_class(outputs, classifier).argmax(axis=1)
    return np.where(np.isfinite(outputs).all(axis=1), decided, -1)


def are_probabilities(outputs: NDArray[np.float32], classifier: keras.Model) -> bool:
    """Whether outputs are probabilities, each decided for from 0.5 on; otherwise from 0 on.

    They are where the classifier ends in a sigmoid or softmax, or no logits can be found in it and no output
    leaves [0, 1], as those of a tanh do.
    """
    squashed = ends_squashed(classifier)
    return squashed and bool(np.all((outputs >= 0) & (outputs <= 1)))


def only_output(classifier: keras.Model, given: Any) -> Tensor:
    """Returns the one tensor among what a classifier gave.

    Args:
        classifier: The classifier.
        given: What it gave: a tensor, or a list, tuple or dict of one.

    Raises:
        ValueError: If there are several; they are named.
    """
    flat = keras.tree.flatten(given)
    if len(flat) == 1:
        return flat[0]
    names = list(given) if isinstance(given, dict) else getattr(classifier, "output_names", None)
    if names is None or len(names) != len(flat):
        names = list(range(len(flat)))
    raise ValueError(
        f"A classifier to retrain has one output. {classifier.name!r} has {len(flat)}: {quoted(names)}. Make "
        "a model of the one that is meant, such as keras.Model(model.inputs, model.outputs[0])."
    )


def output_sizes(classifier: keras.Model) -> tuple[int | None, ...] | None:
    """Returns the shape of a classifier's output for a sample, or None where only a pass can tell.

    Raises:
        ValueError: If the classifier has several outputs.
    """
    try:
        outputs = classifier.outputs
    except (AttributeError, TypeError):  # a subclassed model, or one not built yet
        return None
    return tuple(only_output(classifier, outputs).shape[1:]) if outputs else None
