"""What is known of a tensor before a graph runs, also where it is worked out from the shape of another."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

Tensor = Any

# The arithmetic of sizes, as of a crop to an aspect ratio.
_ARITHMETIC = frozenset(
    {
        *("AddV2", "Sub", "Mul", "RealDiv", "FloorDiv", "FloorMod", "Minimum", "Maximum", "Neg"),
        *("Cast", "Pack", "ConcatV2", "StridedSlice", "GatherV2", "Prod"),
        *("Reshape", "ExpandDims", "Squeeze"),
    }
)


def static_value(tensor: Tensor) -> Any:
    """Returns the array that a tensor of a graph holds; None where it is not known before the graph runs."""
    known = tf.get_static_value(tensor)
    operation = tensor.op
    if known is not None:
        return np.asarray(known)
    if operation.type == "Shape":
        sizes = operation.inputs[0].shape
        # The number of samples is open, and no size is worked out from it.
        whole = sizes.rank and None not in tuple(sizes[1:])
        return np.array([sizes[0] or -1, *sizes[1:]], np.int32) if whole else None
    if operation.type not in _ARITHMETIC:
        return None
    values = [static_value(given) for given in operation.inputs]
    if any(value is None for value in values):
        return None
    return np.asarray(run_on(operation, values))


def run_on(operation: Any, values: list[Any]) -> Any:
    """Runs an operation of a graph, at once, on other values for its inputs; returns what it makes.

    Args:
        operation: One without functions or variables.
        values: One for each of its inputs; their types may be others than in the graph.
    """
    given, inferred = dict[str, Any](), set[str]()
    for argument in operation.op_def.input_arg:
        inferred |= {argument.type_attr, argument.number_attr}
        if argument.number_attr:
            count = operation.get_attr(argument.number_attr)
            given[argument.name], values = values[:count], values[count:]
        else:
            given[argument.name], *values = values
    for attribute in operation.op_def.attr:
        if attribute.name not in inferred:
            given[attribute.name] = operation.get_attr(attribute.name)
    with tf.init_scope():
        return getattr(tf.raw_ops, operation.type)(**given)
