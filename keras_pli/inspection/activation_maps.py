"""The activation maps of a layer for chosen samples, the strongest channels first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import keras
import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..brief import brief_repr
from ..checks import checked_number, one_of
from ..network.inputs import checked_inputs
from ..stored_result import StoredResult
from .layer_outputs import LayerOutputs, checked_channels

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Array = NDArray[np.float32]
Measure = Literal["mean_positive", "mean", "max", "mean_absolute"]
MEASURES: tuple[Measure, ...] = ("mean_positive", "mean", "max", "mean_absolute")


@dataclass(frozen=True, eq=False, repr=False)
class ActivationMaps(StoredResult):
    """What a layer puts out for some samples, with the strength of each map.

    Attributes:
        maps: float32 of shape `(samples, *positions, channels)`, channels as in `channels`.
        channels: The layer's channels that are held.
        strengths: Of each map, `(samples, channels)`, by `about["measure"]`.
        order: For each sample the places in `channels`, the strongest first, `(samples, channels)`; of equal
            ones the smaller first.
        inputs: The samples, `(samples, ...)`.
        about: The layer and the measure.

    Example:
        >>> model = keras.Sequential([keras.Input((6, 6, 1)), keras.layers.Conv2D(4, 3, name="a")])
        >>> activation_maps(model, np.ones((1, 6, 6, 1)), "a").strengths.shape
        (1, 4)
    """

    maps: Array
    channels: NDArray[np.intp]
    strengths: Array
    order: NDArray[np.intp]
    inputs: NDArray[Any]
    about: dict[str, Any]

    __repr__ = brief_repr

    def strongest(self, sample: int, count: int) -> NDArray[np.intp]:
        """Returns the channels with the strongest maps for a sample.

        Example:
            >>> import keras, numpy as np
            >>> model = keras.Sequential([keras.Input((6, 6, 1)), keras.layers.Conv2D(4, 3, name="a")])
            >>> len(activation_maps(model, np.ones((1, 6, 6, 1)), "a").strongest(0, 2))
            2
        """
        return self.channels[self.order[sample, :count]]

    def plot(self, *, most: int = 8, title: str | None = None) -> Figure:
        """Draws each sample with its strongest maps beside it.

        Args:
            most: Maps of a sample.
            title: What stands above; by default the layer.

        Raises:
            ValueError: If the layer has no positions, or more than three axes of them.
        """
        from .. import plotting

        places = self.order[:, :most]
        rows = np.arange(len(places))[:, None]
        # (samples, maps, *positions)
        chosen = np.moveaxis(self.maps, -1, 1)[rows, places]
        names = [
            [f"{self.channels[p]}: {self.strengths[i, p]:.2g}" for p in line]
            for i, line in enumerate(places)
        ]
        measure = str(self.about["measure"]).replace("_", " ")
        return plotting.activation_grid(
            self.inputs,
            chosen,
            captions=names,
            note=f"below each map its channel and strength ({measure})",
            title=f"Maps of {self.about['layer']}" if title is None else title,
        )


def activation_maps(
    model: keras.Model,
    x: ArrayLike,
    layer: str | keras.Layer,
    *,
    channels: ArrayLike | None = None,
    measure: Measure = "mean_positive",
    batch_size: int = 64,
    verbose: int = 0,
) -> ActivationMaps:
    """Returns the maps of a layer for chosen samples, with their order by strength.

    Args:
        model: A built Keras model with one input.
        x: The samples, `(samples, ...)`.
        layer: The layer or its path.
        channels: Which of its channels; None for all.
        measure: The strength of a map: `"mean_positive"`, the mean over positions of what is above 0;
            `"mean"`; `"max"`; or `"mean_absolute"`.
        batch_size: Samples at a time.
        verbose: 1 draws a progress bar.

    Raises:
        TypeError: If `model` is not a Keras model.
        ValueError: If the samples do not fit the model, there is no such layer, channel or measure, or the
            layer's output is no tensor `(batch, *positions, channels)`.

    Example:
        >>> model = keras.Sequential([keras.Input((6, 6, 1)), keras.layers.Conv2D(4, 3, name="a")])
        >>> found = activation_maps(model, np.ones((2, 6, 6, 1)), "a")
        >>> found.maps.shape, found.order.shape
        ((2, 4, 4, 4), (2, 4))
    """
    one_of(measure, MEASURES, "measure")
    checked_number(batch_size, "batch_size", least=1, whole=True)
    outputs = LayerOutputs(model, layer, batch_size=batch_size)
    inputs = checked_inputs(x, model)
    if not isinstance(inputs, np.ndarray):
        raise ValueError(
            f"Activation maps are shown beside one input. {model.name!r} has several. Received: "
            f"{type(x).__name__}."
        )
    made = outputs.over(inputs, verbose=verbose)
    chosen = checked_channels(channels, made.shape[-1], outputs.path)
    maps = np.ascontiguousarray(made[..., chosen])
    strengths = _strengths(maps, measure)
    order = np.argsort(-strengths, axis=1, kind="stable")
    about = {"layer": outputs.path, "measure": measure, "model": model.name}
    return ActivationMaps(maps, chosen, strengths, order, inputs, about)


def _strengths(maps: Array, measure: Measure) -> Array:
    """One number a map, `(samples, channels)`."""
    flat = maps.reshape(len(maps), -1, maps.shape[-1]).astype(np.float64)
    if measure == "max":
        return flat.max(axis=1).astype(np.float32)
    if measure == "mean_positive":
        flat = np.maximum(flat, 0)
    if measure == "mean_absolute":
        flat = np.abs(flat)
    return flat.mean(axis=1).astype(np.float32)
