"""The samples a callback watches: those given to it, or some of those that `PLIModel.fit` trains on."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from ..checks import quoted
from ..retraining import PLIModel
from ..retraining.data import Inputs, as_arrays, count_samples, rows_of

Array = NDArray[Any]


def watched_sample(
    model: keras.Model, data: tuple[Any, Any] | None, *, most: int, seed: int
) -> tuple[Inputs, dict[str, Array]]:
    """Returns `(x, y)` to watch, at most `most` samples, drawn at random from more.

    Raises:
        TypeError: If the model is not a `PLIModel`.
        ValueError: If no data were given and the model trains on something else than arrays, or inputs and
            targets are not of the same samples.
    """
    if not isinstance(model, PLIModel):
        raise TypeError(f"This callback watches a PLIModel. Received: {type(model).__name__}.")
    chosen = data if data is not None else model.fit_data
    if chosen is None:
        raise ValueError(
            "Give the callback `data=(x, y)`: only where `PLIModel.fit` gets arrays can it watch those."
        )
    x, y = chosen
    arrays = {
        name: np.asarray(values)
        for name, values in (y if isinstance(y, dict) else {"label": y}).items()
    }
    lengths = {name: len(values) for name, values in arrays.items()}
    x = keras.tree.map_structure(np.asarray, as_arrays(x, next(iter(lengths.values()), 0)))
    samples = count_samples(x)
    if set(lengths.values()) != {samples}:
        raise ValueError(f"The callback's data hold {samples} inputs, but of targets {lengths}.")
    if samples > most:
        rows = np.sort(np.random.default_rng(seed).choice(samples, most, replace=False))
        x, arrays = rows_of(x, rows), rows_of(arrays, rows)
    return x, arrays


def classifier_of(model: Any) -> keras.Model:
    """Returns the classifier within a `PLIModel`, or the model itself."""
    return model.classifier if isinstance(model, PLIModel) else model


def class_labels(labels: Array) -> Array | None:
    """Returns what labels say of classes, or None where they are numbers that name none.

    Args:
        labels: Classes `(samples,)` or `(samples, 1)`, rows that are one-hot or sum to 1, or rows of 0 and 1
            for each of several labels that a sample may have.

    Returns:
        Integers of shape `(samples,)`; rows of 0 and 1 where some row does not name exactly one class.

    Example:
        >>> class_labels(np.array([[0, 1], [1, 0]])).tolist()
        [1, 0]
        >>> class_labels(np.array([[1, 1], [1, 0]])).tolist()
        [[1, 1], [1, 0]]
        >>> class_labels(np.array([0.5, 2.0])) is None
        True
    """
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.ndim not in (1, 2) or labels.dtype.kind not in "fiub" or not np.all(labels >= 0):
        return None
    whole = bool(np.all(labels == np.floor(labels)))
    if labels.ndim == 1:
        return labels.astype(np.int64) if whole else None
    if np.allclose(labels.sum(axis=1), 1):
        return np.asarray(labels.argmax(axis=1))
    return labels.astype(np.int64) if whole and labels.max() <= 1 else None


def no_classes(callback: str, labels: Array) -> ValueError:
    """The error for labels that are no classes."""
    some = quoted(labels.ravel()[:5])
    return ValueError(
        f"{callback} needs labels that are classes: whole numbers from 0, one-hot rows, or rows of 0 and 1. "
        f"Received {labels.dtype} of shape {labels.shape}: {some}, …"
    )


def outputs_of(model: PLIModel, x: Inputs) -> dict[str, Array]:
    """Classifier outputs and map, if there is one, in inference mode, without disturbing `fit`."""
    starts = range(0, count_samples(x), 512)
    parts = [model(rows_of(x, slice(start, start + 512)), training=False) for start in starts]
    return {
        name: np.concatenate([np.asarray(keras.ops.convert_to_numpy(part[name])) for part in parts])
        for name in parts[0]
    }


def check_map(model: PLIModel, callback: str) -> None:
    """Raises a `ValueError` where a model trains without a map."""
    if model.embedder is None:
        raise ValueError(f"{callback} watches the map, and the PLIModel has no embedder.")
