"""The receptive field of a unit: the entries of the input that it can depend on, exactly, by the graph."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import ArrayLike, NDArray

from ..brief import brief_repr
from ..checks import one_of, quoted
from ..network.inputs import fixed_batch
from ..stored_result import StoredResult
from .dependence import depended_on
from .layer_outputs import LayerOutputs, axes_of_positions, checked_channels, checked_count

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Integers = NDArray[np.intp]
# Truth values held at a time, in the largest tensor.
_MOST_ENTRIES = 40_000_000


@dataclass(frozen=True, eq=False, repr=False)
class ReceptiveFields(StoredResult):
    """What of the input each of some units of a layer can depend on.

    Attributes:
        positions: Where in the layer's output the units are, `(fields, axes)`.
        masks: Which entries of one sample they can depend on, bool of shape `(fields, *sample)`.
        starts: The first entry along each axis of the sample, `(fields, axes of the sample)`.
        stops: One past the last; with `starts` the box around the field, within the sample. Both are 0 where
            a unit depends on nothing.
        about: The layer, the channel, and `"overestimated"`: a tuple of the operations of which is not known
            what they read, so that all of what they are given was counted. An empty one, `()`, means that the
            fields are exact.

    Example:
        >>> model = keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Conv2D(4, 3, name="a")])
        >>> receptive_fields(model, "a", [[0, 5]]).sizes.tolist()
        [[3, 3, 1]]
    """

    positions: Integers
    masks: NDArray[np.bool_]
    starts: Integers
    stops: Integers
    about: dict[str, Any]

    __repr__ = brief_repr

    @property
    def sizes(self) -> Integers:
        """The size of the box around each field, `(fields, axes of the sample)`."""
        return self.stops - self.starts

    def slices(self, field: int) -> tuple[slice, ...]:
        """Returns what cuts a field's box out of a sample."""
        return tuple(map(slice, self.starts[field].tolist(), self.stops[field].tolist()))

    def plot(
        self,
        sample: ArrayLike | None = None,
        *,
        most: int = 12,
        value_range: tuple[float, float] | None = None,
        title: str | None = None,
    ) -> Figure:
        """Draws the fields in orange, each with its box, over a sample or alone.

        Args:
            sample: One sample, `(...)`, as the model takes it; None draws the fields alone.
            most: Fields drawn, evenly chosen of more.
            value_range: The sample's values drawn black and white; see `plotting.image_strip`.
            title: What stands above; by default the layer.

        Raises:
            ValueError: If the sample has another shape, or more than three axes of positions.

        Example:
            >>> model = keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Conv2D(4, 3, name="a")])
            >>> figure = receptive_fields(model, "a", [[0, 5]]).plot(np.ones((8, 8, 1)))
            >>> figure.axes[0].get_xlabel()
            '(0, 5): 3 × 3'
        """
        from .. import plotting

        count = min(checked_count(most, "most"), len(self.masks))
        chosen = np.linspace(0, len(self.masks) - 1, count).round().astype(int)
        axes = axes_of_positions(self.positions, self.masks.ndim - 1)
        notes = ["position: size of the box"]
        notes += [f"{count} of {len(self.masks)} fields"] if count < len(self.masks) else []
        guessed = self.about["overestimated"]
        if guessed:  # their names, which `about` holds, are too long for a figure
            notes.append(f"perhaps too large, for {len(guessed)} operations of unknown reach")
        captions = []
        for field in chosen:
            size = " × ".join(map(str, self.sizes[field][:axes].tolist()))
            captions.append(f"{_written(self.positions[field])}: {size}")
        return plotting.field_grid(
            self.masks[chosen],
            sample,
            dimensions=axes,
            captions=captions,
            value_range=value_range,
            note="; ".join(notes),
            title=f"Receptive fields of {self.about['layer']}" if title is None else title,
        )


def _written(place: Integers) -> str:
    return f"({', '.join(map(str, place.tolist()))})"


def receptive_fields(
    model: keras.Model,
    layer: str | keras.Layer,
    positions: ArrayLike | Literal["central"] | None = None,
    *,
    channel: int | None = None,
    input_shape: tuple[int, ...] | None = None,
) -> ReceptiveFields:
    """Returns the receptive fields of units of a layer, clipped at the border of the input.

    They follow from the structure of the traced graph: strides, padding, dilation, pooling, branches,
    upsampling, transposed convolutions, and what joins all positions, as global pooling, dense layers,
    attention and normalization do. Weights and activations play no part: an entry belongs to the field if
    some weights let the unit change with it. A unit is never said to see less than it can.

    Args:
        model: A built Keras model with one input.
        layer: The layer or its path; where it runs several times, `"conv@1"` is the second time.
        positions: Positions in the layer's output, `(fields, axes)`, or one of them; `"central"` for the one
            in the middle, None for all. A layer without axes of positions, `(batch, channels)`, has one
            position, `()`.
        channel: The channel meant; None for any of them. They differ where channels are kept apart.
        input_shape: Shape of one sample, where the model leaves it open.

    Raises:
        TypeError: If `model` is not a Keras model.
        ValueError: If there is no such layer, position or channel, the model has several inputs, or the shape
            of a sample is not known.

    Example:
        >>> layers = [keras.layers.Conv2D(4, 3, padding="same"), keras.layers.MaxPooling2D(name="pool")]
        >>> model = keras.Sequential([keras.Input((8, 8, 1)), *layers])
        >>> fields = receptive_fields(model, "pool", [[0, 0], [2, 2]])
        >>> fields.starts[:, :2].tolist(), fields.stops[:, :2].tolist()
        ([[0, 0], [3, 3]], [[3, 3], [7, 7]])
    """
    outputs = LayerOutputs(model, layer)
    source, target = _traced(outputs, input_shape)
    shape = tuple(target.shape)
    places = _checked_positions(positions, shape[1:-1], outputs.path)
    channels = checked_channels(channel, shape[-1], outputs.path)
    parts = list(_fields(source, target, places, channels))
    masks = np.concatenate([mask for mask, _ in parts])
    guessed = [name for _, names in parts for name in names]
    starts, stops = _boxes(masks)
    about = {
        "layer": outputs.path,
        "channel": channel,
        "overestimated": tuple(dict.fromkeys(guessed)),
    }
    return ReceptiveFields(places, masks, starts, stops, about)


def receptive_boxes(
    outputs: LayerOutputs, positions: ArrayLike, input_shape: tuple[int, ...]
) -> tuple[Integers, Integers]:
    """Returns `starts` and `stops` of `ReceptiveFields` alone, which take no memory for each entry.

    Example:
        >>> model = keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Conv2D(4, 3, name="a")])
        >>> receptive_boxes(LayerOutputs(model, "a"), [[0, 5]], (8, 8, 1))
        (array([[0, 5, 0]]), array([[3, 8, 1]]))
    """
    source, target = _traced(outputs, input_shape)
    places = _checked_positions(positions, tuple(target.shape)[1:-1], outputs.path)
    channels = np.arange(target.shape[-1])
    boxes = [_boxes(masks) for masks, _ in _fields(source, target, places, channels)]
    return np.concatenate([one for one, _ in boxes]), np.concatenate([two for _, two in boxes])


def _fields(
    source: Any, target: Any, places: Integers, channels: Integers
) -> Iterator[tuple[NDArray[np.bool_], list[str]]]:
    """Carries some units at a time back, so that what lies between takes no more memory for more units."""
    largest = max(
        math.prod(tensor.shape)
        for operation in target.graph.get_operations()
        for tensor in operation.outputs
        if tensor.shape.rank is not None and None not in tuple(tensor.shape)
    )
    step = max(1, _MOST_ENTRIES // largest)
    for start in range(0, len(places), step):
        some = places[start : start + step]
        wanted = np.zeros((len(some), *target.shape), bool)
        fields = np.arange(len(some))[:, None]
        units = (fields, 0, *some.T[:, :, None], channels)
        wanted[units] = True
        masks, names = depended_on(source, target, wanted)
        yield masks[:, 0], names


def _traced(outputs: LayerOutputs, input_shape: tuple[int, ...] | None) -> tuple[Any, Any]:
    """The input and the layer's output, in a graph of their own for one batch of known shape."""
    spec = _sample_spec(outputs.network.model, input_shape)
    traced = tf.function(outputs.of, autograph=False).get_concrete_function(spec)
    source, target = traced.inputs[0], traced.outputs[0]
    if None in tuple(target.shape):
        raise ValueError(
            f"The shape of what layer {outputs.path!r} puts out, {tuple(target.shape)}, is not known before "
            "it runs."
        )
    return source, target


def _sample_spec(model: keras.Model, input_shape: tuple[int, ...] | None) -> tf.TensorSpec:
    """The shape and type of the smallest batch that a model takes."""
    try:
        inputs = list(model.inputs)
    except (AttributeError, TypeError, ValueError):  # a subclassed model does not say
        inputs = []
    if len(inputs) > 1:
        raise ValueError(
            f"Receptive fields are found for one input; {model.name!r} has {len(inputs)}: "
            f"{quoted(tensor.name for tensor in inputs)}."
        )
    known = tuple(inputs[0].shape[1:]) if inputs else None
    shape = known if input_shape is None else tuple(input_shape)
    if shape is None or None in shape:
        raise ValueError(
            f"{model.name!r} leaves the shape of its samples open: {known}. Say it by `input_shape`."
        )
    fits = known is None or (
        len(known) == len(shape)
        and all(own in (None, given) for own, given in zip(known, shape, strict=True))
    )
    if not fits:
        raise ValueError(f"{model.name!r} takes samples of shape {known}. Received: {shape}.")
    dtype = inputs[0].dtype if inputs else "float32"
    return tf.TensorSpec((fixed_batch(model) or 1, *shape), dtype)


def _checked_positions(
    positions: ArrayLike | Literal["central"] | None, shape: tuple[int, ...], path: str
) -> Integers:
    if isinstance(positions, str):
        one_of(positions, ("central",), "positions")
        return np.array([[size // 2 for size in shape]], np.intp)
    if positions is None:
        return np.indices(shape).reshape(len(shape), math.prod(shape)).T.astype(np.intp)
    given = np.asarray(positions)
    given = given.astype(np.intp) if given.size == 0 else given
    if given.ndim == 1:
        given = given[:, None] if len(shape) == 1 else given[None]
    if (
        given.ndim != 2
        or given.shape[1] != len(shape)
        or given.dtype.kind not in "iu"
        or not len(given)
    ):
        raise ValueError(
            f"`positions` of layer {path!r} must be whole numbers of shape (fields, {len(shape)}). "
            f"Received: {given.dtype} of shape {np.shape(positions)}."
        )
    wrong = given[((given < 0) | (given >= np.array(shape, int))).any(axis=1)]
    if len(wrong):
        raise ValueError(
            f"`positions` must lie within {shape}, the positions of layer {path!r}. "
            f"Received: {quoted(map(tuple, wrong.tolist()))}."
        )
    return given.astype(np.intp)


def _boxes(masks: NDArray[np.bool_]) -> tuple[Integers, Integers]:
    """The first entry along each axis, and one past the last."""
    axes = range(1, masks.ndim)
    starts = np.zeros((len(masks), len(axes)), np.intp)
    stops = np.zeros_like(starts)
    for axis in axes:
        line = np.any(masks, axis=tuple(other for other in axes if other != axis))
        some = line.any(axis=1)
        starts[:, axis - 1] = np.where(some, line.argmax(axis=1), 0)
        stops[:, axis - 1] = np.where(some, line.shape[1] - line[:, ::-1].argmax(axis=1), 0)
    return starts, stops
