"""What a layer puts out, with its positions and channels, for samples of any number."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import ArrayLike, NDArray

from ..checks import checked_number, quoted
from ..network.forward import Network
from ..network.runner import Runner, batch_spec

Tensor = Any


class LayerOutputs:
    """Runs a model and keeps what one of its layers puts out, `(batch, *positions, channels)`.

    Args:
        model: A built Keras model; it is left as it is.
        layer: The layer or its path; where it runs several times, `"conv@1"` is the second time.
        batch_size: Samples at a time.

    Raises:
        TypeError: If `model` is not a Keras model.
        ValueError: If it is not built, there is no such layer, or the layer's channels come first.

    Example:
        >>> model = keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Conv2D(4, 3, name="a")])
        >>> LayerOutputs(model, "a").over(np.ones((5, 8, 8, 1), "float32")).shape
        (5, 6, 6, 4)
    """

    def __init__(
        self, model: keras.Model, layer: str | keras.Layer, *, batch_size: int = 64
    ) -> None:
        self.network = Network(model, record=layer)
        self.path = str(self.network.record)
        # Batches of a stream come in any size, for each of which XLA would compile once more.
        self.runner = Runner([model], batch_size=batch_size, jit_compile=False)
        found, _ = self.network.find(self.path)
        if getattr(found, "data_format", None) == "channels_first":
            raise ValueError(
                f"Layer {self.path!r} of {model.name!r} has its channels first; only layers with channels "
                "last can be inspected."
            )

    def of(self, x: Any) -> Tensor:
        """The output for a batch of tensors, float32; call it where a graph is being traced.

        Raises:
            ValueError: If the output is no single tensor of real numbers with channels.
        """
        output = self.network.layer_output(x)
        if not tf.is_tensor(output) or (output.shape.rank or 0) < 2 or output.shape[-1] is None:
            what = brief_kind(output)
            raise ValueError(
                f"Layer {self.path!r} of {self.network.model.name!r} must put out one tensor "
                f"(batch, *positions, channels). It puts out {what}."
            )
        return tf.cast(output, tf.float32)

    def traced(self, function: Callable[..., Any], given: list[Any], key: Any) -> Any:
        """Returns a function of tensors, traced once for the shapes and types of given arrays."""
        return self.runner.traced(function, [batch_spec(part) for part in given], key)

    def over(self, x: Any, *, verbose: int = 0) -> NDArray[np.float32]:
        """Returns the outputs for checked inputs, `(samples, *positions, channels)`."""
        run = self.traced(self.of, [x], ("layer output", self.path))
        made: NDArray[np.float32] = self.runner.over(
            lambda rows: run(tf.nest.map_structure(tf.constant, rows)), [x], verbose=verbose
        )
        return made


def checked_channels(channels: ArrayLike | None, count: int, path: str) -> NDArray[np.intp]:
    """Returns channels of a layer; None stands for all.

    Raises:
        ValueError: If one does not exist, is named twice, or there is none.

    Example:
        >>> checked_channels([3, 1], 4, "conv").tolist()
        [3, 1]
    """
    if channels is None:
        return np.arange(count)
    given = np.atleast_1d(np.asarray(channels))
    whole = given.dtype.kind in "iu" and given.ndim == 1 and len(given) > 0
    if not whole or len(np.unique(given)) != len(given):
        raise ValueError(
            f"`channels` must be different whole numbers, one at least. Received: {channels!r}."
        )
    wrong = given[(given < 0) | (given >= count)]
    if len(wrong):
        raise ValueError(
            f"`channels` holds {quoted(wrong)}, but layer {path!r} has {count} channels, 0 to {count - 1}."
        )
    return given.astype(np.intp)


def checked_count(value: Any, name: str) -> int:
    """Returns a whole number from 1.

    Example:
        >>> checked_count(3, "k")
        3
    """
    return int(checked_number(value, name, least=1, whole=True))


def axes_of_positions(positions: NDArray[np.intp], sample_axes: int) -> int | None:
    """Returns how many axes of a sample are positions, as those of a layer suggest; None where they do not.

    Tokens of an image have one axis of positions, and units of a dense layer none, whatever a sample has.

    Example:
        >>> axes_of_positions(np.zeros((4, 2), int), 3), axes_of_positions(np.zeros((4, 1), int), 3)
        (2, None)
    """
    axes = positions.shape[-1]
    return axes if axes and sample_axes - axes in (0, 1) else None


def brief_kind(output: Any) -> str:
    """Says what a layer's output is, for an error.

    Example:
        >>> brief_kind([1, 2])
        'a list'
    """
    if tf.is_tensor(output):
        return f"{output.dtype.name} of shape {tuple(output.shape)}"
    return f"a {type(output).__name__}"
