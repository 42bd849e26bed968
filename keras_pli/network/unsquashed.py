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
    axis = shape.rank - 1
    for operation in _hands_on(output, squashing):
        if operation.type == "Transpose":
            axis = list(tf.get_static_value(operation.inputs[1])).index(axis)
        elif operation.outputs[0].shape != operation.inputs[0].shape:
            before, after = operation.inputs[0].shape, operation.outputs[0].shape
            kept = axis == before.rank - 1 and before[-1] is not None and before[-1] == after[-1]
            axis = after.rank - 1 if kept else -1
        if axis < 0:
            break
    if axis != output.shape.rank - 1:
        raise ValueError(
            f"its {squashing.type} runs over {shape[-1]} values that are not the last axis of the output, of "
            f"shape is {tuple(output.shape)}"
        )


def _hands_on(output: Tensor, squashing: Operation) -> list[Operation]:
    """The operations from a squashing to the output, in the order they run."""
    steps = []
    operation = output.op
    while operation.name != squashing.name:
        steps.append(operation)
        operation = operation.inputs[0].op
    return steps[::-1]
