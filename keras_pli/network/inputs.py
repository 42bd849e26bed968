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
_MOST_CLASSES = np.iinfo(np.int32).max


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
    """Returns the inputs as arrays in the structure they came in: float32, or a model's type of integers.

    Raises:
        ValueError: If an array is empty or not finite, their lengths differ, or their shapes do not fit the
            model.
        TypeError: If the values are not real numbers, or a stream of batches or an explanation came.
    """
    _check_kind(x)
    shapes = input_shapes(model)
    if not _is_structure(x, shapes):
        x = as_array(x, "x")
    _check_names(x, model)
    flat = tf.nest.flatten(x)
    names = ["x"] if len(flat) == 1 else [f"x[{index}]" for index in range(len(flat))]
    if isinstance(x, dict):
        names = [f"x[{key!r}]" for key in sorted(x)]
    wanted = _wanted(x, model)
    if wanted is not None and len(wanted) != len(flat):
        raise ValueError(f"{model.name!r} has {len(wanted)} inputs. Received: {len(flat)}.")
    arrays = [
        _checked_array(array, name, None if wanted is None else wanted[index])
        for index, (array, name) in enumerate(zip(flat, names, strict=True))
    ]
    if len({len(array) for array in arrays}) != 1:
        raise ValueError(
            "All inputs must have the same number of samples. "
            f"Received: {quoted(len(array) for array in arrays)}."
        )
    for tensor, array in zip(wanted or [], arrays, strict=False):
        _check_shape(model, tuple(tensor.shape), array)
    return tf.nest.pack_sequence_as(x, arrays)


def input_names(model: keras.Model, x: Any) -> list[str]:
    """Returns what each input is called, in the order in which `tf.nest` flattens `x`."""
    flat = tf.nest.flatten(x)
    if isinstance(x, dict) and len(x) == len(flat):
        return [str(key) for key in sorted(x)]
    wanted = _wanted(x, model)
    if wanted is not None and len(wanted) == len(flat):
        return [str(tensor.name) for tensor in wanted]
    return ["x"] if len(flat) == 1 else [f"x[{index}]" for index in range(len(flat))]


def fixed_batch(model: keras.Model) -> int | None:
    """Returns the number of samples that a model takes at a time; None where any number will do.

    A stateful layer keeps one state for each sample, and a functional model may be made for a
    `batch_shape`. Of a `Sequential` the batch it was first called on says nothing.
    """
    for layer in model._flatten_layers():
        if getattr(layer, "stateful", False) and getattr(layer, "states", None) is not None:
            return int(keras.tree.flatten(layer.states)[0].shape[0])
    shapes = input_shapes(model) or [(None,)]
    if isinstance(model, keras.Sequential) or shapes[0] == () or shapes[0][0] is None:
        return None
    return int(shapes[0][0])


def of_fixed_batch(model: keras.Model, inputs: Any) -> Any:
    """Returns tensors with the number of samples that a model takes, where it takes but one."""
    size = fixed_batch(model)
    if size is None:
        return inputs
    return tf.nest.map_structure(
        lambda leaf: tf.ensure_shape(leaf, (size, *leaf.shape[1:])), inputs
    )


def as_array(values: Any, name: str) -> NDArray[Any]:
    """Returns values as an array.

    Raises:
        ValueError: If samples have different shapes.
    """
    if isinstance(values, tf.RaggedTensor):
        raise ValueError(_ragged(name, values.row_lengths().numpy()))
    try:
        return np.asarray(values)
    except ValueError:
        lengths = [np.shape(part)[0] if np.shape(part) else 1 for part in _parts(values)]
        raise ValueError(_ragged(name, lengths)) from None


def checked_target(target: GivenTarget, samples: int) -> Any:
    """Returns a target as None, a callable, or int32 classes of shape `(samples,)`.

    Raises:
        ValueError: If there is not one whole number for each sample.
    """
    if target is None or callable(target):
        return target
    array = as_array(target, "target")
    if array.ndim == 0:
        array = np.full(samples, array)
    array = label_array(array, samples, "target")
    if array.dtype.kind not in "iu" and not (
        array.dtype.kind == "f" and np.all(np.mod(array, 1) == 0)
    ):
        raise ValueError(
            f"`target` must be classes, a callable on the logits, or None. Received: {target!r}."
        )
    beyond = np.unique(array[np.abs(array) > _MOST_CLASSES])
    if len(beyond):
        raise ValueError(
            f"`target` holds classes that do not exist: {quoted(beyond)}. Classes are numbered from 0."
        )
    return array.astype(np.int32)


def checked_baseline(baseline: GivenBaseline, x: Any) -> Any:
    """Returns a baseline as arrays like the inputs, of their shapes and types.

    Args:
        baseline: A number, an array shaped like one sample or like `x`, or a structure of these.
        x: Checked inputs.

    Raises:
        ValueError: If a shape is another, a value is not finite, or one for ids is not whole.
    """
    if not tf.nest.is_nested(baseline) or not tf.nest.is_nested(x):
        return tf.nest.map_structure(lambda array: _like_samples(baseline, array), x)
    tf.nest.assert_same_structure(baseline, x, check_types=False)
    flat = [
        _like_samples(start, array)
        for start, array in zip(tf.nest.flatten(baseline), tf.nest.flatten(x), strict=True)
    ]
    return tf.nest.pack_sequence_as(x, flat)


def baseline_tensors(baseline: GivenBaseline, x: Any) -> Any:
    """Returns a method's own baseline as tensors of the shapes and types of a batch of tensors `x`."""
    sample = tf.nest.map_structure(
        lambda leaf: np.zeros(
            (1, *(size or 1 for size in leaf.shape[1:])), leaf.dtype.as_numpy_dtype
        ),
        x,
    )
    return tf.nest.map_structure(
        lambda start, leaf: tf.broadcast_to(tf.constant(start), tf.shape(leaf)),
        checked_baseline(baseline, sample),
        x,
    )


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
    if len(shapes) > 1:
        return True
    return len(x) == 1 and not _is_ragged(x[0]) and np.ndim(x[0]) == len(shapes[0])


def input_shapes(model: keras.Model) -> list[tuple[int | None, ...]] | None:
    """The shapes a model takes, or None for a subclassed model, which does not say."""
    try:
        return [tuple(tensor.shape) for tensor in model.inputs]
    except (AttributeError, TypeError, ValueError):
        return None


def _wanted(x: Any, model: keras.Model) -> list[Any] | None:
    """The symbolic inputs of a model in the order in which `x` is flattened; None where it has none."""
    if input_shapes(model) is None:
        return None
    inputs = list(model.inputs)
    if not isinstance(x, dict):
        return inputs
    own = getattr(model, "_inputs_struct", None)
    named = own if isinstance(own, dict) else {tensor.name: tensor for tensor in inputs}
    if set(named) != set(x):  # with more than the model takes: Keras picks
        return None
    return [named[key] for key in sorted(x)]


def _check_kind(x: Any) -> None:
    """Raises a `TypeError` for what is no input, but is often handed over as one."""
    if isinstance(x, tf.data.Dataset | keras.utils.PyDataset) or hasattr(x, "__next__"):
        raise TypeError(
            f"`x` must be arrays, all samples at once. Received: {type(x).__name__}, which gives batches. "
            "`attribution.explain_dataset` explains a tf.data.Dataset; or join its batches by np.concatenate."
        )
    if hasattr(x, "attributions"):
        raise TypeError(
            "`x` must be the inputs of the model. Received: an Attribution, which is what a method found."
        )


def _check_names(x: Any, model: keras.Model) -> None:
    """Raises a `ValueError` if an input is missing from a dict."""
    shapes = input_shapes(model)
    if not isinstance(x, dict) or shapes is None:
        return
    own = getattr(model, "_inputs_struct", None)
    names = list(own) if isinstance(own, dict) else [tensor.name for tensor in model.inputs]
    missing = [name for name in names if name not in x]
    if missing:
        raise ValueError(
            f"{model.name!r} takes the inputs {quoted(names)}. Received: {quoted(x)}; missing: "
            f"{quoted(missing)}."
        )


def _checked_array(values: Any, name: str, tensor: Any) -> NDArray[Any]:
    """Checks an input beside the symbolic one that it is for, if that is known."""
    array = as_array(values, name)
    if array.dtype.kind == "O":
        raise TypeError(
            f"`{name}` must hold real numbers. Received dtype object: are samples of different lengths, or "
            "are there strings or None among them?"
        )
    scalars = tensor is not None and len(tensor.shape) == 1
    dtype = None if tensor is None else np.dtype(_numpy_name(tensor.dtype))
    least = array[:, None] if scalars and array.ndim == 1 else array
    checked = finite_array(least, name)
    if dtype is None or dtype.kind not in "iub":
        return checked.reshape(array.shape)
    return _whole(array, dtype, name)


def _numpy_name(dtype: str) -> str:
    """Types that NumPy does not know are floats."""
    return "float32" if dtype in ("bfloat16", "float8_e4m3fn", "float8_e5m2") else dtype


def _whole(array: NDArray[Any], dtype: Any, name: str) -> NDArray[Any]:
    """Returns ids in a model's type for them.

    Raises:
        ValueError: If one is not whole, or too large for the type.
    """
    found = array.astype(dtype, order="C")
    wrong = np.atleast_1d(array)[np.atleast_1d(found != array)]
    if len(wrong):
        first = wrong[0]
        raise ValueError(
            f"`{name}` must hold whole numbers that {dtype} can hold, such as ids. Received: {first}."
        )
    return found


def _check_shape(model: keras.Model, shape: tuple[int | None, ...], array: NDArray[Any]) -> None:
    sizes = zip(shape[1:], array.shape[1:], strict=False)
    if len(shape) != array.ndim or any(size not in (None, given) for size, given in sizes):
        raise ValueError(
            f"{model.name!r} takes inputs of shape {shape}. Received shape {array.shape}."
        )


def _ragged(name: str, lengths: Any) -> str:
    return (
        f"`{name}` must be an array, but its samples have different lengths: {quoted(lengths)}. Pad them to "
        "one length, as by `keras.utils.pad_sequences`."
    )


def _parts(values: Any) -> list[Any]:
    """The samples of what is no array; deeper down where these agree."""
    try:
        [np.asarray(part) for part in values]
    except ValueError:
        return next(_parts(part) for part in values if _is_ragged(part))
    return [np.asarray(part) for part in values]


def _is_ragged(values: Any) -> bool:
    try:
        np.asarray(values)
    except ValueError:
        return True
    return False


def _like_samples(baseline: ArrayLike, samples: NDArray[Any]) -> NDArray[Any]:
    array = np.asarray(baseline)
    array = array if samples.dtype.kind in "iub" else array.astype(np.float32)
    if array.shape not in ((), samples.shape, samples.shape[1:], (1, *samples.shape[1:])):
        raise ValueError(
            f"`baseline` must be a number, or of shape {samples.shape[1:]} or {samples.shape}. "
            f"Received shape {array.shape}."
        )
    if not np.all(np.isfinite(array)):
        raise ValueError("`baseline` must be finite. It holds NaN or infinity.")
    if samples.dtype.kind in "iub":
        array = _whole(array, samples.dtype, "baseline")
    return np.ascontiguousarray(np.broadcast_to(array, samples.shape))
