"""Directions in weight space: random ones, filter by filter as long as the weights, and between solutions.

A direction is a list of arrays, one for each of `model.trainable_variables`, in their order and of their
shapes. What is not trainable, such as the moving statistics of a batch normalisation, is in no direction.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import keras
import numpy as np
from numpy.typing import NDArray

from ...checks import checked_number
from ...network.layers import check_model

Direction: TypeAlias = "list[NDArray[Any]]"

_NORMALIZATIONS = (
    keras.layers.BatchNormalization,
    keras.layers.GroupNormalization,
    keras.layers.LayerNormalization,
    *(  # younger than the oldest Keras that serves
        getattr(keras.layers, name) for name in ("RMSNormalization",) if hasattr(keras.layers, name)
    ),
)
_TRANSPOSED = tuple(
    getattr(keras.layers, name)
    for name in ("Conv1DTranspose", "Conv2DTranspose", "Conv3DTranspose")
    if hasattr(keras.layers, name)
)
_DEPTHWISE = (keras.layers.DepthwiseConv1D, keras.layers.DepthwiseConv2D)


def filter_normalized_directions(
    model: keras.Model, count: int = 2, *, include_biases: bool = False, seed: int = 0
) -> list[Direction]:
    """Draws random directions in which every filter is as long as the filter of the weights.

    Each is drawn from a Gaussian, then scaled filter by filter, d_ij <- d_ij / ‖d_ij‖ · ‖θ_ij‖ (Li et al.
    2018, "Visualizing the Loss Landscape of Neural Nets", section 4). So surfaces of networks whose layers
    differ in scale alone, as rectifiers allow, are the same.

    What a filter is, by the weight's layer:

    - `Dense`, convolutions, the pointwise half of a separable one: the weights of one output (last axis).
    - Transposed convolutions: likewise, where the output units are the last axis but one.
    - Depthwise convolutions, the depthwise half of a separable one: one input channel and multiplier.
    - `EinsumDense`, of which attention is made: one entry of the axes that the inputs lack.
    - `Embedding`: the vector of one id.
    - Recurrent cells: the input's, and the state's, weights of one unit of one gate (last axis).
    - Other weights of two or more axes: one entry of the last axis.
    - Biases, the scales and offsets of normalisations, other weights of a single axis: not moved (zero), as
      the paper has it. With `include_biases`, each number is a filter of its own, ±|θ|.

    Args:
        model: A Keras model with its weights. Only trainable ones are moved.
        count: Number of directions.
        include_biases: Whether biases and normalisations are moved, too.
        seed: Seed of the directions.

    Returns:
        The directions, each a list of float32 arrays like `model.trainable_variables`.

    Raises:
        TypeError: If `model` is not a Keras model.
        ValueError: If it has no weights that are trainable, or `count` is not a whole number from 1.

    Example:
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
        >>> (kernel, bias), _ = filter_normalized_directions(model)
        >>> weights = model.layers[0].kernel.numpy()
        >>> np.allclose(np.linalg.norm(kernel, axis=0), np.linalg.norm(weights, axis=0)), bias.tolist()
        (True, [0.0, 0.0, 0.0])
    """
    variables = trainable_variables(model)
    count = checked_number(count, "count", least=1, whole=True)
    generator = np.random.default_rng(checked_number(seed, "seed", least=0, whole=True))
    filters = _filter_axes(model)
    weights = [np.asarray(keras.ops.convert_to_numpy(v.value), np.float64) for v in variables]
    return [
        [
            _normalized(
                generator.standard_normal(weight.shape),
                weight,
                filters.get(id(variable), _of_any(variable)),
                include_biases,
            )
            for variable, weight in zip(variables, weights, strict=True)
        ]
        for _ in range(count)
    ]


def direction_between(one: Sequence[Any], other: Sequence[Any]) -> Direction:
    """Returns the direction that leads from one solution to another, `other - one`.

    Args:
        one: A list of arrays such as the weights of a solution, or a Keras model, whose trainable weights
            count.
        other: Another of the same shapes.

    Raises:
        ValueError: If numbers or shapes of the weights differ; the first that does is named.

    Example:
        >>> direction_between([np.ones((2, 1))], [np.zeros((2, 1))])[0].tolist()
        [[-1.0], [-1.0]]
    """
    start, end = _trainable(one), _trainable(other)
    check_same_shapes(start, end, "other")
    return [
        np.asarray(b, np.float64) - np.asarray(a, np.float64)
        for a, b in zip(start, end, strict=True)
    ]


def trainable_variables(model: keras.Model) -> list[Any]:
    """Returns the variables that a direction moves.

    Raises:
        TypeError: If `model` is not a Keras model.
        ValueError: If there are none, since it is not built or all of it is frozen.
    """
    check_model(model)
    variables = list(model.trainable_variables)
    if not variables:
        state = "is not built yet: call it on data once" if not model.built else "has none"
        raise ValueError(f"The loss surface is one over trainable weights. {model.name!r} {state}.")
    return variables


def check_same_shapes(
    wanted: Sequence[Any], given: Sequence[Any], name: str, paths: Sequence[str] | None = None
) -> None:
    """Raises a `ValueError` that names the first array whose shape is another.

    Args:
        wanted: Arrays or variables of the right shapes.
        given: Those that came.
        name: What the caller calls them.
        paths: What each of them is, for the error.
    """
    for index, (one, other) in enumerate(zip(wanted, given, strict=False)):
        if _shape(one) != _shape(other):
            what = f" ({paths[index]})" if paths else ""
            raise ValueError(
                f"`{name}` must have weights of the same shapes. Weight {index}{what} has shape "
                f"{_shape(one)}. Received: {_shape(other)}."
            )
    if len(wanted) != len(given):
        raise ValueError(
            f"`{name}` must have as many weights, {len(wanted)}. Received: {len(given)}."
        )


def _shape(array: Any) -> tuple[int, ...]:
    return tuple(array.shape if hasattr(array, "shape") else np.shape(array))


def _trainable(solution: Any) -> list[Any]:
    if isinstance(solution, keras.Model):
        return [keras.ops.convert_to_numpy(v.value) for v in trainable_variables(solution)]
    return list(solution)


def _normalized(
    drawn: NDArray[np.float64],
    weight: NDArray[np.float64],
    filters: tuple[int, ...] | None,
    include_biases: bool,
) -> NDArray[np.float32]:
    """Scales each filter to the length it has in the weights.

    Args:
        drawn: A random direction.
        weight: The weights.
        filters: The axes of which each entry is a filter; None for a bias or normalisation.
        include_biases: Whether those are moved.
    """
    if filters is None:
        if not include_biases:
            return np.zeros(weight.shape, np.float32)
        filters = tuple(range(weight.ndim))
    within = tuple(axis for axis in range(weight.ndim) if axis not in filters)

    def lengths(values: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.sqrt(np.sum(values**2, axis=within, keepdims=True))

    return (drawn * lengths(weight) / np.maximum(lengths(drawn), 1e-30)).astype(np.float32)


def _filter_axes(model: keras.Model) -> dict[int, tuple[int, ...] | None]:
    """The axes of which each entry is a filter, by variable; None for biases and normalisations."""
    found: dict[int, tuple[int, ...] | None] = {}
    for layer in model._flatten_layers():
        if isinstance(layer, _NORMALIZATIONS):
            found |= {id(variable): None for variable in layer.trainable_variables}
        for name, axes in _axes_by_name(layer).items():
            # Where an adapter (LoRA) is enabled, `kernel` is a sum and no variable.
            variable = getattr(layer, f"_{name}", None)
            variable = getattr(layer, name, None) if variable is None else variable
            found[id(variable)] = axes
    return found


def _axes_by_name(layer: Any) -> dict[str, tuple[int, ...]]:
    """Where a layer's kernels do not have their output units last: the axes of filters by attribute."""
    if isinstance(layer, _TRANSPOSED):
        return {"kernel": (-2 % layer.kernel.ndim,)}
    if isinstance(layer, _DEPTHWISE):
        rank = layer.kernel.ndim
        return {"kernel": (rank - 2, rank - 1)}
    if isinstance(layer, keras.layers.SeparableConv1D | keras.layers.SeparableConv2D):
        rank = layer.depthwise_kernel.ndim
        return {"depthwise_kernel": (rank - 2, rank - 1)}
    if isinstance(layer, keras.layers.Embedding):
        return {"embeddings": (0,)}
    if isinstance(layer, keras.layers.EinsumDense):
        return {"kernel": _einsum_outputs(layer.equation)}
    return {}


def _einsum_outputs(equation: str) -> tuple[int, ...]:
    """The kernel's axes that the output has and the input has not.

    Example:
        >>> _einsum_outputs("abc,cde->abde")
        (1, 2)
    """
    given, _, output = equation.replace("...", "").replace(" ", "").partition("->")
    inputs, kernel = given.split(",")
    return tuple(axis for axis, name in enumerate(kernel) if name in output and name not in inputs)


def _of_any(variable: Any) -> tuple[int, ...] | None:
    """The rule for weights that no layer has a rule for."""
    # A GRU has a bias of two rows.
    is_bias = len(variable.shape) < 2 or variable.name.split("/")[-1].endswith("bias")
    return None if is_bias else (len(variable.shape) - 1,)
