"""Data in batches of one size, for loops within a compiled function."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import ArrayLike, NDArray

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


def checked_targets(model: keras.Model, y: Any, predicted: Any, samples: int) -> list[NDArray[Any]]:
    """Returns what is to be predicted, an array for each output.

    Args:
        model: The model, for its outputs' names.
        y: An array, or of several outputs a list or dict.
        predicted: What the model gives.
        samples: How many there are.

    Raises:
        TypeError: If they are not numbers.
        ValueError: If there is not one entry for each sample.
    """
    lone = len(tf.nest.flatten(predicted)) == 1 and not isinstance(y, Mapping)
    given = [y] if lone else by_output(model, y, predicted, "y")
    arrays = [as_array(one, "y") for one in given]
    for array in arrays:
        if array.dtype.kind not in "fiub":
            raise TypeError(f"`y` must hold numbers. Received dtype {array.dtype}.")
        if not array.ndim or len(array) != samples:
            raise ValueError(
                f"`y` must have one entry for each of the {samples} samples. Received shape {array.shape}."
            )
    return arrays


def checked_sample_weights(given: ArrayLike | None, samples: int) -> NDArray[np.float32]:
    """Returns the weights of samples, 1 where none are given.

    Raises:
        ValueError: If there is not a finite one for each sample.
    """
    if given is None:
        return np.ones(samples, np.float32)
    weights = np.asarray(given, np.float32)
    if not weights.ndim or len(weights) != samples or not np.isfinite(weights).all():
        raise ValueError(
            f"`sample_weight` must have a finite entry for each of the {samples} samples. Received shape "
            f"{weights.shape}."
        )
    return weights
