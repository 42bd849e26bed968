"""Where numbers become whole on their way to a score: what then depends on them has no gradient.

A gradient that passes around such a place is that of a part of what an input does, and looks complete.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import keras
import tensorflow as tf

from .graph import operations_between
from .kinds import CARRIERS, PLACINGS

Tensor = Any
Operation = Any

_ROUNDINGS = frozenset({"Round", "Rint", "Floor", "Ceil", "FloorDiv"})
_CODES = frozenset({"Bucketize", "LowerBound", "UpperBound", "AsString"})
_MOVES = (CARRIERS | PLACINGS) - {"Cast"}


def embedding_layers(model: keras.Model) -> list[keras.layers.Layer]:
    """Returns the embeddings of a model, wherever they are."""
    layers = model._flatten_layers(include_self=False)
    return [layer for layer in layers if isinstance(layer, keras.layers.Embedding)]


def check_steps(model: keras.Model, sources: Any, score: Tensor) -> None:
    """Raises a `ValueError` if a score depends on numbers that were rounded or made ids of, too.

    Masks and switches, which compare, are none of these; nor is a rounding that the score has a gradient
    around, as x − ⌊x⌋, or that has a gradient of its own.
    """
    if not any(_makes_whole(operation) for operation in score.graph.get_operations()):
        return
    flat = tf.nest.flatten(sources)
    operations = operations_between(flat, score)
    step = step_on_the_way(flat, score, operations)
    if step is None:
        return
    advice = (
        "Pass embeddings='sum' to explain ids at the embedding that looks them up; of what else is made of "
        "them, as one-hot codes, only a method without gradients, such as Occlusion, sees anything."
        if embedding_layers(model)
        else "A method without gradients, such as Occlusion, explains such values."
    )
    raise ValueError(
        f"The score of {model.name!r} also depends on values of the input that are made whole numbers, by "
        f"{step.type!r} at {step.name!r}, which has no gradient: attributions of 0 would be wrong. {advice}"
    )


def step_on_the_way(
    sources: Sequence[Tensor], target: Tensor, operations: Sequence[Operation]
) -> Operation | None:
    """Returns an operation that makes whole numbers of what comes from real sources, for the target; or None.

    Args:
        sources: Where the ways begin.
        target: Where they lead.
        operations: Those between them (see `operations_between`).
    """
    real = {source.name for source in sources if source.dtype.is_floating}
    steps = [operation for operation in operations if _makes_whole(operation)]
    if not steps:
        return None
    whole: dict[str, Operation] = {}
    harmless: set[str] = set()
    for operation in operations:
        names = [tensor.name for tensor in operation.inputs]
        made = [tensor.name for tensor in operation.outputs if not tensor.dtype.is_bool]
        before = [whole[name] for name in names if name in whole]
        dependent = [name for name in names if name in real]
        if before and not _has_own_gradient(operation, names, real, whole):
            whole.update(dict.fromkeys(made, before[0]))
        elif dependent and operation in steps and not harmless.issuperset(dependent):
            if operation.type in _ROUNDINGS and _is_passed_around(operation, target, operations):
                harmless.update(made)
            else:
                whole.update(dict.fromkeys(made, operation))
        elif dependent and harmless.issuperset(dependent):
            harmless.update(made)
        if dependent:
            real.update(made)
    return whole.get(target.name)


def leads_by_ids(ids: Tensor, target: Tensor, vectors: Collection[str]) -> Operation | None:
    """Returns what makes other numbers of ids than vectors looked up and masks, for a target; or None.

    Args:
        ids: An input.
        target: The score.
        vectors: Names of what was looked up.
    """
    reached: dict[str, Operation | None] = {ids.name: None}
    for operation in operations_between(ids, target):
        before = [reached[tensor.name] for tensor in operation.inputs if tensor.name in reached]
        if not before:
            continue
        first = next((one for one in before if one is not None), None)
        if first is None and not operation.outputs[0].dtype.is_integer:
            first = operation
        made = [tensor for tensor in operation.outputs if not tensor.dtype.is_bool]
        reached.update({tensor.name: first for tensor in made if tensor.name not in vectors})
    return (reached[target.name] or target.op) if target.name in reached else None


def is_number(leaf: Tensor, score: Tensor) -> bool:
    """Whether an integer input, as the pixels of an image, is made real before all else is done with it."""
    if not leaf.dtype.is_integer:
        return False
    whole, cast = {leaf.name}, False
    for operation in operations_between(leaf, score):
        places = [place for place, tensor in enumerate(operation.inputs) if tensor.name in whole]
        if not places or all(tensor.dtype.is_bool for tensor in operation.outputs):
            continue
        if operation.type == "Cast" and operation.outputs[0].dtype.is_floating:
            cast = True
        elif operation.type in _MOVES and operation.inputs[places[0]].dtype == leaf.dtype:
            if operation.type.startswith("Gather") and places != [0]:
                return False
            whole.update(tensor.name for tensor in operation.outputs)
        else:
            return False
    return cast


def _makes_whole(operation: Operation) -> bool:
    if operation.type in _ROUNDINGS | _CODES:
        return bool(operation.inputs[0].dtype.is_floating)
    if operation.type != "Cast":
        return False
    given, made = operation.inputs[0].dtype, operation.outputs[0].dtype
    return bool(given.is_floating and made.is_integer)


def _has_own_gradient(
    operation: Operation, names: Sequence[str], real: Collection[str], whole: Collection[str]
) -> bool:
    """Whether a custom gradient leads around what was made whole, to one of its arguments."""
    custom = operation.type == "IdentityN" and "_gradient_op_type" in operation.node_def.attr
    return custom and any(name in real and name not in whole for name in names)


def _is_passed_around(rounding: Operation, target: Tensor, operations: Sequence[Operation]) -> bool:
    """Whether the score has a gradient by the very numbers that are rounded, not by others beside them."""
    given = rounding.inputs[0]
    others = [
        operation
        for operation in operations
        if given.name in {tensor.name for tensor in operation.inputs}
        and operation.type not in PLACINGS | {"StopGradient"}
        and not _makes_whole(operation)
    ]
    found = [tf.gradients(target, given)[0]] if others else [None]
    return found[0] is not None
