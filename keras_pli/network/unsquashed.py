"""The softmax or sigmoid that a traced output ends in, and logits brought to where it has probabilities."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from .graph import reader
from .kinds import CARRIERS
from .logits import squashing_of

Tensor = Any
Operation = Any

# What may stand between a softmax or sigmoid and the output.
_THROUGH = CARRIERS | {"Transpose"}


def final_squashing(output: Tensor, inputs: Any) -> Operation | None:
    """Returns the softmax or sigmoid that a model ends in; None where the output is a logit itself.

    Args:
        output: What the model gave, in a graph that is being traced.
        inputs: What it was given.

    Raises:
        ValueError: If the output is neither, or what made it runs within a compiled function.
    """
    step = squashing_of(output, reader(inputs, output), through=_THROUGH)
    if step is not None and step.operation is None:
        raise ValueError(f"its {step.kind} runs within a compiled function")
    return None if step is None else step.operation


def traced_logits(output: Tensor, inputs: Any) -> Tensor:
    """Returns the logits of a traced output, in its shape; see `final_squashing`."""
    squashing = final_squashing(output, inputs)
    return output if squashing is None else unsquashed(output, squashing)


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
        return _of_size(after, before[axis]) if order is None else list(order).index(axis)
    if before.as_list() == after.as_list():
        return axis
    if before[axis] is not None and before[axis] == before[1:].num_elements():
        # A sample's values all lie along this axis, and then along another one.
        return _of_size(after, before[axis])
    kept = axis == before.rank - 1 and before[-1] is not None and before[-1] == after[-1]
    return after.rank - 1 if kept else None


def _of_size(shape: Any, size: int | None) -> int | None:
    """The one axis of a size, behind the first; None if there is no such axis, or several."""
    places = [axis for axis in range(1, shape.rank) if shape[axis] == size]
    return places[0] if size is not None and len(places) == 1 else None


def _hands_on(output: Tensor, squashing: Operation) -> list[Operation]:
    """The operations from a squashing to the output, in the order they run."""
    steps = []
    operation = output.op
    while operation.name != squashing.name:
        steps.append(operation)
        operation = operation.inputs[0].op
    return steps[::-1]
