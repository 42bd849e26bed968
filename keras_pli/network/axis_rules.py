"""How each kind of operation hands on the axes of what it receives (see `axes`)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np
import tensorflow as tf

from .axes import (
    OPEN,
    OTHERS,
    Axis,
    Given,
    Layout,
    Part,
    blurred,
    features,
    origins_of,
    overlaid,
    resized,
    turned,
)
from .axis_reshaping import axis_added, reshaped, squeezed, transposed
from .graph import function_bodies
from .kinds import CALLS, CHOICES, CONVOLUTIONS, MATRIX_PRODUCTS, POOLINGS, REDUCTIONS

Tensor = Any
Operation = Any
# From an operation, its inputs and the number of one of its outputs to the layout of that output.
Rule: TypeAlias = Callable[[Operation, Given, int], "Layout | None"]


def layout_after(operation: Operation, given: Given, output: int) -> Layout | None:
    """Returns the layout of an output of an operation; None where even its rank is unknown."""
    rule = _RULES.get(operation.type, _entry_by_entry)
    found = rule(operation, given, output)
    if found is None and operation.outputs[output].shape.rank is not None:
        return _unknown(operation.outputs[output])
    return found


def channel_axis(operation: Operation, layout: Layout) -> int | None:
    """The axis that a convolution or pooling reads as channels, 1 or -1.

    Args:
        operation: The operation.
        layout: Of what it receives.

    Returns:
        None for operations of other kinds.
    """
    if operation.type in CALLS:
        # Where nothing of the input lies along one of both, that one holds channels.
        told = len(layout.axes) > 2 and layout.origins[1] and layout.origins[-1]
        return _channel_axis_within(operation) if told else None
    if operation.type not in CONVOLUTIONS | POOLINGS:
        return None
    return 1 if operation.get_attr("data_format").startswith(b"NC") else -1


def summed_axes(operation: Operation, given: Given) -> list[Axis]:
    """The axes over which a product sums, in each tensor that depends on the network's input."""
    if operation.type == "Einsum" and _names_all_axes(operation):
        terms, result = _einsum_terms(operation)
        return [
            axis
            for term, layout in zip(terms, given, strict=True)
            if layout is not None
            for letter, axis in zip(term, layout.axes, strict=True)
            if letter not in result
        ]
    if operation.type in MATRIX_PRODUCTS:
        inner = [_matrix_axes(operation, place)[1 - place] for place in (0, 1)]
        pairs = zip(given, inner, strict=True)
        return [layout.axes[axis] for layout, axis in pairs if layout is not None]
    return []


def reduced_axes(operation: Operation) -> list[int] | None:
    """The axes that a reduction such as a mean takes away, from 0; None for others, or where unknown."""
    if operation.type not in REDUCTIONS:
        return None
    axes = tf.get_static_value(operation.inputs[1])
    rank = operation.inputs[0].shape.rank
    return (
        None
        if axes is None or rank is None
        else sorted(int(axis) % rank for axis in np.ravel(axes))
    )


def _unknown(tensor: Tensor) -> Layout:
    return Layout(
        tuple(
            (Part((0,), OPEN),) if size is None and not axis else (Part((OTHERS,), size or 1),)
            for axis, size in enumerate(tensor.shape)
        )
    )


def _sizes(tensor: Tensor, like: Sequence[int] = ()) -> list[int]:
    """The sizes of a tensor's axes; where they are open, those of the axes it is made from."""
    open_sizes = like if len(like) == tensor.shape.rank else [OPEN] * tensor.shape.rank
    return [
        filling if size is None else size
        for size, filling in zip(tensor.shape, open_sizes, strict=True)
    ]


def _entry_by_entry(operation: Operation, given: Given, output: int) -> Layout | None:
    """Most operations keep the axes in their order: of single values, convolutions, poolings, paddings."""
    layouts, tensor = [layout for layout in given if layout is not None], operation.outputs[output]
    rank = max(len(layout.axes) for layout in layouts)
    if tensor.shape.rank != rank:
        return None
    like = next(layout for layout in layouts if len(layout.axes) == rank)
    found = overlaid(layouts, _sizes(tensor, like.sizes))
    channels = channel_axis(operation, found)
    if channels is None or operation.type in POOLINGS:
        return found
    axes = list(found.axes)
    axes[channels] = features(found.sizes[channels])
    return Layout(tuple(axes), found.at, found.mixed)


def _channel_axis_within(operation: Operation) -> int | None:
    """That of a convolution that Keras compiles apart."""
    bodies = function_bodies(operation.graph)
    for node in bodies[operation.get_attr("f").name].node_def:
        if node.op in CONVOLUTIONS:
            return 1 if node.attr["data_format"].s.startswith(b"NC") else -1
    return None


def _each_its_own(operation: Operation, given: Given, output: int) -> Layout | None:
    return given[output]


def _reduced(operation: Operation, given: Given, output: int) -> Layout | None:
    layout, gone = given[0], reduced_axes(operation)
    if layout is None or gone is None:
        return None
    keeps = operation.type not in CHOICES and operation.get_attr("keep_dims")
    axes = [
        features(1) if place in gone else axis
        for place, axis in enumerate(layout.axes)
        if keeps or place not in gone
    ]
    return Layout(tuple(axes), layout.at, layout.mixed)


def _sliced(operation: Operation, given: Given, output: int) -> Layout | None:
    layout, tensor = given[0], operation.outputs[output]
    count = operation.inputs[1].shape[0]
    if layout is None or count is None:
        return None
    kinds = ("ellipsis_mask", "new_axis_mask", "shrink_axis_mask")
    ellipsis, new, shrink = (operation.get_attr(kind) for kind in kinds)
    starts, steps = (tf.get_static_value(operation.inputs[place]) for place in (1, 3))
    waiting, axes, at = list(layout.axes), list[Axis](), dict(layout.at)
    for place in range(count):
        if ellipsis >> place & 1:
            after = sum(not new >> later & 1 for later in range(place + 1, count))
            axes += waiting[: len(waiting) - after]
            waiting = waiting[len(waiting) - after :]
        elif new >> place & 1:
            axes.append(features(1))
        elif shrink >> place & 1:
            origins = origins_of(waiting.pop(0))
            if len(origins) == 1 and starts is not None:
                at[origins[0]] = int(starts[place])
        else:
            axis = waiting.pop(0)
            backwards = steps is not None and steps[place] < 0
            axes.append(turned(axis) if backwards else axis)
    axes += waiting
    sizes = _sizes(tensor, Layout(tuple(axes)).sizes)
    axes = [resized(axis, size) for axis, size in zip(axes, sizes, strict=True)]
    return Layout(tuple(axes), at, layout.mixed)


def _reversed(operation: Operation, given: Given, output: int) -> Layout | None:
    layout, reversed_axes = given[0], tf.get_static_value(operation.inputs[1])
    if layout is None or reversed_axes is None:
        return None
    places = {int(place) % len(layout.axes) for place in reversed_axes}
    axes = [turned(axis) if place in places else axis for place, axis in enumerate(layout.axes)]
    return Layout(tuple(axes), layout.at, layout.mixed)


def _unpacked(operation: Operation, given: Given, output: int) -> Layout | None:
    layout = given[0]
    if layout is None:
        return None
    axes, at = list(layout.axes), dict(layout.at)
    origins = origins_of(axes.pop(operation.get_attr("axis")))
    if len(origins) == 1:
        at[origins[0]] = output
    return Layout(tuple(axes), at, layout.mixed)


def _packed(operation: Operation, given: Given, output: int) -> Layout | None:
    layouts, tensor = [layout for layout in given if layout is not None], operation.outputs[output]
    if tensor.shape.rank is None:
        return None
    place = operation.get_attr("axis") % tensor.shape.rank
    sizes = _sizes(tensor, [*layouts[0].sizes[:place], len(given), *layouts[0].sizes[place:]])
    inner = overlaid(layouts, sizes[:place] + sizes[place + 1 :])
    new, at = features(len(given)), dict(inner.at)
    for origin in layouts[0].at:
        # All slices of an axis, in their order, are the axis again.
        if [layout and layout.at.get(origin) for layout in given] == list(range(len(given))):
            new = (Part((origin,), len(given)),)
            at.pop(origin, None)
    return Layout((*inner.axes[:place], new, *inner.axes[place:]), at, inner.mixed)


def _concatenated(operation: Operation, given: Given, output: int) -> Layout | None:
    place, tensor = tf.get_static_value(operation.inputs[-1]), operation.outputs[output]
    layouts = [layout for layout in given[:-1] if layout is not None]
    if place is None or tensor.shape.rank is None:
        return None
    along = int(place) % tensor.shape.rank
    sizes = _sizes(tensor, layouts[0].sizes)
    found = overlaid(layouts, sizes)
    joined = {origins_of(layout.axes[along]) for layout in layouts}
    origins = {origin for axis in joined for origin in axis}
    alike = len(joined) == 1 and len(layouts) == len(given) - 1
    axes = list(found.axes)
    if not origins:
        axes[along] = features(sizes[along])
    elif alike and len(origins) == 1:
        axes[along] = (Part(joined.pop(), sizes[along]),)
    else:  # such as positions and a token of their class
        axes[along] = blurred(origins, sizes[along])
    return Layout(tuple(axes), found.at, found.mixed)


def _looked_up(operation: Operation, given: Given, output: int) -> Layout | None:
    """An embedding puts features behind the axes of its ids; a single place takes an axis away."""
    tensor, (values, places) = operation.outputs[output], given[:2]
    if tensor.shape.rank is None:
        return None
    if values is None and places is not None:
        added = [features(size or 1) for size in tensor.shape[len(places.axes) :]]
        return Layout((*places.axes, *added), places.at, places.mixed)
    if values is not None and places is None and operation.inputs[1].shape.rank == 0:
        axes, at = list(values.axes), dict(values.at)
        place = tf.get_static_value(operation.inputs[1])
        origins = origins_of(axes.pop(int(tf.get_static_value(operation.inputs[2]))))
        if len(origins) == 1 and place is not None:
            at[origins[0]] = int(place)
        return Layout(tuple(axes), at, values.mixed)
    found = _entry_by_entry(operation, given, output)
    order, axis = (tf.get_static_value(operation.inputs[place]) for place in (1, 2))
    if found is None or axis is None or not origins_of(found.axes[int(axis)]):
        return found
    if order is not None and np.all(np.diff(order) > 0):
        return found
    axes = list(found.axes)
    axes[int(axis)] = blurred(origins_of(axes[int(axis)]), found.sizes[int(axis)])
    return Layout(tuple(axes), found.at, found.mixed)


def _scattered(operation: Operation, given: Given, output: int) -> Layout | None:
    """Entries that are taken from anywhere lie nowhere."""
    return None


def _encoded(operation: Operation, given: Given, output: int) -> Layout | None:
    places = given[0]
    if places is None or operation.get_attr("axis") != -1:
        return None
    depth = operation.outputs[output].shape[-1]
    return Layout((*places.axes, features(depth or 1)), places.at, places.mixed)


def _matrix_axes(operation: Operation, place: int) -> tuple[int, int]:
    """Which of the last two axes of a factor are its rows and its columns."""
    single = operation.type == "MatMul"
    kind = ("transpose_a", "transpose_b") if single else ("adj_x", "adj_y")
    return (-1, -2) if operation.get_attr(kind[place]) else (-2, -1)


def _multiplied(operation: Operation, given: Given, output: int) -> Layout | None:
    left, right = given
    tensor = operation.outputs[output]
    if tensor.shape.rank is None:
        return None
    like = left if left is not None and len(left.axes) == tensor.shape.rank else right
    sizes = _sizes(tensor, () if like is None else like.sizes)
    layouts = [layout for layout in given if layout is not None]
    outer = [Layout(layout.axes[:-2], layout.at, layout.mixed) for layout in layouts]
    found = overlaid(outer, sizes[:-2])
    rows = features(sizes[-2]) if left is None else left.axes[_matrix_axes(operation, 0)[0]]
    columns = features(sizes[-1]) if right is None else right.axes[_matrix_axes(operation, 1)[1]]
    return Layout((*found.axes, rows, columns), found.at, found.mixed)


def _einsum_terms(operation: Operation) -> tuple[list[str], str]:
    terms, result = operation.get_attr("equation").decode().replace(" ", "").split("->")
    return terms.split(","), result


def _names_all_axes(operation: Operation) -> bool:
    return b"." not in operation.get_attr("equation")


def _einsum(operation: Operation, given: Given, output: int) -> Layout | None:
    if not _names_all_axes(operation):
        return None
    terms, result = _einsum_terms(operation)
    named: dict[str, list[Axis]] = {letter: [] for letter in result}
    for term, layout in zip(terms, given, strict=True):
        for letter, axis in zip(term, layout.axes if layout is not None else (), strict=False):
            named.setdefault(letter, []).append(axis)
    layouts = [layout for layout in given if layout is not None]
    rows = [[axis for axis in named[letter] if origins_of(axis)] for letter in result]
    sizes = _sizes(operation.outputs[output])
    axes = [row[0] if row else features(size) for row, size in zip(rows, sizes, strict=True)]
    return Layout(tuple(axes), {}, max(layout.mixed for layout in layouts))


def _listed(operation: Operation, given: Given, output: int) -> Layout | None:
    return given[0]


def _looped(operation: Operation, given: Given, output: int) -> Layout | None:
    """A loop over a list of tensors, as a recurrent layer has one, gives lists along the same axis."""
    inputs, tensor = operation.inputs, operation.outputs[output]
    lists = [
        layout
        for layout, given_tensor in zip(given, inputs, strict=True)
        if layout is not None and given_tensor.dtype == tf.variant
    ]
    if not lists:
        return given[output]
    if tensor.dtype == tf.variant:
        return lists[0]
    return _like(lists[0].axes[1:], tensor, lists[0])


def _stacked(operation: Operation, given: Given, output: int) -> Layout | None:
    layout = given[0]
    return None if layout is None else _like(layout.axes, operation.outputs[output], layout)


def _like(axes: Sequence[Axis], tensor: Tensor, layout: Layout) -> Layout | None:
    """The axes of what a loop made of tensors with these; the last holds features."""
    if tensor.shape.rank != len(axes):
        return None
    sizes = _sizes(tensor, Layout(tuple(axes)).sizes)
    kept = [resized(axis, size) for axis, size in zip(axes[:-1], sizes[:-1], strict=True)]
    return Layout((*kept, features(sizes[-1])), layout.at, layout.mixed)


_RULES: dict[str, Rule] = {
    **dict.fromkeys(MATRIX_PRODUCTS, _multiplied),
    **dict.fromkeys(REDUCTIONS, _reduced),
    **dict.fromkeys(("While", "StatelessWhile"), _looped),
    **dict.fromkeys(("GatherV2", "ResourceGather"), _looked_up),
    **dict.fromkeys(("GatherNd", "ResourceGatherNd", "ScatterNd", "TopKV2"), _scattered),
    "ConcatV2": _concatenated,
    "Einsum": _einsum,
    "ExpandDims": axis_added,
    "IdentityN": _each_its_own,
    "OneHot": _encoded,
    "Pack": _packed,
    "Reshape": reshaped,
    "ReverseV2": _reversed,
    "Squeeze": squeezed,
    "StridedSlice": _sliced,
    "TensorListFromTensor": _listed,
    "TensorListStack": _stacked,
    "Transpose": transposed,
    "Unpack": _unpacked,
}
