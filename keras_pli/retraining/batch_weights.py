"""Weights of samples and classes in a batch, and the spread of targets that no embedder tells."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

Tensor = Any


def weight_table(class_weight: dict[int, float]) -> Tensor:
    """Returns the weight of each class from 0 on; 1 for those that are not named."""
    table: NDArray[np.float32] = np.ones(max(class_weight) + 1, dtype=np.float32)
    for label, weight in class_weight.items():
        table[label] = weight
    return ops.convert_to_tensor(table, dtype=keras.config.floatx())


def weights_of(table: Tensor, labels: Tensor) -> Tensor:
    """Returns the weight that a table gives the class of each sample; labels as the loss takes them."""
    labels = ops.convert_to_tensor(labels)
    if len(labels.shape) == 2:
        one_hot = labels.shape[1] > 1
        labels = ops.argmax(labels, axis=1) if one_hot else ops.reshape(labels, (-1,))
    labels = ops.cast(
        ops.round(labels), "int32"
    )  # soft labels count as the nearer class, as in Keras
    known = labels < table.shape[0]
    return ops.where(known, ops.take(table, ops.where(known, labels, 0)), 1.0)


def spread_of_targets(
    x: Any, y: dict[str, Any] | None, *, needed: bool, batches: int = 50
) -> float:
    """Mean squared distance of target positions from their centre, of a data set's first batches."""
    if y is not None:
        targets = np.asarray(y["embedding"]) if "embedding" in y else np.zeros((1, 2))
    else:
        found = []
        for number, batch in enumerate(x):
            if number == batches:
                break
            if not isinstance(batch[1], dict) or "embedding" not in batch[1]:
                if not needed:
                    return 0.0
                raise ValueError(
                    "A data set for PLIModel must yield (x, {'label': …, 'embedding': …}). "
                    f"Received as second item: {type(batch[1]).__name__}."
                )
            found.append(ops.convert_to_numpy(batch[1]["embedding"]))
        targets = np.concatenate(found)
    return float(np.mean(np.sum(np.square(targets - targets.mean(axis=0)), axis=1)))
