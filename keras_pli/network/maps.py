"""Finds the maps in a network, and of these the ones that its pooling or head receives."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import keras
import tensorflow as tf

from ..checks import quoted
from .extents import Extent
from .field_places import FieldPlaces, field_places
from .forward import Forward, Network
from .graph import operations_between
from .kinds import RENAMES
from .layers import layer_paths
from .positions import Positions, check_channels_last, follow
from .recording import recorded

Tensor = Any
# From a layer's output to (batch, *positions, channels).
Reshape = Callable[[Tensor], Tensor]


@dataclass(frozen=True, eq=False)
class LayerMaps:
    """Maps in a forward pass.

    Attributes:
        path: Path of the layer that puts them out, or the name of the tensor.
        tensor: The tensor, as it is made.
        over: For each of the inputs, flattened, whether the maps are made from it and have its axes.
        order: The tensor's axes in the order (batch, *positions, channels).
        is_cut: Whether every way from those inputs to the logits leads through them.
        has_features: Whether their channels are others than the input's own.
        reshape: What brings the tensor to (batch, *positions, channels) instead of `order`.
        extents: For each of the inputs, over which stretch of each axis of positions the maps lie; empty
            where that is all of them.
        positions: Where the positions of each of the inputs, flattened, go.
    """

    path: str
    tensor: Tensor
    over: tuple[bool, ...]
    order: tuple[int, ...] = ()
    is_cut: bool = False
    has_features: bool = True
    reshape: Reshape | None = None
    extents: tuple[tuple[Extent, ...], ...] = ()
    positions: tuple[Positions, ...] = ()

    @property
    def position_axes(self) -> tuple[int, ...]:
        """The axes of positions in the tensor; of tokens, all but the first and last."""
        return tuple(self.order[1:-1]) or tuple(range(1, self.tensor.shape.rank - 1))

    def arranged(self, tensor: Tensor) -> Tensor:
        """Brings the maps, or gradients by them, to the shape (batch, *positions, channels)."""
        if self.reshape is not None:
            return self.reshape(tensor)
        return (
            tensor if self.order == tuple(sorted(self.order)) else tf.transpose(tensor, self.order)
        )

    def stretches(self, place: int) -> list[tuple[float, float]] | None:
        """From where to where maps lie along each axis of an input, in its entries; None for all of it."""
        extents = self.extents[place] if self.extents else ()
        return [(extent.start, extent.stop) for extent in extents] or None

    def fields(self, place: int) -> list[FieldPlaces]:
        """The receptive fields of the maps' entries along each axis of positions of an input.

        Raises:
            ValueError: If they are not known.
        """
        if not self.order:
            raise ValueError(
                f"Where the receptive fields of what `reshape` makes of {self.path!r} lie is not known. Take "
                "alignment='input'."
            )
        return field_places(self.tensor, self.positions[place], self.position_axes)


@dataclass(frozen=True, eq=False)
class Maps:
    """The maps in a forward pass.

    Attributes:
        network: The network.
        forward: The pass.
        all: Those of layers, and those that operations between layers make, in the order they are made.
        positions: Where the positions of each of the inputs, flattened, go.
    """

    network: Network
    forward: Forward
    all: Sequence[LayerMaps]
    positions: Sequence[Positions]

    def chosen(self, tensor: str | None = None, reshape: Reshape | None = None) -> LayerMaps:
        """Returns the maps to weigh.

        Args:
            tensor: The name of one of them. None takes the layer that the network records; where it records
                none, what the pooling or head receives.
            reshape: What makes maps of the recorded layer's output.

        Raises:
            ValueError: If that has no maps, or nothing is named and there is no one answer.
        """
        if reshape is not None:
            return self._reshaped(reshape)
        if tensor is None and self.network.record is None:
            return self._received()
        for found in self.all:
            if found.path == tensor or found.tensor is self.forward.recorded:
                self._check_in_place(found)
                return found
        output: Any = self.forward.recorded
        kind = f"of shape {tuple(output.shape)}" if tf.is_tensor(output) else type(output).__name__
        what = f"its output is {kind}" if tensor is None else "there is none of this name"
        tokens = tf.is_tensor(output) and output.shape.rank == 3
        raise ValueError(
            f"`layer` {self.network.record or tensor!r} of {self.network.model.name!r} has no maps that the "
            f"logits depend on: {what}. Layers with maps: {self._quoted(self.all)}."
            + (" Of tokens, `reshape` makes maps." if tokens else "")
        )

    def _received(self) -> LayerMaps:
        """The last maps through which every way leads: what the pooling or head receives."""
        name = self.network.model.name
        if not self.all:
            raise ValueError(
                f"{name!r} has no layer with maps: none whose output has the shape "
                "(batch, *positions, channels) and decides the logits."
            )
        cuts = [place for place, found in enumerate(self.all) if self._has_all_ways(found)]
        received = self.all[cuts[-1]] if cuts else None
        rest = self.all[cuts[-1] + 1 :] if cuts else self.all
        if received is None or (not received.has_features and any(m.has_features for m in rest)):
            raise ValueError(
                f"No one layer of {name!r} has all that decides the logits: several ways lead there that do "
                "not meet while they have positions. Name one of them as `layer`: "
                f"{self._quoted([found for found in rest if found.has_features] or rest)}."
            )
        self._check_tokens(received)
        self._check_in_place(received)
        return received

    def _has_all_ways(self, maps: LayerMaps) -> bool:
        """Whether maps decide the logits alone: no other input that has maps leads past them."""
        others = [
            positions
            for place, positions in enumerate(self.positions)
            if any(found.over[place] and found.has_features for found in self.all)
        ]
        return maps.is_cut and all(maps.tensor.name in positions.cuts for positions in others)

    def _check_in_place(self, maps: LayerMaps) -> None:
        moving = [extent.moved_by for own in maps.extents for extent in own]
        first = next((operation for operation in moving if operation is not None), None)
        if first is not None:
            earlier = [found for found in self.all if not _is_moved(found)]
            raise ValueError(
                f"The maps of {maps.path!r} of {self.network.model.name!r} cannot be laid over the input: "
                f"the {first.type} {first.name!r} rolls positions, joins different parts of the input, or "
                "moves positions in a way that is not known before the model runs. "
                + (
                    f"Name a layer in front of it as `layer`: {quoted([m.path for m in earlier], most=40)}; "
                    "or explain"
                    if earlier
                    else "Explain"
                )
                + " the part of the model behind it."
            )

    def _check_tokens(self, received: LayerMaps) -> None:
        for positions, over in zip(self.positions, received.over, strict=True):
            mixing = positions.mixed_after(received.tensor.name) if over else None
            if mixing is not None:
                raise ValueError(
                    f"Behind {received.path!r}, the last maps of {self.network.model.name!r}, positions "
                    f"become tokens, (batch, tokens, channels), which {mixing.name!r} mixes: maps from "
                    "before that do not show what the logits are made from. Name a later layer as `layer`, "
                    "with `reshape`, a function from its tokens to (batch, *positions, channels); or name "
                    f"{received.path!r} to weigh its maps all the same."
                )

    def _reshaped(self, reshape: Reshape) -> LayerMaps:
        """What a function makes of the recorded layer's output."""
        output: Any = self.forward.recorded
        where = f"the output of `layer` {self.network.record!r} of {self.network.model.name!r}"
        reached = [
            tf.is_tensor(output) and output.name in found.numbers for found in self.positions
        ]
        if not any(reached):
            raise ValueError(f"The logits do not depend on {where}, or it is no single tensor.")
        values = reshape(output)
        shape = tuple(values.shape) if tf.is_tensor(values) else None
        over = tuple(
            below and shape is not None and found.tensor.shape.rank in (len(shape), len(shape) - 1)
            for below, found in zip(reached, self.positions, strict=True)
        )
        if not any(over) or len(shape or ()) < 3:
            kind = type(values).__name__ if shape is None else f"shape {shape}"
            raise ValueError(
                f"`reshape` must bring {where}, of shape {tuple(output.shape)}, to (batch, *positions, "
                f"channels), with the positions of an input. Received: {kind}."
            )
        return LayerMaps(self.network.record or "", output, over, reshape=reshape)

    @staticmethod
    def _quoted(maps: Sequence[LayerMaps]) -> str:
        return quoted([found.path for found in maps], most=40)


def forward_with_maps(network: Network, inputs: Any) -> Maps:
    """Runs a network; returns its forward pass, and all maps in it.

    A tensor is a map if its axes are, in any order, those of the batch, of the positions of an input that it
    is made from, more than one in all, and one of channels, and if the logits depend on it. Of layers that
    hand the same tensor on, as a nested model and its last layer, the innermost and first names it; of a
    layer that runs several times, each run, as `"conv@1"`. What an operation makes outside of layers, as a
    sum in a model's own `call`, has the name of its tensor, as `"add:0"`.

    Raises:
        ValueError: If the network reads an input whose channels come first.
    """
    layers = layer_paths(network.model)
    with recorded(list(layers.values())) as recording:
        forward = network.forward(inputs)
    runs = {path: recording.of(layer) for path, layer in layers.items()}
    positions = [follow(tensor, forward.logits) for tensor in tf.nest.flatten(inputs)]
    for found in positions:
        check_channels_last(found, network.model.name)
    named = _named_outputs(runs, forward.logits.graph)
    scopes = _scopes(layers, runs)
    made = [
        tensor
        for operation in operations_between(inputs, forward.logits)
        for tensor in operation.outputs
    ]
    between = [tensor for tensor in made if tensor.name in named or not _lies_in(tensor.op, scopes)]
    # Where one layer holds the whole network, what it makes within has to do.
    maps = _maps_of(between, named, positions) or _maps_of(made, named, positions)
    return Maps(network, forward, maps, positions)


def is_tensor_name(layer: Any, model: keras.Model) -> bool:
    """Whether what was given for a layer is the name of a tensor, as `Maps` gives them."""
    named = isinstance(layer, str) and re.fullmatch(r".+:\d+", layer) is not None
    return named and layer not in layer_paths(model)


def check_not_repeated(model: keras.Model, layer: keras.Layer) -> None:
    """Raises a `ValueError` if a layer runs within a `TimeDistributed`, at one time step after another."""
    paths = layer_paths(model)
    wrappers = [
        path for path, found in paths.items() if isinstance(found, keras.layers.TimeDistributed)
    ]
    own = [path for path, found in paths.items() if found is layer]
    around = [next((w for w in wrappers if path.startswith(f"{w}/")), None) for path in own]
    if all(around):
        raise ValueError(
            f"Layer {own[0]!r} of {model.name!r} runs at each time step by itself and has no maps over "
            f"time. Name the wrapper, {around[0]!r}, whose output is (batch, time, *positions, channels)."
        )


def _maps_of(
    tensors: Sequence[Tensor], named: Mapping[str, str], positions: Sequence[Positions]
) -> list[LayerMaps]:
    """Those of some tensors that are maps."""
    found = []
    for tensor in tensors:
        path = named.get(tensor.name)
        orders = [_order_of(tensor, path, one) for one in positions]
        over = tuple(order is not None for order in orders)
        if not any(over):
            continue
        order = orders[over.index(True)] or ()
        beneath = [one for one, below in zip(positions, over, strict=True) if below]
        has_features = not beneath[0].layouts[tensor.name].origins[order[-1]]
        if path is None and (tensor.op.type in RENAMES or not has_features):
            continue
        is_cut = all(tensor.name in one.cuts for one in beneath)
        name = path or tensor.name.partition("/")[2] or tensor.name
        extents = tuple(
            _extents_of(tensor, one) if below else ()
            for one, below in zip(positions, over, strict=True)
        )
        own = LayerMaps(name, tensor, over, order, is_cut, has_features)
        found.append(replace(own, extents=extents, positions=tuple(positions)))
    return found


def _extents_of(tensor: Tensor, positions: Positions) -> tuple[Extent, ...]:
    """Those of the input's axes of positions; none where an axis was not followed."""
    found = positions.extents[tensor.name]
    axes = range(1, tensor.shape.rank - 1)
    return tuple(found[axis] for axis in axes) if all(axis in found for axis in axes) else ()


def _is_moved(maps: LayerMaps) -> bool:
    return any(extent.moved_by is not None for own in maps.extents for extent in own)


def _order_of(tensor: Tensor, path: str | None, positions: Positions) -> tuple[int, ...] | None:
    order, rank = positions.order_of(tensor.name), tensor.shape.rank
    if order is None and path is not None and positions.is_unknown(tensor.name):
        # What a layer of the user's own does is not known; that it keeps the axes is most likely.
        fits = positions.tensor.shape.rank in (rank, rank - 1)
        return tuple(range(rank)) if fits and any(n != 1 for n in tensor.shape[1:-1]) else None
    return order


def _named_outputs(runs: Mapping[str, Sequence[Any]], graph: Any) -> dict[str, str]:
    """The paths of layers by the names of the tensors that they put out; the innermost layer counts."""
    named: dict[str, str] = {}
    for path in sorted(runs, key=lambda path: -path.count("/")):
        for run, output in enumerate(runs[path]):
            # What was made within a loop or a function of a layer's own cannot be reached from here.
            if tf.is_tensor(output) and output.graph is graph and output.shape.rank:
                named.setdefault(output.name, path if len(runs[path]) == 1 else f"{path}@{run}")
    return named


def _scopes(layers: Mapping[str, keras.Layer], runs: Mapping[str, Sequence[Any]]) -> set[str]:
    """The scopes of names in which layers, models aside, make their operations."""
    scopes = set[str]()
    for path, layer in layers.items():
        if isinstance(layer, keras.Model):
            continue
        own = re.compile(re.escape(layer.name) + r"(_\d+)?")
        for output in runs[path]:
            if tf.is_tensor(output):
                parts = output.name.split("/")[:-1]
                last = max((n for n, part in enumerate(parts) if own.fullmatch(part)), default=None)
                if last is not None:
                    scopes.add("/".join(parts[: last + 1]))
    return scopes


def _lies_in(operation: Any, scopes: set[str]) -> bool:
    parts = operation.name.split("/")
    return any("/".join(parts[:count]) in scopes for count in range(1, len(parts)))
