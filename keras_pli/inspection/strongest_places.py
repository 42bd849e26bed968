"""A stream of samples, of which the strongest places of each channel are kept, and no more."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import ArrayLike, NDArray

from ..checks import label_array, quoted
from .layer_outputs import LayerOutputs

Integers = NDArray[np.intp]


def streamed(
    data: Any, labels: ArrayLike | None, batch_size: int
) -> Iterator[tuple[NDArray[Any], NDArray[Any] | None]]:
    """Yields batches of samples with their labels, or None.

    Args:
        data: An array, which may be memory-mapped, or a `tf.data.Dataset` of batches.
        labels: Of an array, one a sample. Bytes, as TensorFlow has them for strings, become strings.
        batch_size: Of an array, how many samples a batch has.

    Raises:
        TypeError: If the data are of another kind, or a data set has several inputs or several labels.
        ValueError: If there are labels beside a data set, or not one a sample.

    Example:
        >>> [len(x) for x, _ in streamed(np.zeros((5, 2)), None, 2)]
        [2, 2, 1]
    """
    if isinstance(data, tf.data.Dataset):
        if labels is not None:
            raise ValueError(
                "`labels` are for arrays; a tf.data.Dataset has them in its batches, (inputs, labels)."
            )
        for batch in data:
            yield _parted(batch)
        return
    if not hasattr(data, "shape") and not isinstance(data, list | tuple):
        raise TypeError(
            f"`data` must be an array or a tf.data.Dataset of batches. Received: {type(data).__name__}."
        )
    samples = data if hasattr(data, "shape") else np.asarray(data)
    known = None if labels is None else _readable(label_array(labels, len(samples)))
    for start in range(0, len(samples), batch_size):
        rows = slice(start, start + batch_size)
        yield np.asarray(samples[rows]), None if known is None else known[rows]


def _parted(batch: Any) -> tuple[NDArray[Any], NDArray[Any] | None]:
    parts = batch if isinstance(batch, tuple) else (batch,)
    samples = _single(parts[0], "inputs")
    if len(parts) < 2:
        return samples, None
    labels = _readable(_single(parts[1], "labels"))
    if labels.shape[:1] != samples.shape[:1]:
        raise ValueError(
            "A tf.data.Dataset must have batches with a label for each sample. Received inputs of shape "
            f"{samples.shape} and labels of shape {labels.shape}."
        )
    return samples, labels


def _single(part: Any, name: str) -> NDArray[Any]:
    """The one tensor of inputs or labels, which may be named, as for a model whose output has a name."""
    tensors = tf.nest.flatten(part)
    if len(tensors) != 1 or not isinstance(tensors[0], tf.Tensor):
        names = f" named {quoted(part)}" if isinstance(part, dict) else ""
        kinds = quoted(type(tensor).__name__ for tensor in tensors)
        raise TypeError(
            "A tf.data.Dataset must have batches of one tensor of inputs, or of (inputs, labels) with one of "
            f"each; its method `map` makes such. Received {name}{names}: {kinds}."
        )
    return np.asarray(tensors[0])


def _readable(labels: NDArray[Any]) -> NDArray[Any]:
    """Strings for labels that are bytes."""
    if labels.dtype.kind not in "SO" or not all(isinstance(one, bytes) for one in labels.flat):
        return labels
    texts = [one.decode("utf-8", "replace") for one in labels.flat]
    return np.array(texts, dtype=str).reshape(labels.shape)


class StrongestPlaces:
    """The strongest places so far of each channel of a layer, with the samples they lie in.

    Attributes:
        channels: The channels.
        values: Their activations, `(channels, found)`, the strongest first.
        samples: The numbers of the samples, counted from the first that was added.
        places: Flat positions in the layer's output.
        held: The samples that are referred to, with their labels, by number.
        seen: How many samples were added.

    Args:
        outputs: The layer.
        channels: Those wanted.
        most: Places of each that are kept.
        per_sample: Of these, how many may lie in one sample.

    Example:
        >>> import keras
        >>> model = keras.Sequential([keras.Input((4, 1)), keras.layers.Conv1D(2, 1, name="a")])
        >>> best = StrongestPlaces(LayerOutputs(model, "a"), np.array([0, 1]), most=3)
        >>> best.add(np.ones((5, 4, 1), "float32"))
        >>> best.samples[0].tolist()
        [0, 1, 2]
    """

    def __init__(
        self, outputs: LayerOutputs, channels: Integers, most: int, per_sample: int = 1
    ) -> None:
        self.outputs, self.channels = outputs, channels
        self.most, self.per_sample = most, per_sample
        self.values = np.zeros((len(channels), 0), np.float32)
        self.samples = np.zeros((len(channels), 0), np.intp)
        self.places = np.zeros((len(channels), 0), np.intp)
        self.held: dict[int, tuple[NDArray[Any], Any]] = {}
        self.seen = 0
        self._shape: tuple[int, ...] = ()

    @property
    def positions(self) -> Integers:
        """Where the places are, `(channels, found, axes)`."""
        if not self._shape:
            return np.zeros((*self.places.shape, 0), np.intp)
        return np.stack(np.unravel_index(self.places, self._shape), axis=-1)

    def add(
        self, inputs: NDArray[Any], samples: NDArray[Any] | None = None, labels: Any = None
    ) -> None:
        """Looks at a batch.

        Args:
            inputs: As the model takes them.
            samples: As they are to be held; by default the inputs.
            labels: Of the samples, or None.

        Raises:
            ValueError: If an activation is NaN, or the layer's positions are others than before.
        """
        samples = inputs if samples is None else samples
        run = self.outputs.traced(
            self._strongest, [inputs], ("strongest", self.per_sample, *self.channels.tolist())
        )
        found = self.outputs.runner.over(lambda rows: run(tf.constant(rows)), [inputs])
        wrong = np.flatnonzero(found["nan"])
        if len(wrong):
            raise ValueError(
                f"Layer {self.outputs.path!r} puts out NaN for {len(wrong)} samples: "
                f"{quoted(self.seen + wrong)}."
            )
        shape = tuple(int(size) for size in found["shape"][0])
        if self.seen and shape != self._shape:
            raise ValueError(
                f"All samples must give layer {self.outputs.path!r} the same positions, {self._shape}. "
                f"Received samples that give {shape}."
            )
        self._shape = shape
        self._merge(found["values"], found["places"])
        self._hold(samples, labels)
        self.seen += len(inputs)

    def _strongest(self, x: Any) -> dict[str, Any]:
        """The strongest places of each sample, `(batch, channels, places)`; of equal ones the first."""
        output = self.outputs.of(x)
        batch, shape = tf.shape(output)[0], tf.shape(output)[1:-1]
        maps = tf.gather(output, self.channels, axis=-1)
        flat = tf.reshape(maps, (batch, -1, len(self.channels)))
        flat = tf.transpose(flat, (0, 2, 1))
        values, places = tf.math.top_k(flat, tf.minimum(self.per_sample, tf.shape(flat)[2]))
        return {
            "values": values,
            "places": places,
            "nan": tf.reduce_any(tf.math.is_nan(flat), axis=(1, 2)),
            "shape": tf.repeat(shape[None], batch, axis=0),
        }

    def _merge(self, values: NDArray[Any], places: NDArray[Any]) -> None:
        """Joins new places, which lie behind all others, so that a stable sort breaks ties."""
        numbers = np.broadcast_to(self.seen + np.arange(len(values))[:, None, None], values.shape)
        joined = [
            np.concatenate([old, _by_channel(new)], axis=1)
            for old, new in (
                (self.values, values),
                (self.samples, numbers),
                (self.places, places),
            )
        ]
        order = np.argsort(-joined[0], axis=1, kind="stable")[:, : self.most]
        self.values, self.samples, self.places = (
            np.take_along_axis(array, order, axis=1) for array in joined
        )

    def _hold(self, samples: NDArray[Any], labels: Any) -> None:
        wanted = set(self.samples.ravel().tolist())
        self.held = {number: held for number, held in self.held.items() if number in wanted}
        for number in wanted.difference(self.held):
            row = number - self.seen
            label = None if labels is None else np.array(labels[row])
            self.held[number] = (np.array(samples[row]), label)


def _by_channel(found: NDArray[Any]) -> NDArray[Any]:
    """From `(batch, channels, places)` to `(channels, batch · places)`."""
    return np.moveaxis(found, 1, 0).reshape(found.shape[1], -1)
