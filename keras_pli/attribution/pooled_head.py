"""Whether a network ends in a global average pooling and linear layers, as `CAM` needs."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import tensorflow as tf

from ..network.graph import operations_between
from ..network.kinds import CARRIERS, PRODUCTS, SUMS
from ..network.maps import LayerMaps

Tensor = Any

# Operations that leave every value at its position, or turn axes.
_IN_PLACE = {"Identity", "Cast", "ExpandDims", "Transpose"}
# Operations that are linear in all that they receive together, and those that are in each factor.
_LINEAR = CARRIERS | SUMS | {"StridedSlice", "Neg", "Sum", "Mean"}
_BILINEAR = PRODUCTS | {"Conv2D"}


def check_pooled_head(maps: LayerMaps, logits: Tensor, name: str) -> None:
    """Raises a `ValueError` if anything but averaging over all positions and linear layers follows maps.

    Args:
        maps: The maps.
        logits: What is made of them.
        name: The model's name, for the error.
    """
    # By name, where maps still have all their positions: along which axes.
    spread, pooled = {maps.tensor.name: maps.position_axes}, set[str]()
    for operation in operations_between(maps.tensor, logits):
        names = [tensor.name for tensor in operation.inputs]
        outputs = [tensor.name for tensor in operation.outputs]
        axes = next((spread[name] for name in names if name in spread), None)
        if axes is not None and operation.type in _IN_PLACE:
            spread.update(dict.fromkeys(outputs, _axes_after(operation, axes)))
        elif (
            _is_linear(operation, names, pooled) if axes is None else _averages_all(operation, axes)
        ):
            pooled.update(outputs)
        else:
            raise ValueError(
                "CAM needs a global average pooling and nothing but linear layers between the maps of "
                f"{maps.path!r} and the logits; in {name!r} there is {operation.type}. GradCAM explains "
                "any head."
            )


def _axes_after(operation: Any, axes: Collection[int]) -> tuple[int, ...]:
    """The axes of positions after an operation that leaves every value at its position, or turns axes."""
    if operation.type not in ("ExpandDims", "Transpose"):
        return tuple(axes)
    given = tf.get_static_value(operation.inputs[1])
    if operation.type == "Transpose":
        return tuple(given.tolist().index(axis) for axis in axes)
    place = int(given) % operation.outputs[0].shape.rank
    return tuple(axis + (axis >= place) for axis in axes)


def _averages_all(operation: Any, axes: Collection[int]) -> bool:
    """Whether an operation averages over all positions of what it receives, and over nothing else."""
    shape = operation.inputs[0].shape
    if operation.type == "Mean":
        gone = {int(axis) % shape.rank for axis in tf.get_static_value(operation.inputs[1]).ravel()}
        return gone >= set(axes) and all(shape[axis] == 1 for axis in gone - set(axes))
    if operation.type in ("AvgPool", "AvgPool3D"):
        window = operation.get_attr("ksize")
        whole = [window[axis] == shape[axis] for axis in axes]
        return all(whole) and operation.get_attr("padding") == b"VALID"
    return False


def _is_linear(operation: Any, names: Sequence[str], variable: Collection[str]) -> bool:
    """Whether an operation is linear in those of its inputs that are variable."""
    if operation.type in _BILINEAR:
        return sum(name in variable for name in names) == 1
    return operation.type in _LINEAR
