"""Attribution by hiding one window of the input after another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import keras
import tensorflow as tf
from numpy.typing import ArrayLike

from ..network.forward import Target
from ..network.loops import summed
from ..network.targets import held_target, target_scores
from .attribution import Attribution
from .method import Method
from .perturbation import (
    Lengths,
    channel_means,
    checked_fill,
    checked_lengths,
    fill_like,
    lengths_along,
    only_input,
    over_channels,
    scores_of,
    spatial_sizes,
)

Tensor = Any


class Occlusion(Method):
    """The fall of the score where a window of the input is hidden (Zeiler & Fergus 2014, section 4.2).

    The value at a position is the mean of S(x) − S(x with the window hidden) over the windows that cover it,
    the same for each of its channels. Windows start every `stride` positions; the last one of an axis is
    moved back to end where the input ends, so that every position is covered. Of vectors, `(samples,
    features)`, the features are the positions. A model with several inputs is not supported.

    Args:
        model: A built Keras model.
        window: Length of a window, or one for each spatial axis. None takes a seventh of each axis, rounded
            up, but at least 3 positions: 4 of 28 and 32 of 224.
        stride: Positions from one window to the next, or one for each spatial axis, at most the window's
            length. None takes half the window, rounded up.
        fill: What a window shows: a number, an array that broadcasts to one sample, or `"mean"` for the mean
            of each sample's channel. A `baseline` in the call takes its place.
        **options: `layer`, `output`, `score`, `batch_size` and `jit_compile`, as in `Method`.

    Raises:
        ValueError: If a length is not a whole number from 1, or `fill` is not finite; in the call, if a
            window is larger than the input or smaller than its stride, or the model takes its input channels
            first.

    Example:
        >>> import keras, numpy as np
        >>> model = keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Flatten(), keras.layers.Dense(3)])
        >>> Occlusion(model, window=2, stride=1)(np.ones((5, 8, 8, 1)), target=2).attributions.shape
        (5, 8, 8, 1)
    """

    takes_baseline = True
    same_over_channels = True

    def __init__(
        self,
        model: keras.Model,
        *,
        window: int | Sequence[int] | None = None,
        stride: int | Sequence[int] | None = None,
        fill: ArrayLike | Literal["mean"] = 0.0,
        **options: Any,
    ) -> None:
        super().__init__(model, **options)
        self.window = checked_lengths(window, "window")
        self.stride = checked_lengths(stride, "stride")
        self.fill = checked_fill(fill)

    def compute(self, x: Any, target: Target, baseline: Any = None) -> Attribution:
        """Explains a batch of tensors (see `Method.compute`)."""
        samples = only_input(x, "Occlusion")
        windows = Windows.over(spatial_sizes(samples), self.window, self.stride)
        hidden = self._hidden(samples, baseline)
        logits = self.network.forward(x).logits
        target = held_target(logits, target)
        scores = target_scores(logits, target)

        def falls(positions: Tensor, weights: Tensor) -> Tensor:
            masks = windows.masks(positions)
            occluded = tf.where(over_channels(masks, samples)[:, None], hidden, samples)
            found = scores_of(self.network, x, occluded, target)
            fallen = (scores - found) * weights[:, None]
            fallen = tf.reshape(fallen, (-1, batch, *[1] * len(windows.sizes)))
            return tf.reduce_sum(tf.where(masks[:, None], fallen, 0.0), axis=0)

        batch = tf.shape(samples)[0]
        start = tf.zeros((batch, *windows.sizes))
        total = summed(falls, windows.count, start, batch=batch, room=self.batch_size)
        attributions = over_channels(total / windows.coverage(), samples)
        attributions = tf.broadcast_to(attributions, tf.shape(samples))
        return Attribution(tf.nest.pack_sequence_as(x, [attributions]), scores)

    def _hidden(self, samples: Tensor, baseline: Any) -> Tensor:
        """What windows show, to broadcast to the samples."""
        if baseline is not None:
            return only_input(baseline, "Occlusion")
        if isinstance(self.fill, str):
            return channel_means(samples)
        return fill_like(self.fill, samples)


@dataclass(frozen=True)
class Windows:
    """All places of a window on a grid of positions.

    Attributes:
        sizes: Positions along each axis.
        window: Length of the window along each axis.
        stride: Positions from one window to the next, along each axis.
    """

    sizes: tuple[int, ...]
    window: tuple[int, ...]
    stride: tuple[int, ...]

    @classmethod
    def over(cls, sizes: tuple[int, ...], window: Lengths, stride: Lengths) -> Windows:
        """Lays windows over a grid, by default lengths where they are None.

        Raises:
            ValueError: If a window is larger than the grid, or smaller than its stride.
        """
        if window is None:
            window = tuple(min(size, max(3, -(-size // 7))) for size in sizes)
        lengths = lengths_along(window, sizes, "window")
        if stride is None:
            stride = tuple(-(-length // 2) for length in lengths)
        steps = lengths_along(stride, sizes, "stride")
        if any(length > size for length, size in zip(lengths, sizes, strict=True)):
            raise ValueError(
                f"`window` {lengths} is larger than the input, whose spatial axes have sizes {sizes}."
            )
        if any(step > length for step, length in zip(steps, lengths, strict=True)):
            raise ValueError(
                f"`stride` {steps} is larger than `window` {lengths}: windows would leave positions out."
            )
        return cls(sizes, lengths, steps)

    @property
    def counts(self) -> tuple[int, ...]:
        """Windows along each axis."""
        along = zip(self.sizes, self.window, self.stride, strict=True)
        return tuple(1 - (length - size) // step for size, length, step in along)

    @property
    def count(self) -> int:
        """Windows in all."""
        total = 1
        for count in self.counts:
            total *= count
        return total

    def masks(self, positions: Tensor) -> Tensor:
        """Which places the windows of these numbers hide, `(p, *sizes)`; the last axis runs first."""
        masks = tf.ones((tf.size(positions), *[1] * len(self.sizes)), tf.bool)
        for axis in reversed(range(len(self.sizes))):
            inside = self._inside(axis, positions % self.counts[axis])
            masks &= self._along(axis, inside)
            positions //= self.counts[axis]
        return masks

    def coverage(self) -> Tensor:
        """How many windows hide each place, float32 of shape `(*sizes)`."""
        coverage = tf.ones((1, *[1] * len(self.sizes)))
        for axis, count in enumerate(self.counts):
            inside = tf.cast(self._inside(axis, tf.range(count)), tf.float32)
            coverage *= self._along(axis, tf.reduce_sum(inside, axis=0, keepdims=True))
        return coverage[0]

    def _inside(self, axis: int, numbers: Tensor) -> Tensor:
        """Which places along an axis the windows of these numbers hide, `(p, size)`."""
        size, length = self.sizes[axis], self.window[axis]
        starts = tf.minimum(numbers * self.stride[axis], size - length)[:, None]
        places = tf.range(size)
        return (starts <= places) & (places < starts + length)

    def _along(self, axis: int, values: Tensor) -> Tensor:
        """Brings values `(p, size)` to as many axes as the grid has, after the first."""
        shape = [1] * len(self.sizes)
        shape[axis] = self.sizes[axis]
        return tf.reshape(values, (-1, *shape))
