"""Which axes of a model's input are positions, and which one is channels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from ..network.forward import Network
from ..network.inputs import input_shapes
from ..network.positions import check_channels_last, follow
from .canvas import Layout

MOST_CHANNELS = 4  # of an image, where nothing else tells channels from columns


def input_layout(network: Network, shape: Sequence[int] | None = None) -> Layout:
    """Returns what the axes of a model's input are.

    The last of three or more axes is that of channels; of two, where a convolution or pooling takes it for
    such, or nothing does and it has at most four entries. A single axis is a vector.

    Args:
        network: The network.
        shape: Of one input, where the model does not say it.

    Raises:
        ValueError: If the model has several inputs, none that holds real numbers, an unknown shape, another
            one than was given, or takes its channels first.
    """
    known = _sample_shape(network, shape)
    channels = len(known) > 2 or (len(known) == 2 and _reads_channels(network, known))
    return Layout(known, known[:-1] if channels else known if len(known) > 1 else ())


def _sample_shape(network: Network, given: Sequence[int] | None) -> tuple[int, ...]:
    model = network.model
    shapes = input_shapes(model)
    if shapes is None:
        if given is None:
            raise ValueError(
                f"{model.name!r} does not say what it takes. Pass `shape` of one input."
            )
        return tuple(int(size) for size in given)
    if len(shapes) != 1:
        raise ValueError(f"Images are made for a single input. {model.name!r} has {len(shapes)}.")
    if not str(model.inputs[0].dtype).startswith(("float", "bfloat")):
        raise ValueError(
            f"Images are made of real numbers. {model.name!r} takes {model.inputs[0].dtype}."
        )
    own = shapes[0][1:]
    sizes = own if given is None else tuple(int(size) for size in given)
    fits = len(sizes) == len(own) and all(a in (None, b) for a, b in zip(own, sizes, strict=True))
    if not fits or None in sizes:
        raise ValueError(
            f"`shape` must be that of one input of {model.name!r}, {own}, without None. Received: {given}."
        )
    return tuple(int(size or 0) for size in sizes)


def _reads_channels(network: Network, shape: tuple[int, ...]) -> bool:
    """Whether the last of two axes is channels, by what reads it first."""
    found: list[Any] = []

    @tf.function(autograph=False)
    def look(x: Any) -> Any:
        logits = network.forward(x).logits
        positions = follow(x, logits)
        check_channels_last(positions, network.model.name)
        found.append(positions.channels)
        return logits

    look.get_concrete_function(tf.TensorSpec((network.fixed_batch, *shape)))
    return len(shape) in found[0] or (not found[0] and shape[-1] <= MOST_CHANNELS)
