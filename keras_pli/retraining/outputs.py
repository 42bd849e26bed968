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
    """Returns what a model gives for many inputs."""
    return np.asarray(model.predict(x, batch_size=512, verbose=0), dtype=np.float32)


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


def are_probabilities(outputs: NDArray[np.float32], classifier: keras.Model) -> bool:
    """Whether outputs are probabilities, each decided for from 0.5 on; otherwise from 0 on.

    They are where the classifier ends in a sigmoid or softmax, or no logits can be found in it and no output
    leaves [0, 1], as those of a tanh do.
    """
    squashed = ends_squashed(classifier)
    return squashed and bool(np.all((outputs >= 0) & (outputs <= 1)))


def check_one_output(classifier: keras.Model, given: Any = None) -> None:
    """Raises where a classifier gives several outputs, or a list or dict of them.

    Args:
        classifier: The classifier.
        given: What it gave for some inputs, where it ran.

    Raises:
        ValueError: If it does; the outputs are named.
    """
    names = list(getattr(classifier, "output_names", None) or [])
    if given is None:
        given = _symbolic_output(classifier)
    if not keras.tree.is_nested(given):
        return
    if isinstance(given, dict):
        names = list(given)
    elif len(names) != len(given):
        names = list(range(len(given)))
    raise ValueError(
        f"A classifier must give one tensor of outputs. {classifier.name!r} gives a "
        f"{type(given).__name__} of {len(names)}: {quoted(names)}. Make a "
        "model of the one to retrain, such as keras.Model(model.inputs, model.outputs[0])."
    )


def _symbolic_output(classifier: keras.Model) -> Any:
    try:
        return classifier.output
    except (AttributeError, ValueError):  # such as a subclassed model's, or one not built yet
        return None
