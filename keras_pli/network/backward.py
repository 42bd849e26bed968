"""The backward pass over a traced graph, with another derivative at chosen operations.

Working on TensorFlow's operations, and not on Keras layers, meets an activation whether it is an argument,
a layer, inside a nested model or a call of `keras.ops`; and what comes out is made of ordinary operations,
so that it compiles with XLA and exports without custom gradients.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import tensorflow as tf

from .graph import operations_between
from .pooling import box_max_gradient, is_irregular, window_max_gradient

Tensor = Any
Operation = Any
# From an operation and the gradients at its outputs to those at its inputs; None where there is none.
Rule: TypeAlias = Callable[[Operation, Sequence[Tensor | None]], Sequence[Tensor | None]]


def backpropagate(
    score: Tensor,
    sources: Any,
    rules: Mapping[str, Rule] | None = None,
    *,
    start: Tensor = None,
    within: bool = False,
) -> Any:
    """Returns the gradients of a score, with substituted derivatives where rules are given.

    Must be called in the graph in which `score` was computed.

    Args:
        score: Tensor whose sum is differentiated.
        sources: Tensor, or nested structure of tensors, to differentiate by. Each is a variable of its own,
            also where one is made from another.
        rules: A rule for each type of operation, such as `"Relu"`, that shall have another derivative.
        start: What to pass back from the score instead of ones.
        within: Whether the sources are tensors within the network, of which a custom gradient may pass some
            by, as that of SiLU does with what it made itself of another one.

    Returns:
        The structure of `sources`; zeros where the score does not depend on one.

    Raises:
        ValueError: If it depends on one in a way that has no derivative, or on none of them.
    """
    flat = tf.nest.flatten(sources)
    operations = operations_between(flat, score)
    rules = {**_corrections(operations), **(rules or {})}
    start = tf.ones_like(score) if start is None else start
    if any(operation.type in rules for operation in operations):
        found = _walk_back(score, start, flat, operations, rules)
    else:
        found = tf.gradients(score, flat, grad_ys=start, stop_gradients=flat)
    missing = [source for source, gradient in zip(flat, found, strict=True) if gradient is None]
    cut_off = not within and any(operations_between(one, score) for one in missing)
    if len(missing) == len(flat) or cut_off:
        raise ValueError(
            f"The score {score.name!r} has no gradient by {len(missing)} of {len(flat)} inputs: no "
            "differentiable way leads there. Are they rounded or cast to integers, as before an embedding? "
            "With embeddings='sum', methods such as Saliency explain what an embedding gives for ids; one "
            "without gradients, such as Occlusion, explains any input."
        )
    filled = [
        tf.zeros_like(source) if gradient is None else tf.convert_to_tensor(gradient)
        for source, gradient in zip(flat, found, strict=True)
    ]
    return tf.nest.pack_sequence_as(sources, filled)


def native_gradient(
    operation: Operation, gradients: Sequence[Tensor | None]
) -> list[Tensor | None]:
    """The operation's own derivative, as a rule."""
    if not any(attribute.HasField("func") for attribute in operation.node_def.attr.values()):
        operation = _on_copies(operation)
    received = [
        (output, gradient)
        for output, gradient in zip(operation.outputs, gradients, strict=True)
        if gradient is not None
    ]
    # An input that stands twice, as in x · x, is differentiated once, by both places together.
    inputs = {tensor.name: tensor for tensor in operation.inputs if _differentiable(tensor)}
    found = tf.gradients(
        [output for output, _ in received],
        list(inputs.values()),
        grad_ys=[gradient for _, gradient in received],
        stop_gradients=list(inputs.values()),
    )
    by_name = dict(zip(inputs, found, strict=True))
    return [by_name.pop(tensor.name, None) for tensor in operation.inputs]


def _on_copies(operation: Operation) -> Operation:
    """Repeats an operation on copies of its inputs, from which nothing else is made.

    `tf.gradients` searches everything made from where it stops, and would take quadratic time in all; and
    where that is what a function returned, it differentiates the function as well, in a way unknown to XLA.
    What of the copy is not needed for the derivative, TensorFlow leaves out.
    """
    inputs = [
        tf.identity(tensor) if _differentiable(tensor) else tensor for tensor in operation.inputs
    ]
    dtypes = [tensor.dtype for tensor in operation.outputs]
    return operation.graph.create_op(
        operation.type, inputs, dtypes, attrs=dict(operation.node_def.attr)
    )


def _walk_back(
    score: Tensor,
    start: Tensor,
    sources: Sequence[Tensor],
    operations: Sequence[Operation],
    rules: Mapping[str, Rule],
) -> list[Tensor | None]:
    waiting: dict[str, list[Tensor]] = {score.name: [start]}
    on_the_way = {source.name for source in sources}
    on_the_way.update(tensor.name for operation in operations for tensor in operation.outputs)
    for operation in reversed(operations):
        gradients = [_total(waiting.get(tensor.name)) for tensor in operation.outputs]
        if all(gradient is None for gradient in gradients):
            continue
        passed = rules.get(operation.type, native_gradient)(operation, gradients)
        for tensor, gradient in zip(operation.inputs, passed, strict=True):
            if gradient is not None and tensor.name in on_the_way:
                waiting.setdefault(tensor.name, []).append(gradient)
    return [_total(waiting.get(source.name)) for source in sources]


def _total(gradients: Sequence[Tensor] | None) -> Tensor | None:
    if not gradients:
        return None
    return gradients[0] if len(gradients) == 1 else tf.add_n(list(gradients))


def _differentiable(tensor: Tensor) -> bool:
    # A variant is a list of tensors, as a recurrent layer's loop takes and gives.
    return bool(tensor.dtype.is_floating or tensor.dtype == tf.variant)


def _corrections(operations: Sequence[Operation]) -> dict[str, Rule]:
    """Rules for where TensorFlow's own derivative is wrong; in force for every method."""
    pooled = [operation for operation in operations if operation.type == "MaxPool"]
    irregular = {"MaxPool": _window_max} if any(map(is_irregular, pooled)) else {}
    return {"MaxPool3D": _box_max, **irregular}


def _window_max(operation: Operation, gradients: Sequence[Tensor | None]) -> list[Tensor]:
    return [window_max_gradient(operation, operation.inputs[0], gradients[0])]


def _box_max(operation: Operation, gradients: Sequence[Tensor | None]) -> list[Tensor]:
    return [box_max_gradient(operation, operation.inputs[0], gradients[0])]
