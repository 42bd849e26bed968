"""What convolutions, poolings and resizings read: axis by axis, which entries lie in which window."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from ..network.graph import function_bodies
from ..network.kinds import CALLS, CONVOLUTIONS
from ..network.operations import inner_types
from ..network.static_values import run_on, static_value

Operation = Any
Mask = NDArray[np.bool_]
# What a function may hold beside one convolution without changing what it reads.
_BESIDE = frozenset({"ExpandDims", "Squeeze", "Identity", "Const", "NoOp", "ReadVariableOp"})
_TRANSPOSED = frozenset({"Conv2DBackpropInput", "Conv3DBackpropInputV2"})


def convolved(
    operation: Operation, masks: Sequence[Mask | None], places: Sequence[int]
) -> dict[int, Mask] | None:
    """The rule of convolutions, in groups, depthwise and transposed ones too (see `dependence.Rule`)."""
    kind, attributes = _convolution(operation)
    if kind is None or attributes["data_format"].startswith(b"NC"):
        return None
    mask, place = masks[0], places[0]
    own = {2} if kind in _TRANSPOSED else {0, 1} if operation.type in CALLS else {0}
    if mask is None or len(masks) > 1 or len(places) > 1 or place not in own:
        return None
    kernel = _kernel_shape(operation, place)
    given = tuple(operation.inputs[place].shape)
    if len(kernel) != len(given):
        return None
    axes = len(given) - 2
    # A signal may be convolved as an image of one row.
    strides, dilations = (attributes[name][1:-1][-axes:] for name in ("strides", "dilations"))
    pads = _explicit(attributes, axes)
    channels = given[-1]
    if kind in _TRANSPOSED:
        small, large, groups = given[1:-1], mask.shape[2:-1], 1
    else:
        small, large = mask.shape[2:-1], given[1:-1]
        groups = channels if kind == "DepthwiseConv2dNative" else channels // kernel[-2]
    seen = thin(mask)
    if seen.shape[-1] > 1 or mask.shape[-1] == 1:
        seen = any_over(seen.reshape(*mask.shape[:-1], groups, -1), -1)
    for axis in range(axes):
        matrix = window_matrix(
            large[axis],
            small[axis],
            kernel[axis],
            stride=strides[axis],
            dilation=dilations[axis],
            before=pads[axis] if pads else None,
            same=attributes["padding"] == b"SAME",
        )
        seen = _along(seen, matrix.T if kind in _TRANSPOSED else matrix, axis + 2)
    if seen.shape[-1] > 1:
        seen = np.repeat(seen, channels // groups, axis=-1)
    return {place: np.broadcast_to(seen, (*seen.shape[:-1], channels))}


def pooled(
    operation: Operation, masks: Sequence[Mask | None], places: Sequence[int]
) -> dict[int, Mask] | None:
    """The rule of poolings: every entry of a window may be what counts."""
    mask = masks[0]
    attributes = {
        name: operation.get_attr(name) for name in ("ksize", "strides", "padding", "data_format")
    }
    explicit = attributes["padding"] not in (b"SAME", b"VALID")
    sizes, strides = attributes["ksize"], attributes["strides"]
    if mask is None or explicit or attributes["data_format"].startswith(b"NC") or sizes[-1] != 1:
        return None
    given, seen = tuple(operation.inputs[0].shape), thin(mask)
    for axis in range(1, len(given) - 1):
        matrix = window_matrix(
            given[axis],
            mask.shape[axis + 1],
            sizes[axis],
            stride=strides[axis],
            same=attributes["padding"] == b"SAME",
        )
        seen = _along(seen, matrix, axis + 1)
    return {0: np.broadcast_to(seen, (*seen.shape[:-1], mask.shape[-1]))}


def resized(
    operation: Operation, masks: Sequence[Mask | None], places: Sequence[int]
) -> dict[int, Mask] | None:
    """The rule of resizings of images: found by resizing images of one row, and of one column."""
    mask, given = masks[0], tuple(operation.inputs[0].shape)
    values = [static_value(tensor) for tensor in operation.inputs[1:]]
    if mask is None or list(places) != [0] or any(value is None for value in values):
        return None
    seen = mask
    for axis in (1, 2):
        ones = np.zeros((given[axis], *given[1:3], 1), np.float32)
        lines = np.arange(given[axis])
        ones[(lines, lines) if axis == 1 else (lines, slice(None), lines)] = 1
        with tf.device("CPU"):
            made = np.asarray(run_on(operation, [ones, *values]))[..., 0]
        weighs = (np.abs(made) > 0).any(axis=2 if axis == 1 else 1)  # (given, made)
        seen = _along(seen, weighs.T, axis + 1)
    return {0: seen}


def window_matrix(
    given: int,
    made: int,
    size: int,
    *,
    stride: int = 1,
    dilation: int = 1,
    before: int | None = None,
    same: bool = False,
) -> Mask:
    """Returns which of the given entries each window along an axis reads, `(made, given)`.

    Args:
        given: Entries along the axis.
        made: Windows.
        size: Entries that a window reads.
        stride: From one window to the next.
        dilation: From one entry of a window to the next.
        before: How far the first window lies before the first entry; None where `same` tells.
        same: Whether padding is TensorFlow's "SAME": shared out, the odd entry behind.

    Example:
        >>> window_matrix(4, 2, 3, stride=2, same=True).astype(int).tolist()
        [[1, 1, 1, 0], [0, 0, 1, 1]]
    """
    if before is None:
        reach = (made - 1) * stride + (size - 1) * dilation + 1
        before = max(reach - given, 0) // 2 if same else 0
    read = np.arange(made)[:, None] * stride - before + np.arange(size) * dilation
    return np.asarray((read[:, :, None] == np.arange(given)).any(axis=1))


def any_over(mask: Mask, axes: int | tuple[int, ...], *, keepdims: bool = False) -> Mask:
    """Returns whether any entry along some axes is true.

    Example:
        >>> any_over(np.array([[False, True], [False, False]]), 1).tolist()
        [True, False]
    """
    return np.asarray(np.any(mask, axis=axes, keepdims=keepdims))


def thin(mask: Mask) -> Mask:
    """Returns one channel of a mask that was broadcast over channels, so that all are the same; else all.

    Example:
        >>> thin(np.broadcast_to(np.ones((2, 1), bool), (2, 64))).shape
        (2, 1)
    """
    return mask[..., :1] if mask.strides[-1] == 0 else mask


def joined(mask: Mask, other: Mask) -> Mask:
    """Returns where either of two masks is true.

    Example:
        >>> joined(np.array([True, False]), np.array([False, False])).tolist()
        [True, False]
    """
    return np.broadcast_to(thin(mask) | thin(other), mask.shape)


def _along(mask: Mask, matrix: Mask, axis: int) -> Mask:
    """Carries a mask back along one axis: `matrix` is `(made, given)`."""
    moved = np.moveaxis(mask, axis, -1).astype(np.float32) @ matrix.astype(np.float32)
    return np.moveaxis(moved > 0, -1, axis)


def _convolution(operation: Operation) -> tuple[str | None, Mapping[str, Any]]:
    """The kind and attributes of a convolution, also of one that Keras compiles apart; None for others."""
    names = ("strides", "dilations", "padding", "data_format")
    if operation.type in CONVOLUTIONS:
        found = {name: operation.get_attr(name) for name in names}
        if "explicit_paddings" in operation.node_def.attr:
            found["explicit_paddings"] = operation.get_attr("explicit_paddings")
        return operation.type, found
    types = inner_types(operation)
    if (
        operation.type not in CALLS
        or not types <= CONVOLUTIONS | _BESIDE
        or len(operation.outputs) != 1
    ):
        return None, {}
    bodies = function_bodies(operation.graph)
    nodes = bodies[operation.get_attr("f").name].node_def
    convolutions = [node for node in nodes if node.op in CONVOLUTIONS - _TRANSPOSED]
    if len(convolutions) != 1:
        return None, {}
    attributes = convolutions[0].attr
    return convolutions[0].op, {
        "strides": list(attributes["strides"].list.i),
        "dilations": list(attributes["dilations"].list.i),
        "padding": attributes["padding"].s,
        "data_format": attributes["data_format"].s,
        "explicit_paddings": list(attributes["explicit_paddings"].list.i),
    }


def _kernel_shape(operation: Operation, place: int) -> tuple[int, ...]:
    """The shape of a convolution's kernel, which a function may hold as a variable; () where unknown."""
    is_function = operation.type in CALLS
    if is_function and len(operation.inputs) != 2:
        return ()
    kernel = operation.inputs[1 - place if is_function else 1]
    if kernel.dtype != tf.resource:
        return tuple(kernel.shape) if kernel.shape.is_fully_defined() else ()
    held = {inner.name: outer for outer, inner in operation.graph.captures}
    variables = {id(variable.handle): variable for variable in operation.graph.variables}
    variable = variables.get(id(held.get(kernel.name)))
    return () if variable is None else tuple(variable.shape)


def _explicit(attributes: Mapping[str, Any], axes: int) -> list[int] | None:
    """How far each axis is padded in front, where an operation says so itself."""
    if attributes["padding"] in (b"SAME", b"VALID"):
        return None
    pairs = attributes["explicit_paddings"]
    return list(pairs[2:-2:2][-axes:])
