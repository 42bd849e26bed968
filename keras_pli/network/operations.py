"""Kinds of TensorFlow operations, as the substituted backward rules tell them apart."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import tensorflow as tf

from .graph import function_bodies
from .kinds import (
    AVERAGES,
    CALLS,
    CARRIERS,
    CONVOLUTIONS,
    MAXIMA,
    PLACINGS,
    PRODUCTS,
    RECTIFIERS,
    RESIZINGS,
    SUMS,
)

Operation = Any

# y = f(z), value by value; of two inputs, such as a base and its exponent, one is z.
ELEMENTWISE = RECTIFIERS | {
    *("Sigmoid", "Tanh", "Softplus", "Softsign", "Exp", "Expm1", "Log", "Log1p", "Erf", "Erfc"),
    *("Abs", "Square", "Sqrt", "Rsqrt", "Reciprocal", "Inv", "Pow", "Sin", "Cos", "Atan"),
    *("Maximum", "Minimum", "ClipByValue"),
}
COMPARISONS = frozenset({"Greater", "GreaterEqual", "Less", "LessEqual", "Equal", "NotEqual"})
# Between truth values, as masks are joined.
LOGIC = frozenset({"LogicalAnd", "LogicalOr", "LogicalNot"})
# Tell what can be computed with; what they say is held.
FINITENESS = frozenset({"IsFinite", "IsInf", "IsNan"})
SOFTMAXES = frozenset({"Softmax", "LogSoftmax"})
# The largest or smallest of several values; `Any` and `All` are those of truth values.
EXTREMA = MAXIMA | {"Min", "Any", "All"}
# Hand on what they get, also where TensorFlow's own derivative is another: `custom_gradient` wraps its
# results in an IdentityN.
STRAIGHT = frozenset({"IdentityN", "StopGradient"})
# What Keras compiles apart for a convolution in groups.
_CONVOLVING = CONVOLUTIONS | {
    *("SpaceToBatchND", "BatchToSpaceND", "ExpandDims", "Squeeze", "Identity")
}
# Linear in one input, where the others do not depend on x.
_LINEAR_IN_ONE = (
    (_CONVOLVING | PRODUCTS | PLACINGS | RESIZINGS | AVERAGES | CARRIERS)
    | {"FusedBatchNormV3", "Neg"}
) - STRAIGHT
# With rules for one input that depends on x, and for several.
_OF_SEVERAL = (SUMS | STRAIGHT | PRODUCTS | LOGIC | FINITENESS) | {
    *("SelectV2", "SquaredDifference", "RealDiv")
}
# Between one over a size and the product in which it normalizes.
_RESCALINGS = CARRIERS | {"Mul", "Minimum", "Maximum", "BroadcastTo", "Tile", "Transpose", "Neg"}
# Affine in one input, and of these the ones in which each sample of a batch stays where it is.
_BY_SAMPLE = frozenset(
    {
        *("Conv2D", "Conv3D", "DepthwiseConv2dNative", "MatMul", "FusedBatchNormV3", "AvgPool"),
        *("AvgPool3D", "Pad", "RealDiv", "Mul", "AddV2", "Sub", "BiasAdd", "Neg", "Cast"),
        *("Identity", "EnsureShape", "Reshape", "ExpandDims", "Squeeze"),
    }
)
_EITHER = frozenset({"Mul", "AddV2", "Sub"})
# What a function holds beside the operations that matter.
_NO_VALUES = frozenset({"Const", "ReadVariableOp", "NoOp"})


def is_rectifier(operation: Operation) -> bool:
    """Whether an operation is a rectifier: one by name, or the maximum with zero."""
    if operation.type == "Maximum":
        values = [tf.get_static_value(tensor) for tensor in operation.inputs]
        return any(value is not None and not value.any() for value in values)
    return operation.type in RECTIFIERS


def dependent_places(operation: Operation, dependent: Collection[str]) -> list[int]:
    """The positions of the inputs whose names are among those that depend on x."""
    return [place for place, tensor in enumerate(operation.inputs) if tensor.name in dependent]


def continuously_dependent(x: Any, operations: Sequence[Operation]) -> set[str]:
    """The names of the tensors that depend on x through numbers, and not by truth values alone.

    A mask is found by comparing; small changes of x do not change it.
    """
    found = {tensor.name for tensor in tf.nest.flatten(x)}
    for operation in operations:
        if dependent_places(operation, found):
            outputs = (tensor for tensor in operation.outputs if not tensor.dtype.is_bool)
            found.update(tensor.name for tensor in outputs)
    return found


def is_normalizer(tensor: Any, dependent: Collection[str]) -> bool:
    """Whether a tensor is one over a size that depends on x, as layer normalization multiplies by."""
    while tensor.name in dependent:
        operation = tensor.op
        places = dependent_places(operation, dependent)
        if operation.type in {"Rsqrt", "Reciprocal", "Inv"}:
            return True
        if operation.type == "RealDiv":
            return places == [1]
        if operation.type not in _RESCALINGS or len(places) != 1:
            return False
        tensor = operation.inputs[places[0]]
    return False


def is_affine_by_sample(operation: Operation, dependent: Collection[str]) -> bool:
    """Whether an operation has one derivative at all inputs, and keeps samples along the first axis.

    Only operations in which both is certain are known here. The number of samples must not be fixed.
    """
    places, output = dependent_places(operation, dependent), operation.outputs[0]
    if operation.type not in _BY_SAMPLE or len(places) > 1 or not output.shape.rank:
        return False
    if places[0] > 0 and operation.type not in _EITHER:
        return False
    if operation.type == "FusedBatchNormV3" and operation.get_attr("is_training"):
        return False
    given = operation.inputs[places[0]]
    samples = (given.shape[0], output.shape[0])
    return given.dtype.is_floating and output.dtype.is_floating and samples == (None, None)


def inner_types(operation: Operation) -> set[str]:
    """The types of operations in the functions that an operation calls, as a loop its body."""
    attributes = operation.node_def.attr.values()
    waiting = [function.name for value in attributes for function in _functions(value)]
    if not waiting:
        return set()
    bodies = function_bodies(operation.graph)
    types: set[str] = set()
    seen: set[str] = set()
    while waiting:
        name = waiting.pop()
        if name in seen or name not in bodies:
            continue
        seen.add(name)
        for node in bodies[name].node_def:
            types.add(node.op)
            waiting += [inner.name for value in node.attr.values() for inner in _functions(value)]
    return types


def check_decomposable(
    operations: Sequence[Operation], dependent: Collection[str], method: str
) -> None:
    """Raises unless a score can be passed back through every operation without loss.

    Args:
        operations: Those on the ways from the inputs to the score.
        dependent: Names of the tensors that depend on the inputs.
        method: Who asks; named in the error.

    Raises:
        ValueError: If there is no rule for an operation; its type and its name, which has the layer's in it,
            are given.
    """
    for operation in operations:
        places = dependent_places(operation, dependent)
        if not _decomposable(operation, places):
            several = (
                f" of {len(places)} tensors that depend on the input" if len(places) > 1 else ""
            )
            raise ValueError(
                f"{method} has no rule for the operation {operation.type!r}{several} at {operation.name!r}. "
                "Explain a `layer` before it, or use a method that needs no rules, such as "
                "IntegratedGradients."
            )


def _decomposable(operation: Operation, places: Sequence[int]) -> bool:
    kind, first, made = operation.type, operation.inputs[places[0]], operation.outputs[0]
    if kind in _OF_SEVERAL:
        return True
    if kind in COMPARISONS:
        return bool(first.dtype.is_floating)
    if len(places) > 1:
        return False
    if kind in ELEMENTWISE:
        return made.shape.as_list() == first.shape.as_list()
    if kind == "Cast":  # numbers to whole numbers is a step that has no rule
        return bool((first.dtype.is_floating or first.dtype.is_bool) and made.dtype.is_floating)
    if kind == "FusedBatchNormV3":
        return places[0] == 0 and not operation.get_attr("is_training")
    if kind in CALLS:  # Keras compiles a convolution in groups apart
        return inner_types(operation) <= _CONVOLVING | _NO_VALUES
    if first.dtype.is_integer:  # where to take values from, and not what to take
        return False
    return kind in _LINEAR_IN_ONE | EXTREMA | SOFTMAXES


def _functions(attribute: Any) -> list[Any]:
    single = [attribute.func] if attribute.HasField("func") else []
    return [*single, *attribute.list.func]
