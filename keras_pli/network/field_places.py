"""Where the receptive fields of a tensor's entries lie along the input's axes: their middles and widths.

A convolution or pooling of "valid" padding begins half a window inside of what it receives, and one with
strides may leave the end unread. A map that is spread over the whole input is then out of place by some
entries; this says where it belongs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

from .axes import OPEN
from .graph import operations_between
from .kinds import CONVOLUTIONS, POOLINGS
from .positions import Positions
from .static_values import static_value

Tensor = Any
Operation = Any

_PADS = frozenset({"Pad", "PadV2", "MirrorPad"})


@dataclass(frozen=True)
class FieldPlaces:
    """The receptive fields along one axis, in entries of the input.

    Attributes:
        first: The middle of that of entry 0.
        step: From one middle to the next.
        width: How many entries a field covers.
        lost: The operation since which they are unknown.
    """

    first: float = 0.0
    step: float = 1.0
    width: float = 1.0
    lost: Operation | None = None

    def windowed(self, window: int, stride: int, before: int) -> FieldPlaces:
        """Those of what slides a window over the axis, padded by so many entries in front."""
        return replace(
            self,
            first=self.first + self.step * ((window - 1) / 2 - before),
            step=self.step * stride,
            width=self.width + self.step * (window - 1),
        )

    def taken(self, start: float, stride: float = 1) -> FieldPlaces:
        """Those of every so manieth entry from a place on, below 0 where something was put in front."""
        return replace(self, first=self.first + self.step * start, step=self.step * stride)


Places: TypeAlias = "dict[int, FieldPlaces]"


def field_places(goal: Tensor, positions: Positions, axes: Sequence[int]) -> list[FieldPlaces]:
    """Returns the receptive fields of a tensor's entries along some of its axes.

    Args:
        goal: The tensor.
        positions: The positions of the input that it is made from.
        axes: The tensor's axes, in the order of the input's axes of positions.

    Raises:
        ValueError: If they are not known, as behind an upsampling.
    """
    source = positions.tensor
    found: dict[str, Places] = {
        source.name: {axis: FieldPlaces() for axis in range(1, len(axes) + 1)}
    }
    for operation in operations_between(source, goal):
        known = _telling(
            [given.name for given in operation.inputs if given.name in found], positions
        )
        if not known:
            continue
        for output in operation.outputs:
            made = [_after(operation, name, output, positions, found[name]) for name in known]
            found[output.name] = _merged(made, operation)
    own = found.get(goal.name, {})
    lost = next((one.lost for one in own.values() if one.lost is not None), None)
    if lost is not None or len(own) < len(axes):
        what = f"the {lost.type} {lost.name!r}" if lost is not None else "an operation"
        raise ValueError(
            f"Where the receptive fields of {goal.name!r} lie is not known: {what} changes the positions in "
            "another way than convolutions, poolings, pads and crops do. Take alignment='input', or a layer "
            "in front of it."
        )
    return [own[axis] for axis in range(1, len(axes) + 1)]


def _telling(names: Sequence[str], positions: Positions) -> list[str]:
    """The inputs that have positions: the gate of a squeeze-and-excitation, say, tells of no place."""
    found = []
    for name in names:
        layout = positions.layouts.get(name)
        sizes = [] if layout is None else zip(layout.origins, layout.sizes, strict=True)
        # What could not be followed may have some.
        if layout is None or any(own not in ((), (0,)) and size > 1 for own, size in sizes):
            found.append(name)
    return found or list(names)


def _after(
    operation: Operation, name: str, output: Tensor, positions: Positions, given: Places
) -> Places:
    """The fields of an operation's output, as far as they come from one of its inputs."""
    before, after = positions.layouts.get(name), positions.layouts.get(output.name)
    if before is None or after is None:
        return {axis: replace(fields, lost=operation) for axis, fields in given.items()}
    changes = _changes(operation, len(before.axes))
    found: Places = {}
    for axis, fields in given.items():
        if (axis,) not in before.origins or (axis,) not in after.origins:
            found[axis] = replace(fields, lost=fields.lost or operation)
            continue
        place, goal = before.origins.index((axis,)), after.origins.index((axis,))
        change = changes.get(place)
        if change is not None:
            found[axis] = _changed(fields, change, before.sizes[place], operation)
        elif before.sizes[place] == after.sizes[goal] or before.sizes[place] == 1:
            found[axis] = fields
        else:
            found[axis] = replace(fields, lost=fields.lost or operation)
    return found


def _changed(fields: FieldPlaces, change: Any, size: int, operation: Operation) -> FieldPlaces:
    kind, *numbers = change
    if kind == "taken":
        return fields.taken(*numbers)
    window, dilation, stride, padding = numbers
    reach = (window - 1) * dilation + 1
    if padding == b"VALID":
        return fields.windowed(reach, stride, 0)
    if size >= OPEN and stride > 1:  # how much is padded depends on the size
        return replace(fields, lost=fields.lost or operation)
    # As TensorFlow pads: the odd entry goes behind.
    missing = max((-(-size // stride) - 1) * stride + reach - size, 0)
    return fields.windowed(reach, stride, missing // 2)


def _changes(operation: Operation, rank: int) -> dict[int, Any]:
    """What an operation does to axes of what it receives, by their places."""
    if operation.type in CONVOLUTIONS | POOLINGS:
        return _windows(operation)
    if operation.type in _PADS:
        pads = static_value(operation.inputs[1])
        return {} if pads is None else {i: ("taken", -int(one)) for i, (one, _) in enumerate(pads)}
    if operation.type == "Slice":
        starts = static_value(operation.inputs[1])
        return {} if starts is None else {i: ("taken", int(one)) for i, one in enumerate(starts)}
    if operation.type == "StridedSlice":
        return _slices(operation, rank)
    if operation.type in ("SpaceToBatchND", "BatchToSpaceND"):  # a dilated convolution lies between
        block, ends = (static_value(operation.inputs[place]) for place in (1, 2))
        if block is None or ends is None:
            return {}
        if operation.type == "SpaceToBatchND":
            pairs = zip(block, ends, strict=True)
            return {i: ("taken", -int(one[0]), int(b)) for i, (b, one) in enumerate(pairs, 1)}
        pairs = zip(block, ends, strict=True)
        return {i: ("taken", one[0] / b, 1 / b) for i, (b, one) in enumerate(pairs, 1)}
    return {}


def _windows(operation: Operation) -> dict[int, Any]:
    if operation.type.endswith(("BackpropInput", "BackpropInputV2")):
        return {}
    padding, strides = operation.get_attr("padding"), operation.get_attr("strides")
    if padding not in (b"VALID", b"SAME"):
        return {}
    if operation.type in POOLINGS:
        sizes: Mapping[int, int] = dict(enumerate(operation.get_attr("ksize")))
        dilations = [1] * len(strides)
    else:
        first = 2 if operation.get_attr("data_format").startswith(b"NC") else 1
        sizes = dict(enumerate(operation.inputs[1].shape[:-2], start=first))
        dilations = operation.get_attr("dilations")
    return {
        axis: ("window", size, dilations[axis], strides[axis], padding)
        for axis, size in sizes.items()
    }


def _slices(operation: Operation, rank: int) -> dict[int, Any]:
    """Of a slice that takes every axis in turn, as `x[:, 1:-1]` does."""
    starts, steps = (static_value(operation.inputs[place]) for place in (1, 3))
    kinds = ("ellipsis_mask", "new_axis_mask", "shrink_axis_mask")
    if starts is None or steps is None or any(operation.get_attr(kind) for kind in kinds):
        return {}
    begin = operation.get_attr("begin_mask")
    return {
        axis: ("taken", 0 if begin & 1 << axis else int(start), int(step))
        for axis, (start, step) in enumerate(zip(starts, steps, strict=True))
        if axis < rank and start >= 0 and step > 0
    }


def _merged(made: Sequence[Places], operation: Operation) -> Places:
    """The fields of what is made of several tensors entry by entry: about the middle of all of them."""
    found: Places = {}
    for axis in set.intersection(*(set(one) for one in made)):
        own = [one[axis] for one in made]
        lost = next((one.lost for one in own if one.lost is not None), None)
        if len({one.step for one in own}) > 1 and lost is None:
            lost = operation
        low = min(one.first - one.width / 2 for one in own)
        high = max(one.first + one.width / 2 for one in own)
        found[axis] = FieldPlaces((low + high) / 2, own[0].step, high - low, lost)
    return found
