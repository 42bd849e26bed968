"""Which entries of a network's input an entry of a later tensor can depend on, by the structure alone.

Truth values are carried backwards through the operations of a traced graph, for many entries at once: those
of an output that are asked about become those of the inputs that they may be made from, whatever the
weights are. Where no rule is known, all of an operation's inputs count: fields are never too small.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import Any, TypeAlias

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from ..network.axis_rules import reduced_axes
from ..network.graph import operations_between
from ..network.kinds import (
    AFFINE,
    CALLS,
    CHOICES,
    CONVOLUTIONS,
    CURVES,
    FROM_INTEGERS,
    MATRIX_PRODUCTS,
    PLACINGS,
    POOLINGS,
    QUOTIENTS,
    REDUCTIONS,
    RENAMES,
    RESIZINGS,
    SQUASHES,
    SUMS,
)
from ..network.operations import COMPARISONS, ELEMENTWISE, FINITENESS, LOGIC
from ..network.static_values import run_on, static_value
from .dependence_windows import any_over, convolved, joined, pooled, resized

Tensor = Any
Operation = Any
# Truth values `(fields, *shape)` of a tensor; `(fields,)` of one whose shape is not known.
Mask = NDArray[np.bool_]
# From an operation, the masks of its outputs (None for what is not asked about) and the places of the inputs
# that depend on the source to masks by place; None where no rule is known.
Rule: TypeAlias = Callable[
    [Operation, Sequence["Mask | None"], Sequence[int]], "dict[int, Mask] | None"
]

_ENTRY_BY_ENTRY = (
    (RENAMES | SUMS | AFFINE | QUOTIENTS | CURVES | ELEMENTWISE | COMPARISONS | LOGIC | FINITENESS)
    | {"Sigmoid", "SelectV2", "SquaredDifference", "FloorMod", "FloorDiv", "Mod"}
    | {"Atan2", "Erfinv", "Lgamma", "Tan", "Sinh", "Cosh", "Asinh", "Acosh", "Atanh", "Xlogy"}
) - {"ConcatV2", "Pack", "OneHot", FROM_INTEGERS}
_RESHAPINGS = frozenset({"Reshape", "Squeeze", "ExpandDims"})
_PLACINGS = (PLACINGS - {"GatherV2"}) | {"ConcatV2", "Pack", "ResizeNearestNeighbor"}


def depended_on(
    source: Tensor, target: Tensor, wanted: Mask
) -> tuple[NDArray[np.bool_], list[str]]:
    """Returns what of a source some entries of a target can depend on.

    Args:
        source: A tensor of a graph with a shape that is known, samples included.
        target: One made from it, likewise.
        wanted: The entries of the target that are asked about, `(fields, *target.shape)`.

    Returns:
        Truth values `(fields, *source.shape)`, and the names of the operations for which no rule is known,
        whose inputs were counted whole.
    """
    operations = operations_between(source, target)
    on_the_way = {source.name}
    on_the_way.update(tensor.name for operation in operations for tensor in operation.outputs)
    seen: dict[str, Mask] = {target.name: wanted}
    guessed: list[str] = []
    for operation in reversed(operations):
        masks = [seen.pop(tensor.name, None) for tensor in operation.outputs]
        if all(mask is None for mask in masks):
            continue
        places = [i for i, tensor in enumerate(operation.inputs) if tensor.name in on_the_way]
        found = _handed_on(operation, masks, places)
        if found is None:
            guessed.append(f"{operation.type} {operation.name!r}")
            found = _everything(operation, masks, places)
        for place, mask in found.items():
            name = operation.inputs[place].name
            seen[name] = joined(seen[name], mask) if name in seen else mask
    nothing = np.zeros((len(wanted), *_shape(source)), bool)
    return seen.get(source.name, nothing), guessed


def _handed_on(
    operation: Operation, masks: Sequence[Mask | None], places: Sequence[int]
) -> dict[int, Mask] | None:
    """The masks of an operation's inputs by its rule; None where there is none."""
    rule = _RULES.get(operation.type)
    tensors = [*operation.outputs, *(operation.inputs[place] for place in places)]
    if rule is None or any(_shape_or_none(tensor) is None for tensor in tensors):
        return None
    return rule(operation, masks, places)


def _everything(
    operation: Operation, masks: Sequence[Mask | None], places: Sequence[int]
) -> dict[int, Mask]:
    asked = [any_over(mask.reshape(len(mask), -1), 1) for mask in masks if mask is not None]
    fields = np.logical_or.reduce(asked)
    found = {}
    for place in places:
        shape = _shape_or_none(operation.inputs[place]) or ()
        found[place] = np.broadcast_to(fields.reshape(-1, *[1] * len(shape)), (len(fields), *shape))
    return found


def _shape_or_none(tensor: Tensor) -> tuple[int, ...] | None:
    shape = tensor.shape
    return tuple(shape) if shape.rank is not None and None not in tuple(shape) else None


def _shape(tensor: Tensor) -> tuple[int, ...]:
    return tuple(int(size) for size in tensor.shape)


def _entry_by_entry(
    operation: Operation, masks: Sequence[Mask | None], places: Sequence[int]
) -> dict[int, Mask] | None:
    mask = masks[0]
    if mask is None or len(masks) > 1:
        return None
    found = {}
    for place in places:
        fitted = _unbroadcast(mask, _shape(operation.inputs[place]))
        if fitted is None:
            return None
        found[place] = fitted
    return found


def _unbroadcast(mask: Mask, shape: tuple[int, ...]) -> Mask | None:
    """The mask of what was broadcast to a mask's shape; None where it cannot have been."""
    extra = mask.ndim - 1 - len(shape)
    if extra < 0:
        return None
    kept = any_over(mask, tuple(range(1, 1 + extra))) if extra else mask
    for axis, size in enumerate(shape, start=1):
        if size != kept.shape[axis]:
            if size != 1:
                return None
            kept = any_over(kept, axis, keepdims=True)
    return kept


def _output_by_output(
    operation: Operation, masks: Sequence[Mask | None], places: Sequence[int]
) -> dict[int, Mask]:
    return {place: mask for place in places if (mask := masks[place]) is not None}


def _over_last_axis(
    operation: Operation, masks: Sequence[Mask | None], places: Sequence[int]
) -> dict[int, Mask] | None:
    (mask,) = masks
    assert mask is not None
    return {0: np.broadcast_to(any_over(mask, -1, keepdims=True), mask.shape)}


def _normalized(
    operation: Operation, masks: Sequence[Mask | None], places: Sequence[int]
) -> dict[int, Mask] | None:
    held = not operation.get_attr("is_training") and all(mask is None for mask in masks[1:])
    return {0: masks[0]} if held and list(places) == [0] and masks[0] is not None else None


def _reduced(
    operation: Operation, masks: Sequence[Mask | None], places: Sequence[int]
) -> dict[int, Mask] | None:
    (mask,), gone = masks, reduced_axes(operation)
    if mask is None or gone is None or list(places) != [0]:
        return None
    if operation.type in CHOICES or not operation.get_attr("keep_dims"):
        mask = np.expand_dims(mask, tuple(axis + 1 for axis in gone))
    return {0: np.broadcast_to(mask, (len(mask), *_shape(operation.inputs[0])))}


def _reshaped(
    operation: Operation, masks: Sequence[Mask | None], places: Sequence[int]
) -> dict[int, Mask] | None:
    (mask,) = masks
    if mask is None or list(places) != [0]:
        return None
    return {0: mask.reshape(len(mask), *_shape(operation.inputs[0]))}


def _placed(
    operation: Operation, masks: Sequence[Mask | None], places: Sequence[int]
) -> dict[int, Mask] | None:
    """Follows entries that an operation only moves, by letting it move their numbers."""
    kinds = _type_attributes(operation)
    moved = operation.op_def.output_arg[0].type_attr
    if any(kinds[place] != moved for place in places):
        return None
    values, starts, total = [], dict[int, int](), 0
    for place, tensor in enumerate(operation.inputs):
        if place in places:
            starts[place] = total
            count = prod(_shape(tensor))
            values.append(1 + total + np.arange(count).reshape(_shape(tensor)))  # 0 is none
            total += count
        elif kinds[place] == moved:
            shape = _shape_or_none(tensor)
            if shape is None:
                return None
            values.append(np.zeros(shape, np.int64))
        else:
            values.append(static_value(tensor))
    if any(value is None for value in values):
        return None
    with tf.device("CPU"):
        made = run_on(operation, values)
    made = [made] if tf.is_tensor(made) else made
    fields = next(len(mask) for mask in masks if mask is not None)
    gathered = np.zeros((fields, total + 1), bool)
    for numbers, mask in zip(made, masks, strict=True):
        if mask is not None:
            _gather(gathered, np.ravel(numbers), mask.reshape(fields, -1))
    return {
        place: gathered[:, 1 + start : 1 + start + prod(_shape(operation.inputs[place]))].reshape(
            fields, *_shape(operation.inputs[place])
        )
        for place, start in starts.items()
    }


def _gather(gathered: Mask, numbers: NDArray[Any], mask: Mask) -> None:
    """Adds each entry's truth to that of the number it has."""
    if not len(numbers):
        return
    order = np.argsort(numbers, kind="stable")
    unique, starts = np.unique(numbers[order], return_index=True)
    gathered[:, unique] |= np.logical_or.reduceat(mask[:, order], starts, axis=1)


def _type_attributes(operation: Operation) -> list[str]:
    """Of each input, the name of the attribute that holds its type."""
    found: list[str] = []
    for argument in operation.op_def.input_arg:
        count = operation.get_attr(argument.number_attr) if argument.number_attr else 1
        found += [argument.type_attr] * count
    return found


def _looked_up(
    operation: Operation, masks: Sequence[Mask | None], places: Sequence[int]
) -> dict[int, Mask] | None:
    """Of rows that are looked up by ids, as in an embedding; elsewhere entries are moved."""
    if list(places) != [1]:
        return _placed(operation, masks, places) if operation.type == "GatherV2" else None
    (mask,) = masks
    ids = _shape(operation.inputs[1])
    axis = 0 if operation.type == "ResourceGather" else static_value(operation.inputs[2])
    if mask is None or axis is None or int(axis) != 0 or operation.get_attr("batch_dims"):
        return None
    return {1: any_over(mask.reshape(len(mask), *ids, -1), -1)}


def _multiplied(
    operation: Operation, masks: Sequence[Mask | None], places: Sequence[int]
) -> dict[int, Mask] | None:
    names = ("transpose_a", "transpose_b") if operation.type == "MatMul" else ("adj_x", "adj_y")
    (mask,), found = masks, {}
    assert mask is not None
    for place in places:
        shape = _shape(operation.inputs[place])
        turned = operation.get_attr(names[place])
        # The first factor gives rows, the second columns; over the other axis everything is summed.
        summed = any_over(mask, -2 if place else -1, keepdims=True)
        summed = np.swapaxes(summed, -1, -2) if turned else summed
        whole = np.broadcast_to(summed, (*summed.shape[:-2], *shape[-2:]))
        fitted = _unbroadcast(whole, shape)
        if fitted is None:
            return None
        found[place] = fitted
    return found


def _einsum(
    operation: Operation, masks: Sequence[Mask | None], places: Sequence[int]
) -> dict[int, Mask] | None:
    terms, result = operation.get_attr("equation").decode().replace(" ", "").split("->")
    letters = terms.split(",")
    (mask,), found = masks, {}
    if mask is None or "." in terms or any(len(set(t)) < len(t) for t in (*letters, result)):
        return None
    for place in places:
        own, shape = letters[place], _shape(operation.inputs[place])
        gone = tuple(1 + axis for axis, letter in enumerate(result) if letter not in own)
        kept = [letter for letter in result if letter in own]
        ordered = sorted(kept, key=own.index)
        moved = np.transpose(
            any_over(mask, gone), (0, *(1 + kept.index(letter) for letter in ordered))
        )
        absent = tuple(1 + axis for axis, letter in enumerate(own) if letter not in result)
        found[place] = np.broadcast_to(np.expand_dims(moved, absent), (len(mask), *shape))
    return found


_RULES: dict[str, Rule] = {
    **dict.fromkeys(_ENTRY_BY_ENTRY, _entry_by_entry),
    **dict.fromkeys(_RESHAPINGS, _reshaped),
    **dict.fromkeys(_PLACINGS, _placed),
    **dict.fromkeys(SQUASHES - {"Sigmoid"}, _over_last_axis),
    **dict.fromkeys(REDUCTIONS, _reduced),
    **dict.fromkeys(MATRIX_PRODUCTS, _multiplied),
    **dict.fromkeys(CONVOLUTIONS | CALLS, convolved),
    **dict.fromkeys(POOLINGS, pooled),
    **dict.fromkeys(RESIZINGS - {"ResizeNearestNeighbor"}, resized),
    **dict.fromkeys(("GatherV2", "ResourceGather"), _looked_up),
    "IdentityN": _output_by_output,
    "FusedBatchNormV3": _normalized,
    "Einsum": _einsum,
}
