"""Running compiled functions over arrays, some samples at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from ..parts import PartFolder

Tensors = dict[str, Any]


def uses_xla(jit_compile: bool | Literal["auto"]) -> bool:
    """Returns whether XLA compiles; `"auto"` does so where there is a GPU.

    Raises:
        ValueError: If it is neither True, False nor `"auto"`.
    """
    if jit_compile not in (True, False, "auto"):
        raise ValueError(f"`jit_compile` must be True, False or 'auto'. Received: {jit_compile!r}.")
    if jit_compile == "auto":
        return bool(tf.config.list_physical_devices("GPU"))
    return bool(jit_compile)


def batches(samples: int, size: int, *, fill: bool) -> Iterator[tuple[NDArray[np.intp], int]]:
    """Yields the rows of each batch, and how many of them count.

    With `fill`, a short last batch repeats its rows up to the size of the others, so that XLA does not
    compile once more.
    """
    for start in range(0, samples, size):
        rows = np.arange(start, min(start + size, samples))
        yield np.resize(rows, size) if fill and samples > size else rows, len(rows)


def traced_for(
    function: Callable[..., Tensors], arrays: Sequence[NDArray[Any]], *, jit_compile: bool
) -> Any:
    """Returns a concrete function for arrays like these, of any number of samples."""
    specs = [tf.TensorSpec((None, *array.shape[1:]), array.dtype) for array in arrays]
    compiled = tf.function(function, autograph=False, jit_compile=jit_compile)
    return compiled.get_concrete_function(*specs)


def in_batches(
    function: Callable[..., Tensors],
    arrays: Sequence[NDArray[Any]],
    *,
    batch_size: int,
    fill: bool = False,
    parts: PartFolder | None = None,
    verbose: int = 0,
) -> dict[str, NDArray[Any]]:
    """Returns what a function gives for all samples.

    Args:
        function: From tensors, samples first, to tensors by name, samples first.
        arrays: What it takes, of equally many samples.
        batch_size: Samples at a time.
        fill: Whether a short last batch is filled up (see `batches`).
        parts: Where each batch's results are written at once; those that are there are taken as they are.
        verbose: 1 draws a progress bar.

    Example:
        >>> doubled = lambda x: {"twice": 2 * x}
        >>> in_batches(doubled, [np.arange(5.0)], batch_size=2)["twice"]
        array([0., 2., 4., 6., 8.])
    """
    plan = list(batches(len(arrays[0]), batch_size, fill=fill))
    progress = keras.utils.Progbar(len(plan), verbose=verbose, unit_name="batch")
    done = parts.read() if parts else []
    progress.update(len(done))
    for rows, count in plan[len(done) :]:
        found = function(*(tf.constant(array[rows]) for array in arrays))
        done.append({name: tensor.numpy()[:count] for name, tensor in found.items()})
        if parts:
            parts.add(done[-1])
        progress.add(1)
    return {name: np.concatenate([part[name] for part in done]) for name in done[0]}
