"""From a softmax or sigmoid on to the output: logits brought to where the output has its probabilities."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

Tensor = Any
Operation = Any


def unsquashed(output: Tensor, squashing: Operation) -> Tensor:
    """Returns what a squashing received, handed on as its result was, so that it has the output's places.

    Args:
        output: What was made of the squashing's result by operations that only hand values on.
        squashing: The operation that is undone.
    """
    values = squashing.inputs[0]
    for operation in _hands_on(output, squashing):
        if operation.type == "Transpose":
            values = tf.transpose(values, operation.inputs[1])
        elif operation.type in ("Reshape", "Squeeze", "ExpandDims"):
            values = tf.reshape(values, tf.shape(operation.outputs[0]))
    return tf.ensure_shape(values, output.shape)


def check_class_axis(output: Tensor, squashing: Operation) -> None:
    """Raises a `ValueError` if a softmax ran over other values than those of the output's last axis."""
    shape = squashing.inputs[0].shape
    axis: int | None = shape.rank - 1
    for operation in _hands_on(output, squashing):
        axis = None if axis is None else _axis_after(operation, axis)
    if axis is None or axis != output.shape.rank - 1:
        raise ValueError(
            f"its {squashing.type} runs over {shape[-1]} values, which are not the last axis of an output of "
            f"shape {tuple(output.shape)}"
        )


def _axis_after(operation: Operation, axis: int) -> int | None:
    """Where an axis of what an operation hands on ends up; None if it does not stay one."""
    before, after = operation.inputs[0].shape, operation.outputs[0].shape
    if operation.type == "Transpose":
        order = tf.get_static_value(operation.inputs[1])
        return None if order is None else list(order).index(axis)
    if before.as_list() == after.as_list():
        return axis
    kept = axis == before.rank - 1 and before[-1] is not None and before[-1] == after[-1]
    return after.rank - 1 if kept else None


def _hands_on(output: Tensor, squashing: Operation) -> list[Operation]:
    """The operations from a squashing to the output, in the order they run."""
    steps = []
    operation = output.op
    while operation.name != squashing.name:
        steps.append(operation)
        operation = operation.inputs[0].op
    return steps[::-1]
