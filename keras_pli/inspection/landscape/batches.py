"""Data in batches of one size, for loops within a compiled function."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from ...network.inputs import as_array
from .criteria import by_output


def in_batches(data: Any, most: int, fixed: int | None) -> list[Any]:
    """Cuts a list of structures of arrays into batches; the last one repeats samples, which do not count.

    Args:
        data: Structures of arrays, samples first, equally many in each.
        most: Most samples at a time.
        fixed: The number of samples that the model takes, where it takes but one.

    Returns:
        The structures, of tensors `(batches, batch, ...)`, and 1 for each sample that counts, 0 for others.

    Example:
        >>> x, counts = in_batches([np.arange(5)], 3, None)
        >>> x.numpy().tolist(), counts.numpy().tolist()
        ([[0, 1, 2], [3, 4, 0]], [[1.0, 1.0, 1.0], [1.0, 1.0, 0.0]])
    """
    samples = len(tf.nest.flatten(data)[0])
    count = -(-samples // most)
    size = fixed or -(-samples // count)  # all alike, rather than a last one that is nearly empty
    rows = np.resize(np.arange(samples), count * size)
    counts = (np.arange(count * size) < samples).astype(np.float32)

    def cut(array: NDArray[Any]) -> Any:
        return tf.constant(array.reshape(count, size, *array.shape[1:]))

    return [*tf.nest.map_structure(lambda array: cut(array[rows]), data), cut(counts)]


def checked_targets(
    model: keras.Model, y: Any, predicted: Any, samples: int, wanted: Sequence[bool]
) -> list[NDArray[Any]]:
    """Returns what was to be predicted for each output, in the order of the outputs; zeros where no loss is.

    Args:
        model: The model, for its outputs' names.
        y: An array, or of several outputs a list or dict.
        predicted: What the model gives.
        samples: How many there are.
        wanted: Whether each output has a loss.

    Raises:
        TypeError: If they are not numbers.
        ValueError: If there is not one entry for each sample.
    """
    lone = len(wanted) == 1 and not isinstance(y, Mapping)
    given = [y] if lone else by_output(model, y, predicted, "y", may_lack=not all(wanted))
    arrays = [
        as_array(one, "y") if has_loss else np.zeros(samples, np.float32)
        for one, has_loss in zip(given, wanted, strict=True)
    ]
    for array in arrays:
        if array.dtype.kind not in "fiub":
            raise TypeError(f"`y` must hold numbers. Received dtype {array.dtype}.")
        if not array.ndim or len(array) != samples:
            raise ValueError(
                f"`y` must have one entry for each of the {samples} samples. Received shape {array.shape}."
            )
    return arrays


def checked_sample_weights(
    model: keras.Model, given: Any, predicted: Any, samples: int
) -> list[NDArray[np.float32]]:
    """Returns the weights of samples for each output, 1 where none are given.

    Args:
        model: The model, for its outputs' names.
        given: None, an array for all outputs, or of several outputs a list or dict of arrays or None.
        predicted: What the model gives.
        samples: How many there are.

    Raises:
        ValueError: If there is not a finite one for each sample, or outputs are others.
    """
    is_one_each = isinstance(given, list | tuple) and any(np.ndim(one) for one in given)
    several = isinstance(given, Mapping) or (is_one_each and len(tf.nest.flatten(predicted)) > 1)
    outputs = len(tf.nest.flatten(predicted))
    each = (
        by_output(model, given, predicted, "sample_weight", may_lack=True)
        if several
        else [given] * outputs
    )
    found = []
    for one in each:
        weights = np.ones(samples, np.float32) if one is None else np.asarray(one, np.float32)
        if not weights.ndim or len(weights) != samples or not np.isfinite(weights).all():
            raise ValueError(
                f"`sample_weight` must have a finite entry for each of the {samples} samples. Received shape "
                f"{weights.shape}."
            )
        found.append(weights)
    return found
