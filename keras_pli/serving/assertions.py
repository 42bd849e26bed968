"""Checks that run on the server, inside a signature: bad requests get an error that names what is wrong."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import tensorflow as tf

Tensor = Any


def check_finite(tensors: Mapping[str, Tensor]) -> list[tf.Operation]:
    """Fails if a float input holds NaN or infinity, and names the rows."""
    made = []
    for name, tensor in tensors.items():
        if tensor.dtype.is_floating:
            finite = tf.math.is_finite(tensor)
            bad = tf.where(~tf.reduce_all(finite, axis=range(1, finite.shape.rank)))[:, 0]
            text = f"`{name}` must be finite, but holds NaN or infinity in rows"
            made.append(_assert(tf.equal(tf.size(bad), 0), text, bad))
    return made


def check_target(target: Tensor, classes: int, samples: Tensor) -> list[tf.Operation]:
    """Fails if there is not one class for each sample, or a class does not exist; −1 is the predicted one."""
    wrong = tf.boolean_mask(target, (target < -1) | (target >= classes))
    exist = (
        f"`target` must hold classes from 0 to {classes - 1}, or -1 for the predicted one. Received"
    )
    return [
        *check_samples({"target": target}, samples),
        _assert(tf.equal(tf.size(wrong), 0), exist, wrong),
    ]


def check_samples(tensors: Mapping[str, Tensor], samples: Tensor) -> list[tf.Operation]:
    """Fails if an input has another number of samples."""
    return [
        _assert(
            tf.equal(tf.shape(tensor)[0], samples),
            f"`{name}` must have as many rows as the first input",
            tf.stack([tf.shape(tensor)[0], samples]),
        )
        for name, tensor in tensors.items()
    ]


def _assert(condition: Tensor, text: str, values: Tensor) -> tf.Operation:
    return tf.debugging.Assert(condition, [text, values], summarize=10)
