"""The samples a callback watches: those given to it, or some of those that `PLIModel.fit` trains on."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from ..retraining import PLIModel

Array = NDArray[Any]


def watched_sample(
    model: keras.Model, data: tuple[Any, Any] | None, *, most: int, seed: int
) -> tuple[Array, dict[str, Array]]:
    """Returns `(x, y)` to watch, at most `most` samples, drawn at random from more.

    Raises:
        TypeError: If the model is not a `PLIModel`.
        ValueError: If no data were given and the model trains on something else than arrays.
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
    x = np.asarray(x)
    if len(x) > most:
        rows = np.sort(np.random.default_rng(seed).choice(len(x), most, replace=False))
        x, arrays = x[rows], {name: values[rows] for name, values in arrays.items()}
    return x, arrays


def class_labels(labels: Array) -> Array:
    """Labels as classes, from integers or one-hot rows."""
    if labels.ndim == 2:
        return np.asarray(labels.argmax(axis=1) if labels.shape[1] > 1 else labels[:, 0])
    return labels


def outputs_of(model: PLIModel, x: Array) -> dict[str, Array]:
    """Classifier outputs and map of some inputs, in inference mode, without disturbing `fit`."""
    parts = [model(x[start : start + 512], training=False) for start in range(0, len(x), 512)]
    return {
        name: np.concatenate([np.asarray(keras.ops.convert_to_numpy(part[name])) for part in parts])
        for name in ("label", "embedding")
    }
