"""Finds the layers of a network that make maps: whose outputs still have positions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import tensorflow as tf

from ..checks import quoted
from .forward import Forward, Network
from .graph import operations_between
from .layers import layer_paths
from .recording import recorded

Tensor = Any


@dataclass(frozen=True)
class LayerMaps:
    """The maps of a layer in a forward pass.

    Attributes:
        path: Path of the layer.
        values: Its output, `(batch, *positions, channels)`.
        over: For each of the inputs, flattened, whether the maps are made from it and have its axes.
    """

    path: str
    values: Tensor
    over: tuple[bool, ...]

    def positions(self, tensor: Tensor) -> tuple[int, ...]:
        """The sizes of the axes of an input that the axes of the maps lie over."""
        return tuple(tensor.shape[1 : self.values.shape.rank - 1])


def forward_with_maps(network: Network, inputs: Any) -> tuple[Forward, list[LayerMaps]]:
    """Runs a network; returns its forward pass, and the maps of all layers that have any, in order.

    A layer has maps if its output `(batch, *positions, channels)` has the axes of an input that it is made
    from, with more than one position, and if the logits depend on it. Of layers that hand the same output on,
    as a nested model and its last layer, the innermost and first is named; of a layer that runs several
    times, each run, as `"conv@1"`.
    """
    layers = layer_paths(network.model)
    with recorded(list(layers.values())) as recording:
        forward = network.forward(inputs)
    runs = {path: recording.of(layer) for path, layer in layers.items()}
    named = _named_outputs(runs, forward.logits.graph)
    flat = tf.nest.flatten(inputs)
    reached = [_made_between(tensor, forward.logits) for tensor in flat]
    maps = []
    for name in _made_between(inputs, forward.logits):
        if name not in named:
            continue
        path, values = named[name]
        over = tuple(
            name in made and _has_axes_of(values, tensor)
            for tensor, made in zip(flat, reached, strict=True)
        )
        if any(over):
            maps.append(LayerMaps(path, values, over))
    return forward, maps


def chosen_maps(network: Network, forward: Forward, maps: Sequence[LayerMaps]) -> LayerMaps:
    """Returns the maps of the layer that the network records; the last ones where it records none.

    Raises:
        ValueError: If that layer has no maps, or no layer has.
    """
    if not maps:
        raise ValueError(
            f"{network.model.name!r} has no layer with maps: none whose output has the shape "
            "(batch, *positions, channels) and decides the logits."
        )
    if network.record is None:
        return maps[-1]
    for found in maps:
        if found.values is forward.recorded:
            return found
    output: Any = forward.recorded
    kind = f"of shape {tuple(output.shape)}" if tf.is_tensor(output) else type(output).__name__
    raise ValueError(
        f"`layer` {network.record!r} of {network.model.name!r} has no maps that the logits depend on: its "
        f"output is {kind}. Layers with maps: {quoted([found.path for found in maps], most=40)}."
    )


def _named_outputs(runs: Mapping[str, Sequence[Any]], graph: Any) -> dict[str, tuple[str, Tensor]]:
    """The tensors that layers put out, by name, each with the path of the innermost layer."""
    named: dict[str, tuple[str, Tensor]] = {}
    for path in sorted(runs, key=lambda path: -path.count("/")):
        for run, output in enumerate(runs[path]):
            # What was made within a loop or a function of a layer's own cannot be reached from here.
            if tf.is_tensor(output) and output.graph is graph and output.shape.rank:
                name = path if len(runs[path]) == 1 else f"{path}@{run}"
                named.setdefault(output.name, (name, output))
    return named


def _made_between(inputs: Any, logits: Tensor) -> dict[str, None]:
    """The names of the tensors between inputs and logits, in the order they are made."""
    operations = operations_between(inputs, logits)
    return dict.fromkeys(tensor.name for operation in operations for tensor in operation.outputs)


def _has_axes_of(values: Tensor, tensor: Tensor) -> bool:
    """Whether an output has as many axes of positions as an input; grey images may lack their channels."""
    rank = values.shape.rank
    return tensor.shape.rank in (rank, rank - 1) and any(size != 1 for size in values.shape[1:-1])
