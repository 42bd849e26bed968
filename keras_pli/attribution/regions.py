"""The region of an input that a method may touch, as the brain in a volume: given, or found in the input."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
import tensorflow as tf
from numpy.typing import ArrayLike, NDArray

from ..checks import quoted
from .perturbation import spatial_sizes

Tensor = Any
Given: TypeAlias = "ArrayLike | Callable[[Tensor], Tensor] | None"
Checked: TypeAlias = "NDArray[np.bool_] | Callable[[Tensor], Tensor] | None"


def checked_region(within: Given) -> Checked:
    """Returns a region as it was given: a function, a boolean array, or None for everywhere.

    Raises:
        TypeError: If it is neither.

    Example:
        >>> checked_region([0.5, 1.0])
        Traceback (most recent call last):
        ...
        TypeError: `within` must be booleans, or a function from inputs to booleans. Received dtype float64.
    """
    if within is None or callable(within):
        return within
    array = np.array(within)  # a copy: the caller may go on to change theirs
    if array.dtype != bool:
        raise TypeError(
            "`within` must be booleans, or a function from inputs to booleans. "
            f"Received dtype {array.dtype}."
        )
    return array


def regions_of_samples(within: Checked, x: NDArray[Any]) -> NDArray[np.bool_] | None:
    """Returns the regions `(samples, *sizes)` of some samples, or None where they have none of their own.

    Raises:
        ValueError: If they do not fit the samples, or one is empty.
    """
    if not isinstance(within, np.ndarray):
        return None
    sizes = spatial_sizes(x)
    if within.shape not in (sizes, (len(x), *sizes)):
        raise ValueError(
            f"`within` must have the shape {sizes}, or {(len(x), *sizes)} for each of the samples. "
            f"Received shape {within.shape}."
        )
    if within.shape == sizes:
        if not within.any():
            raise ValueError("`within` is empty: nothing may be deleted.")
        return None
    empty = np.flatnonzero(~within.reshape(len(within), -1).any(axis=1))
    if len(empty):
        raise ValueError(f"`within` is empty for samples {quoted(empty)}: nothing may be deleted.")
    return within


def region_of(within: Checked, inputs: Tensor) -> Tensor | None:
    """Returns the region of each sample in a batch, bool `(batch, *sizes)`, or None for everywhere.

    Raises:
        ValueError: If it does not fit the inputs, or belongs to the samples of a call.
        TypeError: If a function gives something else than booleans.
    """
    if within is None:
        return None
    sizes = spatial_sizes(inputs)
    wanted = f"booleans of shape {('batch', *sizes)}".replace("'", "")
    if callable(within):
        found = tf.convert_to_tensor(within(inputs))
        if found.dtype != tf.bool:
            raise TypeError(f"`within` must give {wanted}. Received dtype {found.dtype.name}.")
    else:
        found = tf.constant(within)
        if found.shape.rank == len(sizes) + 1:
            raise ValueError(
                "`within` holds booleans for each sample of a call; the method can be called and not "
                f"exported. Give booleans of shape {sizes}, or a function from inputs to {wanted}."
            )
        found = found[None]
    if found.shape.rank != len(sizes) + 1 or not found.shape[1:].is_compatible_with(sizes):
        raise ValueError(f"`within` must give {wanted}. Received shape {tuple(found.shape)}.")
    return tf.broadcast_to(found, (tf.shape(inputs)[0], *sizes))
