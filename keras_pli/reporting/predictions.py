"""What a classifier makes of samples, whatever it ends in, and the loss that suits its labels."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, softmax

from ..checks import quoted
from ..network.activations import LOGITS, activations, final_squashing
from ..network.inputs import fixed_batch
from .given_data import rows_of

Array = NDArray[np.float64]


def one_output(model: keras.Model, output: int | str | None) -> keras.Model:
    """Returns a model of one output: the model itself, or one that shares its layers.

    Raises:
        ValueError: If the model has several outputs of which none is named, or there is no such output.
    """
    outputs = list(getattr(model, "outputs", None) or [])
    if len(outputs) <= 1:
        if output not in (None, 0, *getattr(model, "output_names", [])):
            raise ValueError(f"{model.name!r} has one output. Received: output={output!r}.")
        return model
    names = list(model.output_names)
    if output is None:
        raise ValueError(
            f"{model.name!r} has {len(outputs)} outputs, and a report is about one. Pass output=, one of "
            f"{quoted(names)} or its position."
        )
    positions = {**dict(enumerate(range(len(names)))), **{name: i for i, name in enumerate(names)}}
    if output not in positions:
        raise ValueError(f"`output` must be one of {quoted(names)}. Received: {output!r}.")
    # The new model is of the same layers, and nothing in the given one changes.
    return keras.Model(model.inputs, outputs[positions[output]], name=model.name)


def with_two_classes(model: keras.Model, x: Any) -> keras.Model:
    """Returns a model of a single logit with a sigmoid behind it, for two classes; others as they are.

    Args:
        model: A model of one output.
        x: Inputs, by which a subclassed model is put behind an input of their shape.
    """
    if not isinstance(x, np.ndarray) or output_units(model, x) != 1:
        return model
    try:
        if final_squashing(model) is not None:
            return model
    except ValueError:  # such as an average of probabilities
        return model
    inputs, outputs = getattr(model, "inputs", None), getattr(model, "outputs", None)
    if not outputs:
        inputs = keras.Input(x.shape[1:], dtype=x.dtype.name)
        outputs = [model(inputs)]
    return keras.Model(inputs, keras.ops.sigmoid(outputs[0]), name=model.name)


def output_units(model: keras.Model, x: Any) -> int:
    """Returns the length of the last axis of a model's output."""
    shape: Any = getattr(model, "output_shape", None)
    if shape is None:
        one = rows_of(x, slice(0, fixed_batch(model) or 1))
        shape = getattr(model(one, training=False), "shape", (0,))
    return int(shape[-1])


def read_layer(model: keras.Model, x: Any, layer: Any = LOGITS) -> NDArray[np.float32]:
    """Returns activations, `(samples, features)`, also of a model that takes a fixed number of samples."""
    samples, fixed = len(keras.tree.flatten(x)[0]), fixed_batch(model)
    if fixed is None:
        return activations(model, x, layer)
    # The last sample fills up the last batch.
    chosen = np.minimum(np.arange(-(-samples // fixed) * fixed), samples - 1)
    return activations(model, rows_of(x, chosen), layer, batch_size=fixed)[:samples]


def class_probabilities(model: keras.Model, x: Any) -> Array:
    """Returns the probability of each class, `(samples, classes)`; a single unit tells two apart.

    A model that ends in logits gets the softmax, or with a single unit the sigmoid, that it was trained with.

    Raises:
        ValueError: If the output is not one score for each class.
    """
    try:
        step = final_squashing(model)
        scores = np.asarray(read_layer(model, x), np.float64)
        kind = "Softmax" if step is None else step.kind
    except ValueError:  # such as an average of probabilities
        return _of_outputs(model, x)
    if scores.shape[1] == 1:
        right = expit(scores)
        return np.concatenate([1 - right, right], axis=1)
    return np.asarray(expit(scores) if kind == "Sigmoid" else softmax(scores, axis=1))


def _of_outputs(model: keras.Model, x: Any) -> Array:
    found = model.predict(x, batch_size=fixed_batch(model) or 256, verbose=0)
    if not isinstance(found, np.ndarray) or found.ndim != 2:
        raise ValueError(
            f"A report is about a classifier of one output, (samples, classes). {model.name!r} gives "
            f"{getattr(found, 'shape', type(found).__name__)}."
        )
    if found.min() < -1e-3 or found.max() > 1 + 1e-3:
        raise ValueError(
            f"The outputs of {model.name!r} are neither logits that can be found nor probabilities: they run "
            f"from {found.min():.3g} to {found.max():.3g}."
        )
    if found.shape[1] == 1:
        found = np.concatenate([1 - found, found], axis=1)
    return np.asarray(found, np.float64)


def loss_and_labels(
    model: keras.Model, x: Any, labels: NDArray[np.int64], classes: int
) -> tuple[Any, Any]:
    """Returns the cross-entropy that suits a classifier's output, and the labels in the form it takes."""
    try:
        step = final_squashing(model)
        kind = None if step is None else step.kind
    except ValueError:  # such as an average of probabilities
        kind = "Softmax"
    logits = kind in (None, "LogSoftmax")  # whose softmax is what it was made from
    one_hot = np.eye(classes, dtype=np.float32)[labels]
    if output_units(model, x) == 1:
        return keras.losses.BinaryCrossentropy(from_logits=logits), one_hot[:, 1:]
    if kind == "Sigmoid":
        return keras.losses.BinaryCrossentropy(), one_hot
    return keras.losses.SparseCategoricalCrossentropy(from_logits=logits), labels
