"""What one sample is to the eye: an image, a signal, a volume, or nothing that could be drawn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import keras
import numpy as np

from ...checks import quoted
from ...network.whole_numbers import embedding_layers
from ...plotting.heatmaps import spatial_dimensions
from ...retraining.data import Inputs

SampleKind = Literal["image", "signal", "volume", "other"]

_KINDS: dict[int, SampleKind] = {1: "signal", 2: "image", 3: "volume"}
_SHORTEST = 8  # values that make a curve; fewer are the columns of a table
_MOST_CHANNELS = 16  # of an image, where no layer tells channels from slices


@dataclass(frozen=True)
class SampleShape:
    """Which of a model's inputs is drawn, and as what.

    Attributes:
        kind: "image", "signal" or "volume"; "other" for what has no picture.
        axes: How many axes of a sample are positions: 1, 2 or 3; those behind them are channels.
        shape: Shape of a sample of the input.
        place: Position of the input among all, as `keras.tree.flatten` counts them.
        why: A sentence on why samples have no picture; empty where they have.
    """

    kind: SampleKind
    axes: int
    shape: tuple[int, ...]
    place: int = 0
    why: str = ""

    @classmethod
    def of(cls, x: Inputs, model: keras.Model | None = None) -> SampleShape:
        """Returns what samples are; of several inputs the first that can be drawn is taken.

        Args:
            x: Inputs, `(samples, ...)`, or a list, tuple or dict of them.
            model: What takes them: its first convolution or pooling tells an image's channels from a volume's
                slices, and its embeddings tell ids from numbers.

        Example:
            >>> SampleShape.of(np.zeros((5, 28, 28, 1))).kind, SampleShape.of(np.zeros((5, 128, 3))).kind
            ('image', 'signal')
            >>> SampleShape.of(np.zeros((5, 3))).why
            'Samples of 3 values are shown by no picture.'
        """
        parts = keras.tree.flatten(x)
        found = [cls._of_array(part, model, place) for place, part in enumerate(parts)]
        shown = next((shape for shape in found if not shape.why), None)
        if shown is not None or len(found) == 1:
            return shown or found[0]
        names = list(x) if isinstance(x, Mapping) else list(range(len(found)))
        why = f"None of the {len(found)} inputs can be shown: {quoted(names)}. The first: {found[0].why}"
        return cls("other", found[0].axes, found[0].shape, 0, why)

    @classmethod
    def _of_array(cls, values: Any, model: keras.Model | None, place: int) -> SampleShape:
        shape = tuple(int(size) for size in values.shape[1:])
        dtype = np.asarray(values[:1]).dtype  # also of a tensor
        other = cls("other", min(max(len(shape), 1), 3), shape, place)
        if dtype.kind not in "fiub" and dtype.name != "bfloat16":
            return _without_picture(other, f"Numbers can be shown. These are of dtype {dtype}.")
        if 0 in shape:
            return _without_picture(other, f"Samples of shape {shape} hold no values.")
        if model is not None and dtype.kind in "iu" and len(shape) <= 1 and embedding_layers(model):
            return _without_picture(other, "Ids, as those of words, have no picture.")
        if len(shape) == 0 or (len(shape) == 1 and shape[0] < _SHORTEST):
            number = shape[0] if shape else 1
            return _without_picture(other, f"Samples of {number} values are shown by no picture.")
        if len(shape) > 4:
            return _without_picture(
                other,
                f"Signals, images and volumes can be shown. These samples have shape {shape}.",
            )
        axes = _positions(shape, model)
        found = cls(_KINDS[axes], axes, shape, place)
        channels = shape[axes] if len(shape) > axes else 1
        if axes > 1 and channels not in (1, 3):
            what = "Images" if axes == 2 else "Volumes"
            return _without_picture(
                found,
                f"{what} of 1 channel (grey) or 3 (red, green, blue) can be shown. These have {channels}, in "
                f"shape {shape}.",
            )
        return found

    def of_sample(self, x: Inputs, index: int) -> Any:
        """Returns the values of one sample of the input that is drawn."""
        return np.asarray(keras.tree.flatten(x)[self.place][index])


def _without_picture(shape: SampleShape, why: str) -> SampleShape:
    return SampleShape("other", shape.axes, shape.shape, shape.place, why)


def _positions(shape: Sequence[int], model: keras.Model | None) -> int:
    """How many axes are positions: as the first layer that slides over them has it, or by their sizes."""
    rank = None if model is None else _sliding_rank(model)
    if rank is not None and rank <= len(shape) <= rank + 1:
        return rank
    if len(shape) == 3 and 3 < shape[-1] <= min(_MOST_CHANNELS, *shape[:2]):
        return 2
    return spatial_dimensions(shape, shape)


def _sliding_rank(model: keras.Model) -> int | None:
    """Over how many axes the first convolution or pooling of a model slides."""
    for layer in model._flatten_layers(include_self=False):
        rank = getattr(layer, "rank", None) or getattr(layer, "pool_dimensions", None)
        if isinstance(rank, int) and 1 <= rank <= 3:
            return rank
    return None
