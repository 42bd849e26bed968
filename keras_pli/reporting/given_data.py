"""The data of a report: one set or two, labels as classes, and no more samples than asked for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from ..checks import label_array, quoted
from ..network.inputs import checked_inputs, input_shapes

Integers = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class DrawnSamples:
    """Some samples of a set.

    Attributes:
        x: Inputs, `(samples, ...)`, or a structure of them.
        y: Labels as they came, `(samples, ...)`.
        positions: Where in the set each is, `(samples,)`.
        total: Samples of the whole set.
    """

    x: Any
    y: NDArray[Any]
    positions: Integers
    total: int


def read_data(data: Any) -> tuple[Any, Any]:
    """Returns the training set, or None, and the set that is reported on, each `(x, y)`.

    Raises:
        ValueError: If the data are neither `(x, y)` nor two such pairs.
    """
    if isinstance(data, tuple | list) and len(data) == 2:
        if all(isinstance(part, tuple) and len(part) == 2 for part in data):
            return data[0], data[1]
        if not any(isinstance(part, tuple) for part in data):
            return None, data
    told = type(data).__name__
    if isinstance(data, tuple | list):
        told += f" of {len(data)}: {quoted(type(part).__name__ for part in data)}"
    raise ValueError(
        "`data` must be (x, y), or ((x_train, y_train), (x_test, y_test)) with both sets as tuples. "
        f"Received: {told}."
    )


def draw_samples(
    model: keras.Model, given: Any, name: str, *, most: int, seed: int
) -> DrawnSamples:
    """Returns the checked samples of a set, or `most` of them at random, in their order.

    Raises:
        ValueError: If inputs do not fit the model, there are none, or labels are of another number.
    """
    x, y = given
    if len(input_shapes(model) or [None]) == 1:
        x = _with_channel(model, np.asarray(x))
    labels = np.asarray(y)
    lengths = {len(part) for part in keras.tree.flatten(x)}
    if len(lengths) != 1 or labels.ndim == 0 or len(labels) not in lengths or not len(labels):
        raise ValueError(
            f"`{name}` must have one label for each sample. Received {sorted(lengths)} samples and labels of "
            f"shape {labels.shape}."
        )
    total = len(labels)
    chosen = np.arange(total)
    if total > most:
        chosen = np.sort(np.random.default_rng(seed).choice(total, most, replace=False))
    drawn = rows_of(x, chosen) if total > most else x
    return DrawnSamples(checked_inputs(drawn, model), labels[chosen], chosen, total)


def rows_of(x: Any, chosen: Any) -> Any:
    """Returns some rows of each array of a structure."""
    return keras.tree.map_structure(lambda array: np.asarray(array)[chosen], x)


def class_numbers(labels: NDArray[Any], classes: int, name: str) -> Integers:
    """Returns labels as numbers of classes; one-hot rows become that of their 1.

    Args:
        labels: `(samples,)`, `(samples, 1)`, or one-hot `(samples, classes)`.
        classes: How many classes the model tells apart.
        name: What they are called in errors.

    Raises:
        ValueError: If a label is no class, or a row has several.

    Example:
        >>> class_numbers(np.eye(3)[[2, 0]], 3, "y").tolist()
        [2, 0]
    """
    if labels.ndim == 2 and labels.shape[1] == classes:
        ones = (labels == 1).sum(axis=1) == 1
        wrong = np.flatnonzero(~(ones & ((labels == 0).sum(axis=1) == classes - 1)))
        if len(wrong):
            raise ValueError(
                f"`{name}` must be one class a sample, one-hot or as a number. Rows that are not one-hot: "
                f"{quoted(wrong)}."
            )
        return labels.argmax(axis=1).astype(np.int64)
    flat = label_array(labels, len(labels), name)
    if flat.dtype.kind not in "iubf" or (flat.dtype.kind == "f" and np.any(flat % 1 != 0)):
        raise ValueError(
            f"`{name}` must be classes from 0 to {classes - 1}. Received dtype {flat.dtype}: "
            f"{quoted(flat[:3].tolist())}, …."
        )
    numbers = flat.astype(np.int64)
    if numbers.min() < 0 or numbers.max() >= classes:
        raise ValueError(
            f"The model tells {classes} classes apart, 0 to {classes - 1}. `{name}` holds labels from "
            f"{numbers.min()} to {numbers.max()}."
        )
    return numbers


def _with_channel(model: keras.Model, x: NDArray[Any]) -> NDArray[Any]:
    """Images that lack the one channel which the model reads."""
    shapes = input_shapes(model)
    if shapes and len(shapes[0]) == x.ndim + 1 and shapes[0][-1] == 1:
        return x[..., np.newaxis]
    return x
