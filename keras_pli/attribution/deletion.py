"""Deleting parts of an input by a mask: what a deleted place shows, and what a mask costs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf
from scipy.ndimage import gaussian_filter1d

from ..draws import normal, uniform
from .perturbation import over_channels
from .resize import resize_linear

Tensor = Any


@dataclass(frozen=True, eq=False)
class Deletion:
    """The operator Φ(x; m) of Fong & Vedaldi (2017, section 4.1): what a mask leaves of the inputs.

    Args:
        inputs: `(batch, *sizes, channels)`.
        replaced: What deleted places show, like the inputs; None for noise, drawn anew at each step.
        matrices: What enlarges a mask, for each axis (see `enlarging`).
        jitter: By how many positions a step may shift the inputs, along each axis.
        seed: Seed of noise and jitter, which are the same for all samples.
    """

    inputs: Tensor
    replaced: Tensor | None
    matrices: tuple[Tensor, ...]
    jitter: tuple[int, ...]
    seed: int

    def enlarged(self, masks: Tensor) -> Tensor:
        """Returns masks `(batch, *grid)` at all positions, `(batch, *sizes)`."""
        return along_axes(masks, self.matrices)

    def perturbed(self, masks: Tensor, step: Tensor, *, jittered: bool = True) -> Tensor:
        """Returns Φ(x; m), with x shifted by a step's jitter."""
        share = over_channels(self.enlarged(masks), self.inputs)
        kept, replaced = self.inputs, self.replaced
        if jittered and any(self.jitter):
            kept = shifted(kept, self.jitter, self.seed, step)
            if replaced is not None:
                replaced = shifted(replaced, self.jitter, self.seed, step)
        if replaced is None:
            replaced = self._noise(step)
        return share * kept + (1 - share) * replaced

    def versions(self, masks: Tensor) -> Tensor:
        """Returns Φ of all inputs under each of several masks, `(masks, batch, ...)`, without jitter."""
        share = over_channels(self.enlarged(masks), self.inputs)[:, None]
        replaced = self._noise(0) if self.replaced is None else self.replaced
        return share * self.inputs + (1 - share) * replaced

    def _noise(self, step: Tensor) -> Tensor:
        """Normal noise with the mean and deviation of each sample and channel."""
        axes = list(range(1, self.inputs.shape.rank - 1))
        mean, variance = tf.nn.moments(self.inputs, axes, keepdims=True)
        shape, seed = self.inputs.shape[1:], (self.seed, 2 * step + 1)
        return mean + tf.sqrt(variance) * normal(shape, seed)


def shifted(samples: Tensor, jitter: Sequence[int], seed: int, step: Tensor) -> Tensor:
    """Shifts samples by the draw of a step, the same for all; what enters continues the border.

    Args:
        samples: `(batch, *sizes, channels)`.
        jitter: By how many positions, at most, in either direction along each axis.
        seed: Seed of the draws.
        step: Number of the step.
    """
    draws = uniform((len(jitter),), (seed, 2 * step))
    for axis, most in enumerate(jitter):
        size = samples.shape[axis + 1]
        shift = tf.cast(draws[axis] * (2 * most + 1), tf.int32) - most
        places = tf.clip_by_value(tf.range(size) + shift, 0, size - 1)
        samples = tf.gather(samples, places, axis=axis + 1)
    return samples


def enlarging(grid: Sequence[int], sizes: Sequence[int]) -> tuple[Tensor, ...]:
    """Returns the matrices, `(cells, size)` for each axis, that enlarge a mask to the size of an input.

    They interpolate linearly and smooth by a Gaussian of 5/8 of a cell, as in the paper, where a cell has 8
    pixels and σ_m is 5.
    """
    return tuple(
        resize_linear(tf.eye(cells), (size,))
        @ blurring(size, 0.625 * size / cells if cells < size else 0.0)
        for cells, size in zip(grid, sizes, strict=True)
    )


def blurred(samples: Tensor, sigmas: Sequence[float]) -> Tensor:
    """Convolves `(batch, *sizes, channels)` with a Gaussian; the border is continued.

    Args:
        samples: Tensor with known sizes.
        sigmas: The Gaussian's standard deviation along each axis, in positions.
    """
    axes = range(1, samples.shape.rank - 1)
    channels_first = tf.transpose(samples, (0, samples.shape.rank - 1, *axes))
    matrices = [blurring(samples.shape[axis], sigmas[axis - 1]) for axis in axes]
    found = along_axes(channels_first, matrices, first=2)
    return tf.transpose(found, (0, *[axis + 1 for axis in axes], 1))


def blurring(size: int, sigma: float) -> Tensor:
    """The matrix that a row of values is multiplied with to be convolved with a Gaussian."""
    identity = np.eye(size)
    if sigma:
        identity = gaussian_filter1d(identity, sigma, axis=1, mode="nearest")
    return tf.constant(identity, tf.float32)


def along_axes(values: Tensor, matrices: Sequence[Tensor], *, first: int = 1) -> Tensor:
    """Multiplies the axes from `first` to the last with a matrix each, `(given, wanted)`."""
    for matrix in matrices:
        # The contracted axis goes to the end, so that the next one takes its place.
        values = tf.tensordot(values, matrix, axes=[[first], [0]])
    return values


def deleted_area(masks: Tensor) -> Tensor:
    """Returns the share of each mask that is deleted, the mean of 1 − m, `(batch,)`."""
    return tf.reduce_mean(1 - masks, axis=list(range(1, masks.shape.rank)))


def roughness(masks: Tensor, beta: float) -> Tensor:
    """Returns the total variation TV_β of each mask along its lines, `(batch,)`.

    The sum of |∂m|^β along a line of cells, averaged over the lines of a direction and summed over the
    directions: a straight edge across the whole mask costs the same on any grid.
    """
    axes = list(range(1, masks.shape.rank))
    total = tf.zeros(tf.shape(masks)[:1])
    for axis in axes:
        before = [slice(None)] * axis
        upper, lower = (*before, slice(1, None)), (*before, slice(None, -1))
        steps = masks[upper] - masks[lower]
        along = tf.reduce_sum(tf.abs(steps) ** beta, axis=axis)
        total += tf.reduce_mean(along, axis=axes[:-1])
    return total


def circles(grid: Sequence[int], count: int) -> tf.Tensor:
    """Returns masks `(count, *grid)` that delete centred discs of growing radius, the last one everything."""
    along = [(np.arange(cells) + 0.5) * 2 / cells - 1 for cells in grid]
    radius = np.sqrt(sum(np.square(axis) for axis in np.meshgrid(*along, indexing="ij")))
    limits = np.linspace(0, np.sqrt(len(grid)), count + 1)[1:]
    return tf.constant(radius > limits.reshape(-1, *[1] * len(grid)), tf.float32)
