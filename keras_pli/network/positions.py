"""Where the positions of an input go in a network: which tensors have them, and where they are lost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from .axes import OTHERS, Layout, layout_of_input, origins_of, size_of
from .axis_rules import (
    channel_axis,
    layout_after,
    reduced_axes,
    summed_axes,
)
from .extents import Extent, Extents, extents_after
from .graph import operations_between

Tensor = Any
Operation = Any


@dataclass(frozen=True, eq=False)
class Positions:
    """The positions of one input, followed to the logits.

    Attributes:
        tensor: The input, `(batch, *positions, channels)`, or without an axis of channels.
        layouts: By the name of a tensor, what its axes are made of.
        numbers: By the name of a tensor, the number of the operation that makes it, from 1.
        cuts: The names of tensors through which every way from the input to the logits leads.
        tokens_mixed: Operations that sum over positions that lie along one axis, where they still lie along
            one afterwards, as attention among the patches of an image; by their numbers.
        channels: By each of the input's axes that convolutions, poolings or means over all positions take
            for its channels, the first of them.
        extents: By the name of a tensor, over which stretch of each of the input's axes it lies.
    """

    tensor: Tensor
    layouts: Mapping[str, Layout]
    numbers: Mapping[str, int]
    cuts: frozenset[str]
    tokens_mixed: Mapping[int, Operation]
    channels: Mapping[int, Operation]
    extents: Mapping[str, Extents]

    def order_of(self, name: str) -> tuple[int, ...] | None:
        """The axes of a tensor in the order (batch, *positions, channels); None where it has no such axes.

        The positions are all those of the input, in the input's order, and there is more than one.
        """
        layout, rank = self.layouts.get(name), self.tensor.shape.rank
        if layout is None or len(layout.axes) not in (rank, rank + 1):
            return None
        # With one axis more than the input, it has features at each of the input's values.
        positions = range(1, len(layout.axes) - 1)
        along = [origins[0] if len(origins) == 1 else None for origins in layout.origins]
        others = [
            place
            for place, origins in enumerate(layout.origins)
            if not {0, *positions}.intersection(origins)
        ]
        if len(others) != 1 or any(along.count(axis) != 1 for axis in (0, *positions)):
            return None
        order = (along.index(0), *(along.index(axis) for axis in positions), others[0])
        return order if any(layout.sizes[place] != 1 for place in order[1:-1]) else None

    def is_unknown(self, name: str) -> bool:
        """Whether axes of a tensor could not be followed, as through an operation of an unknown kind."""
        layout = self.layouts.get(name)
        return layout is not None and (OTHERS,) in layout.origins

    def mixed_after(self, name: str) -> Operation | None:
        """The first operation behind a tensor that mixes tokens."""
        number = self.numbers[name]
        later = [other for other in self.tokens_mixed if other > number]
        return self.tokens_mixed[min(later)] if later else None


def follow(tensor: Tensor, logits: Tensor) -> Positions:
    """Follows the positions of an input through the operations that lead to the logits."""
    operations = operations_between(tensor, logits)
    layouts = {tensor.name: layout_of_input(tensor)}
    whole = {axis: Extent.whole(size) for axis, size in enumerate(tensor.shape) if size}
    extents: dict[str, Extents] = {tensor.name: whole}
    tokens_mixed: dict[int, Operation] = {}
    channels: dict[int, Operation] = {}
    summing: dict[int, Operation] = {}
    for number, operation in enumerate(operations, start=1):
        given = [layouts.get(source.name) for source in operation.inputs]
        known = [layout for layout in given if layout is not None]
        if not known:
            continue
        axis = _channels_read(operation, known[0], tensor.shape.rank)
        if axis is not None:
            channels.setdefault(axis, operation)
        sums = any(map(_has_positions(tensor), summed_axes(operation, given)))
        if sums:
            summing[number] = operation
        for place, output in enumerate(operation.outputs):
            layout = layout_after(operation, given, place)
            if layout is None:
                continue
            layout = replace(layout, mixed=number) if sums else layout
            layouts[output.name] = layout
            below = [extents.get(source.name, {}) for source in operation.inputs]
            extents[output.name] = extents_after(operation, given, below, place, layout)
            if layout.mixed and _has_tokens(layout, tensor):
                tokens_mixed.setdefault(layout.mixed, summing[layout.mixed])
    numbers = {
        output.name: number
        for number, operation in enumerate(operations, start=1)
        for output in operation.outputs
    }
    cuts = frozenset(_cuts(tensor, operations, logits))
    return Positions(tensor, layouts, numbers, cuts, tokens_mixed, channels, extents)


def check_channels_last(positions: Positions, name: str) -> None:
    """Raises if a network reads an input whose channels come first.

    Args:
        positions: The positions of the input.
        name: The model's name.

    Raises:
        ValueError: If it does, with what to do.
    """
    shape, rank = positions.tensor.shape, positions.tensor.shape.rank
    first = positions.channels.get(1)
    if first is None or rank < 3 or rank - 1 in positions.channels:
        return
    sizes = (*shape[2:], shape[1])
    order = (rank - 1, *range(1, rank - 1))
    raise ValueError(
        f"{name!r} takes its input channels first, (batch, channels, *positions): the {first.type} "
        f"{first.name!r} reads axis 1 of the input as channels. Positions are explained of inputs with their "
        "channels last. Explain the model behind a Permute: "
        f"keras.Sequential([keras.Input({sizes}), keras.layers.Permute({order}), model])."
    )


def _channels_read(operation: Operation, layout: Layout, rank: int) -> int | None:
    """Which of the input's axes an operation takes for the channels, if it reads the input's values."""
    origins = layout.origins
    gone = reduced_axes(operation)
    if gone is not None:
        # Of two axes, a mean may go over either.
        kept = set(range(1, rank)) - set(gone)
        whole = rank > 3 and origins == tuple((axis,) for axis in range(rank))
        return kept.pop() if whole and 0 not in gone and len(kept) == 1 else None
    axis = channel_axis(operation, layout)
    if axis is None or len(origins[axis]) != 1:
        return None
    return origins[axis][0] if origins[axis][0] > 0 else None


def _has_positions(tensor: Tensor) -> Any:
    """Returns what says whether positions of an input lie along an axis."""
    positions = range(1, max(2, tensor.shape.rank - 1))
    return lambda axis: any(part in positions for part in _origins(axis))


def _origins(axis: Any) -> set[int]:
    return {origin for part in axis for origin in part.origins}


def _has_tokens(layout: Layout, tensor: Tensor) -> bool:
    """Whether positions lie along one axis in a way of their own, with features along another."""
    has_positions = _has_positions(tensor)
    tokens = [axis for axis in layout.axes if has_positions(axis) and len(origins_of(axis)) > 1]
    plain = [axis for axis in layout.axes[1:] if not has_positions(axis) and size_of(axis) > 1]
    return bool(tokens and plain)


def _cuts(tensor: Tensor, operations: Sequence[Operation], logits: Tensor) -> list[str]:
    """The names of the tensors without which no way is left from the input to the logits.

    When such a tensor was made, nothing that was made before it is still waited for. What has no values of
    its own but only says which to take, as a mask does, is no way.
    """
    ways, last = {tensor.name}, {logits.name: len(operations)}
    for number, operation in enumerate(operations):
        inputs = [source.name for source in operation.inputs if source.name in ways]
        last.update(dict.fromkeys(inputs, number))
        if inputs:
            ways.update(output.name for output in operation.outputs if output.dtype.name != "bool")
    waited, cuts = last.get(tensor.name, 0), list[str]()
    for number, operation in enumerate(operations):
        made = [
            output.name
            for output in operation.outputs
            if output.name in ways and output.name in last
        ]
        until = [last[name] for name in made]
        for place, name in enumerate(made):
            if max([waited, *until[:place], *until[place + 1 :]]) <= number:
                cuts.append(name)
        waited = max([waited, *until])
    return cuts
