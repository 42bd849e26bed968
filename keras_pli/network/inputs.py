"""What comes in at the door of an attribution method: inputs, targets and baselines, checked."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, TypeAlias

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import ArrayLike, NDArray

from ..checks import finite_array, label_array, quoted

Tensor = Any
GivenTarget: TypeAlias = "int | ArrayLike | PlacedTarget | Callable[[Tensor], Tensor] | None"
# A number, an array shaped like one sample or like all, or a structure of these as the inputs have it.
GivenBaseline: TypeAlias = Any


class PlacedTarget(ABC):
    """A target that names a place of an output with positions, such as `AtPosition` and `Within`."""

    @abstractmethod
    def placed(self, logits: Any, samples: int, model: keras.Model) -> Any:
        """Returns the target as arrays, a `Region` or `Spot` (see `targets`).

        Args:
            logits: The shape of the logits, `(batch, *positions, classes)`.
            samples: How many samples there are.
            model: The model that is explained, for what errors say.

        Raises:
            ValueError: If a class or place does not exist, or there are no positions.
        """


def checked_inputs(x: Any, model: keras.Model) -> Any:
    """Returns the inputs as float32 arrays, in the structure they came in.

    Raises:
        ValueError: If an array is empty or not finite, their lengths differ, or their shapes do not fit the
            model.
        TypeError: If the values are no real numbers.
    """
    shapes = _input_shapes(model)
    if not _is_structure(x, shapes):
        x = np.asarray(x)
    flat = tf.nest.flatten(x)
    names = ["x"] if len(flat) == 1 else [f"x[{index}]" for index in range(len(flat))]
    arrays = [
        finite_array(np.asarray(array), name) for array, name in zip(flat, names, strict=True)
    ]
    if len({len(array) for array in arrays}) != 1:
        raise ValueError(
            "All inputs must have the same number of samples. "
            f"Received: {quoted(len(array) for array in arrays)}."
        )
    if shapes is not None:
        _check_shapes(model, shapes, x, arrays)
    return tf.nest.pack_sequence_as(x, arrays)


def checked_target(target: GivenTarget, samples: int) -> Any:
    """Returns a target as None, a callable, or int32 classes of shape `(samples,)`.

    Raises:
        ValueError: If there is not one whole number for each sample.
    """
    if target is None or callable(target):
        return target
    array = np.asarray(target)
    if array.ndim == 0:
        array = np.full(samples, array)
    array = label_array(array, samples, "target")
    if array.dtype.kind not in "iu" and not (
        array.dtype.kind == "f" and np.all(np.mod(array, 1) == 0)
    ):
        raise ValueError(
            f"`target` must be classes, a callable on the logits, or None. Received: {target!r}."
        )
    return array.astype(np.int32)


def checked_baseline(baseline: GivenBaseline, x: Any) -> Any:
    """Returns a baseline as float32 arrays shaped like the inputs.

    Args:
        baseline: A number, an array shaped like one sample or like `x`, or a structure of these.
        x: Checked inputs.

    Raises:
        ValueError: If a shape is another, or a value is not finite.
    """
    if not tf.nest.is_nested(baseline) or not tf.nest.is_nested(x):
        return tf.nest.map_structure(lambda array: _like_samples(baseline, array), x)
    tf.nest.assert_same_structure(baseline, x, check_types=False)
    flat = [
        _like_samples(start, array)
        for start, array in zip(tf.nest.flatten(baseline), tf.nest.flatten(x), strict=True)
    ]
    return tf.nest.pack_sequence_as(x, flat)


def check_classes(target: NDArray[np.int32], classes: int, model: keras.Model) -> None:
    """Raises a `ValueError` if a class does not exist."""
    wrong = np.unique(target[(target < 0) | (target >= classes)])
    if len(wrong):
        raise ValueError(
            f"`target` holds classes that do not exist: {quoted(wrong)}. "
            f"{model.name!r} has {classes} classes here, 0 to {classes - 1}."
        )


def _is_structure(x: Any, shapes: list[tuple[int | None, ...]] | None) -> bool:
    """Whether a list stands for several inputs, and not for one array written as a list."""
    if not isinstance(x, list | tuple):
        return isinstance(x, dict)
    if shapes is None:
        return all(hasattr(part, "shape") and len(part.shape) > 1 for part in x)
    return len(shapes) > 1 or (len(x) == 1 and np.ndim(x[0]) == len(shapes[0]))


def _input_shapes(model: keras.Model) -> list[tuple[int | None, ...]] | None:
    """The shapes a model takes, or None for a subclassed model, which does not say."""
    try:
        return [tuple(tensor.shape) for tensor in model.inputs]
    except (AttributeError, TypeError, ValueError):
        return None


def _check_shapes(
    model: keras.Model, shapes: list[Any], x: Any, arrays: list[NDArray[np.float32]]
) -> None:
    if len(shapes) != len(arrays):
        raise ValueError(f"{model.name!r} has {len(shapes)} inputs. Received: {len(arrays)}.")
    if isinstance(
        x, dict
    ):  # by name, and not in the order of the model's inputs: Keras checks these
        return
    for shape, array in zip(shapes, arrays, strict=True):
        sizes = zip(shape[1:], array.shape[1:], strict=False)
        if len(shape) != array.ndim or any(size not in (None, given) for size, given in sizes):
            raise ValueError(
                f"{model.name!r} takes inputs of shape {shape}. Received shape {array.shape}."
            )


def _like_samples(baseline: ArrayLike, samples: NDArray[np.float32]) -> NDArray[np.float32]:
    array = np.asarray(baseline, dtype=np.float32)
    if array.shape not in ((), samples.shape, samples.shape[1:], (1, *samples.shape[1:])):
        raise ValueError(
            f"`baseline` must be a number, or of shape {samples.shape[1:]} or {samples.shape}. "
            f"Received shape {array.shape}."
        )
    if not np.all(np.isfinite(array)):
        raise ValueError("`baseline` must be finite. It holds NaN or infinity.")
    return np.ascontiguousarray(np.broadcast_to(array, samples.shape))
