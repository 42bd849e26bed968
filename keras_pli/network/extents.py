"""Which stretch of an input's axes the axes of a tensor lie over, through crops, pads, splits and rolls.

Convolutions and poolings are taken to keep the stretch that they receive, whatever their padding and strides:
a map is spread over all of it. So are crops and pads of at most one entry, or an eighth of the axis, and pads
that a convolution or pooling of "valid" padding consumes: such only align windows, as those of ResNet do.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, TypeAlias

import numpy as np

from .axes import OPEN, Given, Layout
from .kinds import CONVOLUTIONS, POOLINGS
from .static_values import static_value

Tensor = Any
Operation = Any

# What a crop, pad or roll may change of an axis without counting.
_SHARE = 1 / 8
_PADS = frozenset({"Pad", "PadV2", "MirrorPad"})
# Move values to places that depend on numbers which need not be known before the network runs.
_WARPS = frozenset({"CropAndResize", "ImageProjectiveTransformV2", "ImageProjectiveTransformV3"})
# Lie between a pad and the convolution along one axis, dilated or not, that consumes it.
_WRAPPINGS = frozenset({"Identity", "Cast", "ExpandDims", "SpaceToBatchND"})


@dataclass(frozen=True)
class Extent:
    """The stretch of an input's axis that a tensor's axis lies over, in entries of the input.

    Attributes:
        start: Where the stretch begins; below 0 where something was put in front.
        stop: Where it ends.
        first: Where it begins if small crops, and what convolutions lose at the border, count as well.
        last: Where it ends then.
        shift: By which share of the stretch it was rolled.
        rolled: What rolled it.
        lost: The operation since which it is unknown.
    """

    start: float
    stop: float
    first: float
    last: float
    shift: float = 0.0
    rolled: Operation | None = None
    lost: Operation | None = None

    @classmethod
    def whole(cls, size: int) -> Extent:
        """All of an axis."""
        return cls(0, size, 0, size)

    @property
    def moved_by(self) -> Operation | None:
        """The operation because of which values do not lie in order over the stretch; None where they do."""
        rolled = min(self.shift % 1, -self.shift % 1) > _SHARE
        return self.rolled if rolled and self.lost is None else self.lost

    def taken(self, low: float, high: float, size: int, operation: Operation) -> Extent:
        """That of the entries from `low` to `high` of `size`, fewer or more than there are."""
        unit = (self.last - self.first) / size
        found = replace(self, first=self.first + low * unit, last=self.first + high * unit)
        changed = abs(low) + abs(size - high)
        if changed <= max(1, size * _SHARE) or _is_consumed(operation):
            return found
        if self.shift % 1:
            return replace(found, lost=self.rolled)
        unit = (self.stop - self.start) / size
        return replace(found, start=self.start + low * unit, stop=self.start + high * unit)


# By the input's axes; those that are not named are whole.
Extents: TypeAlias = Mapping[int, Extent]


def extents_after(
    operation: Operation, given: Given, extents: Sequence[Extents], output: int, layout: Layout
) -> dict[int, Extent]:
    """Returns the extents of an output of an operation.

    Args:
        operation: The operation.
        given: The layouts of its inputs; None for those that do not depend on the network's input.
        extents: Of each of them, those of its axes.
        output: The number of the output.
        layout: Its layout.
    """
    known = [place for place, one in enumerate(given) if one is not None]
    source = known[0]
    found = dict(extents[source])
    if len(known) > 1:
        axes = {origin for place in known for origin in extents[place]}
        for axis in axes:
            telling = _telling(axis, known, given, extents)
            found[axis] = _merged([extents[place][axis] for place in telling], operation)
    if operation.type == "ConcatV2":
        return {**found, **_concatenated(operation, given, extents)}
    before = given[source]
    if before is None or len(known) > 1:
        return found
    changes = _changes(operation, before.sizes, output, layout)
    for place, change in changes.items():
        origins, size = before.origins[place], before.sizes[place]
        if change is None and _keeps_size(operation, output, place, before):
            continue
        if len(origins) == 1 and origins[0] in found and 0 < size < OPEN:
            turned = any(part.turned for part in before.axes[place])
            found[origins[0]] = _changed(found[origins[0]], change, size, turned, operation)
    return found


def _keeps_size(operation: Operation, output: int, place: int, before: Layout) -> bool:
    """Whether a crop or pad leaves an axis as long as it was."""
    shape = operation.outputs[output].shape
    cuts = operation.type in _PADS | {"Slice", "StridedSlice"}
    return cuts and shape.rank == len(before.axes) and shape[place] == before.sizes[place]


def _changed(extent: Extent, change: Any, size: int, turned: bool, operation: Operation) -> Extent:
    if change is None:
        return replace(extent, lost=operation)
    if operation.type == "Roll":
        shift = extent.shift + (-1 if turned else 1) * change / size
        return replace(extent, shift=shift, rolled=operation)
    low, high = change
    if operation.type in CONVOLUTIONS | POOLINGS:
        unit = (extent.last - extent.first) / size
        return replace(extent, first=extent.first + low * unit, last=extent.first + high * unit)
    return extent.taken(low, high, size, operation)


def _telling(
    axis: int, known: Sequence[int], given: Given, extents: Sequence[Extents]
) -> list[int]:
    """Which inputs of an operation have more than one position along an axis of the network's input."""
    found = []
    for place in known:
        layout: Any = given[place]
        sizes = zip(layout.origins, layout.sizes, strict=True)
        if axis in extents[place] and any(axis in own and size > 1 for own, size in sizes):
            found.append(place)
    return found or [place for place in known if axis in extents[place]]


def _merged(extents: Sequence[Extent], operation: Operation) -> Extent:
    """The extent of what is made entry by entry of tensors with these."""
    one = extents[0]
    for other in extents[1:]:
        if one.lost is not None or other.lost is not None:
            return one if one.lost is not None else other
        if (one.shift - other.shift) % 1:
            return replace(one, lost=operation)
        if (one.start, one.stop) == (other.start, other.stop):
            continue
        # A crop that brings one side to what "valid" convolutions left of the other.
        lengths = one.last - one.first, other.last - other.first
        apart = abs(one.first - other.first) + abs(one.last - other.last)
        if apart > _SHARE * max(lengths):
            return replace(one, lost=operation)
        one = min(one, other, key=lambda extent: extent.stop - extent.start)
    return one


def _concatenated(operation: Operation, given: Given, extents: Sequence[Extents]) -> Extents:
    """The extent along the axis of a concatenation: pieces must adjoin, or be small beside one of them."""
    axis = static_value(operation.inputs[-1])
    pieces = [(one, own) for one, own in zip(given, extents, strict=True) if one is not None]
    if axis is None:
        return {}
    place = int(axis) % len(pieces[0][0].axes)
    origins = {layout.origins[place] for layout, _ in pieces}
    sizes = [layout.sizes[place] for layout, _ in pieces]
    (axis, *others) = min(origins) or (-1,)
    if len(origins) > 1 or others or not all(axis in own for _, own in pieces):
        return {}
    found = [own[axis] for _, own in pieces]
    largest = found[sizes.index(max(sizes))]
    if any(one.moved_by for one in found) or sum(sizes) - max(sizes) <= max(1, _SHARE * max(sizes)):
        return {axis: next((one for one in found if one.moved_by), largest)}
    gaps = [abs(after.first - before.last) for before, after in pairwise(found)]
    if max(gaps) > _SHARE * min(one.last - one.first for one in found):
        return {axis: replace(largest, lost=operation)}
    # Small pieces at the ends may have been cut off without counting.
    start, stop = found[0].first, found[-1].last
    return {axis: replace(largest, start=start, stop=stop, first=start, last=stop)}


def _changes(
    operation: Operation, sizes: Sequence[int], output: int, layout: Layout
) -> dict[int, Any]:
    """By axes of what an operation receives: from where to where it takes entries, or how far it rolls.

    None stands for what is not known before the network runs.
    """
    if operation.type == "StridedSlice":
        found = _strided_slice(operation, sizes)
    elif operation.type in _PADS:
        found = _padded(operation, sizes)
    elif operation.type == "Slice":
        found = _slice(operation, layout)
    elif operation.type in ("Split", "SplitV"):
        found = _split(operation, sizes, output)
    elif operation.type == "GatherV2":
        found = _gathered(operation)
    elif operation.type == "Roll":
        found = _rolls(operation, len(sizes))
    elif operation.type in CONVOLUTIONS | POOLINGS:
        windows = _windows(operation)
        found = {
            axis: ((window - 1) / 2, sizes[axis] - (window - 1) / 2)
            for axis, window in windows.items()
        }
    else:
        found = None if _warps(operation) else {}
    if found is not None:
        return found
    return dict.fromkeys(range(len(sizes)))


def _padded(operation: Operation, sizes: Sequence[int]) -> dict[int, Any] | None:
    pads = static_value(operation.inputs[1])
    if pads is None:
        return None
    return {axis: (-one, sizes[axis] + two) for axis, (one, two) in enumerate(pads.tolist())}


def _slice(operation: Operation, layout: Layout) -> dict[int, Any] | None:
    starts = static_value(operation.inputs[1])
    if starts is None:
        return None
    pairs = zip(starts.tolist(), layout.sizes, strict=True)
    return {axis: (start, start + size) for axis, (start, size) in enumerate(pairs)}


def _warps(operation: Operation) -> bool:
    if operation.type != "ScaleAndTranslate":
        return operation.type in _WARPS
    translation = static_value(operation.inputs[3])
    return translation is None or bool(np.any(translation))


def _strided_slice(operation: Operation, sizes: Sequence[int]) -> dict[int, Any] | None:
    count = operation.inputs[1].shape[0]
    starts, stops, steps = (static_value(operation.inputs[place]) for place in (1, 2, 3))
    if count is None:
        return None
    kinds = ("ellipsis_mask", "new_axis_mask", "shrink_axis_mask", "begin_mask", "end_mask")
    ellipsis, new, shrink, begin, end = (operation.get_attr(kind) for kind in kinds)
    axis, found = 0, dict[int, Any]()
    for place in range(count):
        bit = 1 << place
        if ellipsis & bit:
            after = sum(not new >> later & 1 for later in range(place + 1, count))
            axis = len(sizes) - after
        elif not new & bit:
            if not shrink & bit and not begin & end & bit:
                if starts is None or stops is None or steps is None:
                    found[axis] = None
                else:
                    start = None if begin & bit else int(starts[place])
                    stop = None if end & bit else int(stops[place])
                    places = range(sizes[axis])[start : stop : int(steps[place])]
                    # With steps of more than one, each entry stands for those that are passed over.
                    far = max(places, default=0) + abs(int(steps[place]))
                    found[axis] = (min(places, default=0), min(far, sizes[axis]))
            axis += 1
    return found


def _split(operation: Operation, sizes: Sequence[int], output: int) -> dict[int, Any] | None:
    equal = operation.type == "Split"
    axis = static_value(operation.inputs[0 if equal else 2])
    if axis is None:
        return None
    axis = int(axis) % len(sizes)
    count = operation.get_attr("num_split")
    lengths = [sizes[axis] // count] * count if equal else static_value(operation.inputs[1])
    if lengths is None:
        return None
    given = np.where(np.asarray(lengths) < 0, 0, lengths)
    given = np.where(np.asarray(lengths) < 0, sizes[axis] - given.sum(), given)
    low = int(given[:output].sum())
    return {axis: (low, low + int(given[output]))}


def _gathered(operation: Operation) -> dict[int, Any]:
    order, axis = (static_value(operation.inputs[place]) for place in (1, 2))
    if order is None or axis is None or np.ndim(order) != 1 or not len(order):
        return {}
    step = (int(order[-1]) - int(order[0])) / max(1, len(order) - 1) or 1
    return {int(axis): (int(order[0]), int(order[-1]) + step)}


def _rolls(operation: Operation, rank: int) -> dict[int, Any] | None:
    shifts, axes = (static_value(operation.inputs[place]) for place in (1, 2))
    if axes is None:
        return None
    places = [int(axis) % rank for axis in np.ravel(axes)]
    if shifts is None:
        return dict.fromkeys(places)
    found = dict.fromkeys(places, 0)
    for place, shift in zip(places, np.ravel(shifts), strict=True):
        found[place] += int(shift)
    return found


def _windows(operation: Operation) -> dict[int, int]:
    """How far the window of a convolution or pooling of "valid" padding reaches, by axes."""
    if operation.type.endswith(("BackpropInput", "BackpropInputV2")):
        return {}
    if operation.get_attr("padding") != b"VALID":
        return {}
    if operation.type in POOLINGS:
        return dict(enumerate(operation.get_attr("ksize")))
    first = 2 if operation.get_attr("data_format").startswith(b"NC") else 1
    dilations = operation.get_attr("dilations")
    windows = enumerate(operation.inputs[1].shape[:-2], start=first)
    return {axis: (size - 1) * dilations[axis] + 1 for axis, size in windows}


def _is_consumed(pad: Operation) -> bool:
    """Whether all that reads what was padded loses as much at the border, as "valid" convolutions do."""
    pads = static_value(pad.inputs[1]) if pad.type in _PADS else None
    if pads is None:
        return False
    total = sorted(int(size) for size in pads.sum(axis=1) if size)
    if not total:
        return True
    readers, block = list(pad.outputs[0].consumers()), 1
    while readers and all(reader.type in _WRAPPINGS for reader in readers):
        if readers[0].type == "SpaceToBatchND":
            block = int(np.max(static_value(readers[0].inputs[1])))
        readers = [after for reader in readers for after in reader.outputs[0].consumers()]
    if not readers or not all(reader.type in CONVOLUTIONS | POOLINGS for reader in readers):
        return False
    reach = [[(w - 1) * block for w in _windows(reader).values() if w > 1] for reader in readers]
    # In order of size: the axes of a convolution over one axis, say, are others than those of the pad.
    return all(
        len(own) >= len(total)
        and all(a >= b for a, b in zip(sorted(own)[-len(total) :], total, strict=True))
        for own in reach
    )
