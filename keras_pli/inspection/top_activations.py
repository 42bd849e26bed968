"""The places in a data set that activate each channel of a layer the most, and what of them did so."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import ArrayLike, NDArray

from ..brief import brief_repr
from ..checks import quoted
from ..network.backward import backpropagate
from ..network.backward_rules import deconvolution_rules
from ..network.graph import in_this_graph, operations_between
from ..network.inputs import checked_inputs
from ..network.kinds import RECTIFIERS
from ..network.operations import inner_types
from ..stored_result import StoredResult
from .layer_outputs import LayerOutputs, axes_of_positions, checked_channels, checked_count
from .receptive_fields import receptive_boxes
from .strongest_places import StrongestPlaces, streamed

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from ..plotting.style import ClassNames

Array = NDArray[np.float32]
Integers = NDArray[np.intp]
_FIRST_CHANNELS = 16
_LETTERS = 13  # of a label below a picture


@dataclass(frozen=True, eq=False, repr=False)
class TopActivations(StoredResult):
    """The strongest places of each of some channels of a layer, with the crops of their receptive fields.

    Attributes:
        channels: The layer's channels, `(channels,)`.
        samples: Which sample of the data each place is in, `(channels, k)`, the strongest first.
        positions: Where in the layer's output it is, `(channels, k, axes)`.
        values: The activations, float32 of shape `(channels, k)`.
        labels: Of the samples, `(channels, k, ...)`; of length 0 where none were given.
        boxes: First entry and one past the last of the receptive field along each axis of the sample, within
            its border: `(channels, k, axes of the sample, 2)`.
        crops: The receptive fields, float32 of shape `(channels, k, *window)`; NaN beyond the border.
        projections: The deconvnet's projection of the one activation, cropped likewise; of length 0 where
            there are none.
        about: The layer, how many samples were seen, and `"unprojected"`: why there are no projections,
            although they were not declined; otherwise empty.

    Example:
        >>> model = keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Conv2D(4, 3, name="a")])
        >>> x = np.random.default_rng(0).normal(size=(20, 8, 8, 1))
        >>> top_activations(model, x, "a", k=3).crops.shape
        (4, 3, 3, 3, 1)
    """

    channels: Integers
    samples: Integers
    positions: Integers
    values: Array
    labels: NDArray[Any]
    boxes: Integers
    crops: Array
    projections: Array
    about: dict[str, Any]

    __repr__ = brief_repr

    def to_frame(self) -> pd.DataFrame:
        """Returns a row a place: channel, rank, sample, position, activation, and label if there are any."""
        import pandas as pd

        channels, k = self.samples.shape
        columns: dict[str, Any] = {
            "channel": np.repeat(self.channels, k),
            "rank": np.tile(np.arange(k), channels),
            "sample": self.samples.ravel(),
            "position": [" ".join(map(str, place)) for line in self.positions for place in line],
            "activation": self.values.ravel(),
        }
        if self._labelled:
            columns["label"] = self.labels.ravel()
        return pd.DataFrame(columns)

    def plot(
        self,
        *,
        channels: int = 8,
        class_names: ClassNames | None = None,
        value_range: tuple[float, float] | None = None,
        title: str | None = None,
    ) -> Figure:
        """Draws the crops of each channel in a row, and below each its projection, and its label if known.

        Args:
            channels: How many of them, the first.
            class_names: What the labels are called: a sequence that integer labels index, or a mapping.
            value_range: The samples' values drawn black and white; see `plotting.image_strip`.
            title: What stands above; by default the layer.

        Raises:
            ValueError: If samples have no positions, or `class_names` name labels that are not there, or not
                one a sample.
        """
        from .. import plotting

        some = slice(0, checked_count(channels, "channels"))
        captions = self._captions(class_names)[some]
        left = len(self.channels) - len(self.channels[some])
        notes = ["sample: activation" + (", label" if self._labelled else "")]
        notes += [f"{left} more channels"] if left else []
        notes += [f"no projections: {why}"] if (why := self.about.get("unprojected")) else []
        return plotting.crop_grid(
            self.crops[some],
            self.projections[some] if len(self.projections) else None,
            dimensions=axes_of_positions(self.positions, self.crops.ndim - 2),
            captions=captions,
            row_labels=[str(channel) for channel in self.channels[some]],
            value_range=value_range,
            note="; ".join(notes),
            title=f"Strongest places of {self.about['layer']}" if title is None else title,
        )

    @property
    def _labelled(self) -> bool:
        return self.labels.shape == self.samples.shape

    def _captions(self, class_names: ClassNames | None) -> list[list[str]]:
        """Below each place its sample and activation, and in a line of its own the label."""
        pairs = zip(self.samples.ravel(), self.values.ravel(), strict=True)
        texts = [f"{sample}: {value:.2g}" for sample, value in pairs]
        if class_names is not None and not self._labelled:
            raise ValueError(
                "`class_names` are for labels, one a sample, which `top_activations` was not given. The "
                f"labels have shape {self.labels.shape}."
            )
        if self._labelled:
            names = _label_names(self.labels.ravel(), class_names)
            texts = [f"{text}\n{name}" for text, name in zip(texts, names, strict=True)]
        k = self.samples.shape[1]
        return [texts[start : start + k] for start in range(0, len(texts), k)]


def top_activations(
    model: keras.Model,
    data: Any,
    layer: str | keras.Layer,
    *,
    labels: ArrayLike | None = None,
    channels: ArrayLike | None = None,
    k: int = 9,
    places_per_sample: int = 1,
    project: bool | None = None,
    batch_size: int = 64,
    verbose: int = 0,
) -> TopActivations:
    """Finds the places in a data set of any length that activate channels of a layer the most.

    The data are passed once, batch by batch. Beside a batch, at most `channels · k` samples are held at a
    time, however long the data are. Of equal activations the one of the earlier sample counts more, and
    within a sample that of the earlier position.

    The projection is that of Zeiler & Fergus (2014, section 2.1): all activations of the layer but the one
    are set to zero, and what is left is passed down to the input through transposed filters, through
    max-pooling to where the maximum was, and through rectifiers that pass on what is positive.

    Args:
        model: A built Keras model with one input.
        data: Samples `(samples, ...)`, which may be memory-mapped, or a `tf.data.Dataset` of batches, of
            inputs alone or of `(inputs, labels)`, one tensor of each.
        layer: The layer or its path; where it runs several times, `"conv@1"` is the second time.
        labels: One a sample, where the data are an array.
        channels: Which of the layer's channels; None for the first 16.
        k: Places of each channel.
        places_per_sample: Places of a channel that may lie in one sample.
        project: Whether to make projections, for which the way to the input must have a derivative. By
            default they are made unless the model takes whole numbers, such as bytes or the ids of words,
            which have none; `about["unprojected"]` says so.
        batch_size: Samples at a time, where the data are an array.
        verbose: 1 shows how many samples were seen.

    Raises:
        TypeError: If `model` is not a Keras model, the data are of another kind, or a data set has several
            inputs or several labels.
        ValueError: If samples do not fit the model, an activation is NaN, there is no such layer or channel,
            a rectifier on the way is hidden in a function, or projections are asked for on whole numbers.

    Example:
        >>> model = keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Conv2D(4, 3, name="a")])
        >>> x = np.random.default_rng(0).normal(size=(20, 8, 8, 1))
        >>> found = top_activations(model, x, "a", channels=[2], k=3, labels=np.arange(20))
        >>> found.positions.shape, found.labels.tolist() == found.samples.tolist()
        ((1, 3, 2), True)
    """
    most, places = checked_count(k, "k"), checked_count(places_per_sample, "places_per_sample")
    outputs = LayerOutputs(model, layer, batch_size=batch_size)
    best: StrongestPlaces | None = None
    unprojected = ""
    known_length = hasattr(data, "__len__") and not isinstance(data, tf.data.Dataset)
    total = len(data) if known_length else None
    progress = keras.utils.Progbar(total, verbose=verbose, unit_name="sample")
    for samples, known in streamed(data, labels, outputs.runner.batch_size):
        inputs = _one_input(checked_inputs(samples, model), model)
        if best is None:
            unprojected = _no_projections(inputs, model, project)
            best = StrongestPlaces(outputs, _channels(outputs, inputs, channels), most, places)
        best.add(inputs, np.asarray(samples), known)
        progress.add(len(inputs))
    if best is None:
        raise ValueError("`data` must hold samples. Received none.")
    return _result(outputs, best, project=project is not False and not unprojected, why=unprojected)


def _one_input(inputs: Any, model: keras.Model) -> NDArray[Any]:
    if not isinstance(inputs, np.ndarray):
        raise ValueError(
            f"Places are found in one input. {model.name!r} has several; received: {type(inputs).__name__}."
        )
    return inputs


def _no_projections(inputs: NDArray[Any], model: keras.Model, project: bool | None) -> str:
    """Why there can be no projections, or nothing; raises where they were asked for."""
    if project is False or inputs.dtype.kind == "f":
        return ""
    if project:
        raise ValueError(
            f"{model.name!r} takes whole numbers, {inputs.dtype.name}, which have no derivative, so nothing "
            "can be projected onto them. Pass project=False."
        )
    return f"the model takes whole numbers ({inputs.dtype.name})"


def _label_names(labels: NDArray[Any], class_names: ClassNames | None) -> list[str]:
    """What stands below a place for its label, cut to the width of a picture."""
    from ..plotting.style import class_labels, class_styles

    if class_names is None:
        found = [f"{one:.3g}" if isinstance(one, float) else str(one) for one in labels.tolist()]
    else:
        classes = class_labels(labels, len(labels))
        styles = class_styles(classes, class_names)
        found = [styles[label].name for label in classes.tolist()]
    return [f"{one[: _LETTERS - 1]}…" if len(one) > _LETTERS else one for one in found]


def _channels(outputs: LayerOutputs, inputs: NDArray[Any], channels: ArrayLike | None) -> Integers:
    made = outputs.over(inputs[:1])
    chosen = checked_channels(channels, made.shape[-1], outputs.path)
    return chosen[:_FIRST_CHANNELS] if channels is None else chosen


def _result(
    outputs: LayerOutputs, best: StrongestPlaces, *, project: bool, why: str
) -> TopActivations:
    """What was found, with the crops and the projections."""
    held = [best.held[sample] for sample in best.samples.ravel().tolist()]
    images, labels = np.stack([image for image, _ in held]), [label for _, label in held]
    positions = best.positions
    unique, which = np.unique(positions.reshape(len(images), -1), axis=0, return_inverse=True)
    starts, stops = receptive_boxes(outputs, unique, images.shape[1:])
    boxes = np.stack([starts, stops], axis=-1)[which.ravel()]
    window = (boxes[..., 1] - boxes[..., 0]).max(axis=0)
    shape = best.samples.shape
    projections = np.zeros(0, np.float32)
    if project:
        made = _projections(outputs, images, best)
        projections = _cropped(made, boxes, window).reshape(*shape, *window)
    return TopActivations(
        channels=best.channels,
        samples=best.samples,
        positions=positions,
        values=best.values,
        labels=np.zeros(0)
        if labels[0] is None
        else np.stack(labels).reshape(*shape, *np.shape(labels[0])),
        boxes=boxes.reshape(*shape, -1, 2),
        crops=_cropped(images, boxes, window).reshape(*shape, *window),
        projections=projections,
        about={
            "layer": outputs.path,
            "model": outputs.network.model.name,
            "seen": best.seen,
            "unprojected": why,
        },
    )


def _cropped(images: NDArray[Any], boxes: Integers, window: Integers) -> Array:
    """Each image's box, at its place in a window of one size; NaN where the window hangs over the border."""
    crops = np.full((len(images), *window), np.nan, np.float32)
    for image, box, crop in zip(images, boxes, crops, strict=True):
        sizes = box[:, 1] - box[:, 0]
        # What is cut off at the start of an axis lacks there; elsewhere it lacks at the end.
        first = np.where(box[:, 0] == 0, window - sizes, 0)
        inside = tuple(map(slice, first, first + sizes))
        crop[inside] = image[tuple(slice(start, stop) for start, stop in box)]
    return crops


def _projections(outputs: LayerOutputs, images: NDArray[Any], best: StrongestPlaces) -> Array:
    """The deconvnet's projection of each place, in the shape of the samples."""
    inputs = checked_inputs(images, outputs.network.model)
    units = np.repeat(best.channels, best.samples.shape[1]).astype(np.int32)
    given = [inputs, best.places.ravel().astype(np.int32), units]

    def project(x: Any, places: Any, channels: Any) -> Any:
        x = in_this_graph(x)
        output = outputs.of(x)
        _check_visible(operations_between(x, output), outputs.path)
        size = tf.reduce_prod(tf.shape(output)[1:])
        one = tf.one_hot(places * output.shape[-1] + channels, size)
        start = tf.reshape(one, tf.shape(output)) * output
        return backpropagate(output, x, deconvolution_rules(), start=start)

    run = outputs.traced(project, given, ("projection", outputs.path))
    made: Array = outputs.runner.over(lambda *rows: run(*map(tf.constant, rows)), given)
    return made


def _check_visible(operations: Any, path: str) -> None:
    for operation in operations:
        hidden = inner_types(operation) & RECTIFIERS
        if hidden:
            raise ValueError(
                f"The projection of {path!r} cannot reach {quoted(sorted(hidden))} inside the function or "
                f"loop {operation.name!r}. Pass project=False."
            )
