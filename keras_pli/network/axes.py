"""What the axes of a tensor are made of: which axes of an input they run along, and which hold features."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from math import prod
from typing import Any, TypeAlias

Tensor = Any
# Stands for the number of samples where it is open: a prime that no other size of a network is.
OPEN = 1_000_003
# Beside other origins: not those axes alone, or not in their order.
OTHERS = -1


@dataclass(frozen=True)
class Part:
    """An axis, or one of several that were joined into one by a reshaping.

    Attributes:
        origins: The axes of the input that it runs along: one; several where they can no longer be told
            apart; none for features.
        size: Its number of entries.
        stride: How far one step goes along the input's axis, where that was cut in pieces.
        whole: The size that the axis had before it was cut.
        turned: Whether it runs from the end to the start.
    """

    origins: tuple[int, ...]
    size: int
    stride: int = 1
    whole: int = 0
    turned: bool = False

    def split(self, outer: int) -> tuple[Part, Part]:
        """Cuts it in `outer` pieces; returns the number of the piece, and the place in it."""
        inner, whole = self.size // outer, self.whole or self.size
        return (
            replace(self, size=outer, stride=self.stride * inner, whole=whole),
            replace(self, size=inner, whole=whole),
        )

    def joined(self, other: Part) -> Part | None:
        """The axis that this part and the next one were cut from; None if they were not."""
        if not self.origins and not other.origins:
            return Part((), self.size * other.size)
        adjoin = self.stride == other.stride * other.size and self.turned == other.turned
        if self.origins != other.origins or not adjoin:
            return None
        return replace(self, size=self.size * other.size, stride=other.stride)

    @property
    def complete(self) -> bool:
        """Whether it is all of an axis, and no piece, from start to end."""
        return self.size == (self.whole or self.size) and not self.turned


Axis: TypeAlias = tuple[Part, ...]


@dataclass(frozen=True)
class Layout:
    """The axes of a tensor.

    Attributes:
        axes: Each as the parts it is joined from.
        at: Of the input's axes that the tensor is a slice of, at which place each.
        mixed: The number of the last operation on the way here that summed over positions in a product, as
            attention does; 0 where none did.
    """

    axes: tuple[Axis, ...]
    at: dict[int, int] = field(default_factory=dict)
    mixed: int = 0

    @property
    def sizes(self) -> tuple[int, ...]:
        """The size of each axis, `OPEN` for samples."""
        return tuple(size_of(axis) for axis in self.axes)

    @property
    def origins(self) -> tuple[tuple[int, ...], ...]:
        """What each axis runs along (see `origins_of`)."""
        return tuple(origins_of(axis) for axis in self.axes)


# The layouts of an operation's inputs, None for those that do not depend on the network's input.
Given: TypeAlias = "Sequence[Layout | None]"


def layout_of_input(tensor: Tensor) -> Layout:
    """The layout of an input: each axis is its own."""
    sizes = [OPEN if size is None else size for size in tensor.shape]
    return Layout(tuple((Part((axis,), size),) for axis, size in enumerate(sizes)))


def size_of(axis: Axis) -> int:
    """The number of entries along an axis."""
    return prod(part.size for part in axis)


def features(size: int) -> Axis:
    """An axis along which nothing of the input lies."""
    return (Part((), size),)


def blurred(origins: Iterable[int], size: int) -> Axis:
    """An axis along which several of the input's axes lie, or one with something else or out of order."""
    return (Part((*sorted(set(origins) - {OTHERS}), OTHERS), size),)


def origins_of(axis: Axis) -> tuple[int, ...]:
    """What an axis runs along: one of the input's axes, as it was; none for features; else several.

    Features within each position, as an upsampling makes of channels, leave the axis what it is.
    """
    first, *rest = axis or features(1)
    if first.complete and len(first.origins) == 1 and not any(part.origins for part in rest):
        return first.origins
    found = {origin for part in axis for origin in part.origins}
    return tuple(sorted(found - {OTHERS})) + ((OTHERS,) if found else ())


def resized(axis: Axis, size: int) -> Axis:
    """The axis after an operation that changes its size, and keeps the order along it."""
    if size_of(axis) == size:
        return axis
    origins = origins_of(axis)
    return (Part(origins, size),) if len(origins) < 2 else blurred(origins, size)


def turned(axis: Axis) -> Axis:
    """The axis from its end to its start."""
    if len(axis) == 1 or not any(part.origins for part in axis):
        return tuple(replace(part, turned=not part.turned) for part in axis)
    return blurred((origin for part in axis for origin in part.origins), size_of(axis))


def regrouped(parts: Iterable[Part], sizes: Sequence[int]) -> tuple[Axis, ...] | None:
    """Shares parts out among new axes, in their order, as a reshaping does.

    Returns:
        The new axes, or None where a size is no product of parts or pieces of them.
    """
    waiting, axes = list(parts), []
    if not all(part.size for part in waiting):
        return None
    for size in sizes:
        axis: list[Part] = []
        room = size
        if room == 1 and waiting and waiting[0].size == 1:
            axis.append(waiting.pop(0))
        while room > 1:
            if not waiting:
                return None
            part = waiting.pop(0)
            if room % part.size and not part.size % room:
                part, rest = part.split(room)
                waiting.insert(0, rest)
            if room % part.size:
                return None
            room //= part.size
            if part.size > 1:
                axis.append(part)
        axes.append(_joined(axis) if axis else features(1))
    return tuple(axes)


def overlaid(layouts: Sequence[Layout], sizes: Sequence[int]) -> Layout:
    """The layout of what is made entry by entry of tensors that are broadcast to these sizes."""
    axes = []
    for place, size in zip(range(-len(sizes), 0), sizes, strict=True):
        given = [layout.axes[place] for layout in layouts if len(layout.axes) >= -place]
        axes.append(_overlaid_axis(given, size))
    shared = [layout.at.items() for layout in layouts]
    at = dict(set(shared[0]).intersection(*shared[1:])) if shared else {}
    return Layout(tuple(axes), at, max((layout.mixed for layout in layouts), default=0))


def _overlaid_axis(given: Sequence[Axis], size: int) -> Axis:
    # What is broadcast along an axis says nothing about it.
    telling = [axis for axis in given if origins_of(axis) and (size_of(axis) > 1 or size == 1)]
    # Nor does an axis that could not be followed, beside one that could.
    telling = [axis for axis in telling if origins_of(axis) != (OTHERS,)] or telling
    if not telling:
        return features(size)
    if all(axis == telling[0] for axis in telling):
        return resized(telling[0], size)
    origins = {origins_of(axis) for axis in telling}
    if len(origins) == 1 and len(min(origins)) == 1:
        return (Part(min(origins), size),)
    return blurred((origin for found in origins for origin in found), size)


def _joined(parts: Sequence[Part]) -> Axis:
    axis: list[Part] = []
    for part in parts:
        whole = axis[-1].joined(part) if axis else None
        axis[-1:] = [*axis[-1:], part] if whole is None else [whole]
    return tuple(axis)
