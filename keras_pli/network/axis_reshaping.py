"""How operations that only give values other axes hand on what those are made of (see `axis_rules`)."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np
import tensorflow as tf

from .axes import Given, Layout, features, regrouped

Tensor = Any
Operation = Any


def transposed(operation: Operation, given: Given, output: int) -> Layout | None:
    """The rule of a transpose; None where its order is not fixed."""
    order, layout = tf.get_static_value(operation.inputs[1]), given[0]
    if order is None or layout is None:
        return None
    return Layout(tuple(layout.axes[axis] for axis in order), layout.at, layout.mixed)


def reshaped(operation: Operation, given: Given, output: int) -> Layout | None:
    """The rule of a reshape: entries keep their order, and parts of axes are joined and cut."""
    layout, tensor = given[0], operation.outputs[output]
    if layout is None or tensor.shape.rank is None:
        return None
    sizes = list(tensor.shape)
    if sizes.count(None) > 1:
        sizes = _value(operation.inputs[1], operation.inputs[0], layout) or sizes
    missing = [place for place, size in enumerate(sizes) if size is None or size < 0]
    if len(missing) > 1:
        return None
    for place in missing:
        sizes[place] = prod(layout.sizes) // (prod(sizes[:place] + sizes[place + 1 :]) or 1)
    if sizes == list(layout.sizes):
        return layout
    axes = regrouped([part for axis in layout.axes for part in axis], sizes)
    return None if axes is None else Layout(axes, layout.at, layout.mixed)


def _value(tensor: Tensor, source: Tensor, layout: Layout) -> list[int] | None:
    """A shape that is worked out in the graph, as by `tf.tensordot`; None where it cannot be told.

    Args:
        tensor: The shape, or what it is worked out from.
        source: What is reshaped.
        layout: Its layout.
    """
    known = tf.get_static_value(tensor)
    if known is not None:
        return [int(size) for size in np.ravel(known)]
    made = tensor.op
    if made.type == "Shape":
        return _shape_of(made.inputs[0], source, layout)
    inputs = []
    for given in made.inputs:
        value = _value(given, source, layout)
        if value is None:
            return None
        inputs.append(value)
    if made.type in ("Pack", "ConcatV2"):
        return [size for value in inputs[: made.get_attr("N")] for size in value]
    if made.type == "Prod":
        return [prod(inputs[0])]
    return [inputs[0][place] for place in inputs[1]] if made.type == "GatherV2" else None


def _shape_of(tensor: Tensor, source: Tensor, layout: Layout) -> list[int] | None:
    """The sizes of what is reshaped, or of what it is a transpose of; None of other tensors."""
    if tensor.name == source.name:
        return list(layout.sizes)
    if source.op.type == "Transpose" and source.op.inputs[0].name == tensor.name:
        order = tf.get_static_value(source.op.inputs[1])
        return None if order is None else [layout.sizes[place] for place in np.argsort(order)]
    return None


def axis_added(operation: Operation, given: Given, output: int) -> Layout | None:
    """The rule of a new axis of one entry."""
    layout, place = given[0], tf.get_static_value(operation.inputs[1])
    if layout is None or place is None:
        return None
    axes = list(layout.axes)
    axes.insert(int(np.ravel(place)[0]) % (len(axes) + 1), features(1))
    return Layout(tuple(axes), layout.at, layout.mixed)


def squeezed(operation: Operation, given: Given, output: int) -> Layout | None:
    """The rule of axes of one entry that are taken away."""
    layout = given[0]
    if layout is None:
        return None
    rank = len(layout.axes)
    gone = {axis % rank for axis in operation.get_attr("squeeze_dims")}
    gone = gone or {axis for axis, size in enumerate(layout.sizes) if size == 1}
    axes = [axis for place, axis in enumerate(layout.axes) if place not in gone]
    return Layout(tuple(axes), layout.at, layout.mixed)
