"""Running a compiled function of tensors over arrays, some samples at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from ...checks import one_of

Tensors = dict[str, Any]


def in_batches(
    function: Callable[..., Tensors],
    arrays: Sequence[NDArray[Any]],
    *,
    batch_size: int,
    jit_compile: bool,
    verbose: int = 0,
) -> dict[str, NDArray[Any]]:
    """Compiles a function and returns what it gives for all samples.

    Args:
        function: From tensors, samples first, to tensors by name, samples first.
        arrays: What it takes, of equally many samples.
        batch_size: Samples at a time; a short last batch is filled up for XLA.
        jit_compile: Whether XLA compiles.
        verbose: 1 draws a progress bar.

    Example:
        >>> doubled = lambda x: {"twice": 2 * x}
        >>> in_batches(doubled, [np.arange(5.0)], batch_size=2, jit_compile=False)["twice"]
        array([0., 2., 4., 6., 8.])
    """
    specs = [tf.TensorSpec((None, *array.shape[1:]), array.dtype) for array in arrays]
    compiled = tf.function(function, autograph=False, jit_compile=jit_compile)
    traced = compiled.get_concrete_function(*specs)
    samples = len(arrays[0])
    progress = keras.utils.Progbar(-(-samples // batch_size), verbose=verbose, unit_name="batch")
    parts = []
    for first in range(0, samples, batch_size):
        rows = np.arange(first, min(first + batch_size, samples))
        fill = jit_compile and samples > batch_size
        filled = np.resize(rows, batch_size) if fill else rows
        found = traced(*(tf.constant(array[filled]) for array in arrays))
        parts.append({name: tensor.numpy()[: len(rows)] for name, tensor in found.items()})
        progress.add(1)
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def whether_to_compile(jit_compile: bool | Literal["auto"]) -> bool:
    """Returns whether to use XLA; `"auto"` does so where there is a GPU."""
    one_of(jit_compile, (True, False, "auto"), "jit_compile")
    if jit_compile == "auto":
        return bool(tf.config.list_physical_devices("GPU"))
    return bool(jit_compile)
