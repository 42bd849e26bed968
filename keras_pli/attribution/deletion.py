"""Deleting parts of an input by a mask: what a deleted place shows, and what a mask costs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
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
        region: Where something may be deleted, bool `(batch, *sizes)`; None for everywhere.
    """

    inputs: Tensor
    replaced: Tensor | None
    matrices: tuple[Tensor, ...]
    jitter: tuple[int, ...]
    seed: int
    region: Tensor | None = None
    # Made once, outside of the loop over steps: inputs and what replaces them, with what jitter brings in.
    wide: tuple[Tensor | None, ...] = field(init=False)

    def __post_init__(self) -> None:
        given = (self.inputs, self.replaced) if any(self.jitter) else ()
        wide = tuple(one if one is None else widened(one, self.jitter) for one in given)
        object.__setattr__(self, "wide", wide)

    def enlarged(self, masks: Tensor) -> Tensor:
        """Returns masks `(batch, *grid)` at all positions, `(batch, *sizes)`; 1 outside the region."""
        found = along_axes(masks, self.matrices)
        return found if self.region is None else tf.where(self.region, found, 1.0)

    def cell_weights(self) -> Tensor | None:
        """Returns what a cell counts for in the region, `(batch, *grid)`; None where there is none.

        Their sum is 1, or 0 for an empty region, and Σ w (1 − m) is the mean of 1 − m, enlarged, over the
        region's positions.
        """
        if self.region is None:
            return None
        inside = tf.cast(self.region, tf.float32)
        shares = along_axes(inside, [tf.transpose(matrix) for matrix in self.matrices])
        axes = list(range(1, inside.shape.rank))
        return tf.math.divide_no_nan(shares, tf.reduce_sum(inside, axis=axes, keepdims=True))

    def perturbed(self, masks: Tensor, step: Tensor, *, jittered: bool = True) -> Tensor:
        """Returns Φ(x; m), with x shifted by a step's jitter."""
        share = over_channels(self.enlarged(masks), self.inputs)
        kept, replaced = self.inputs, self.replaced
        if jittered and any(self.jitter):
            kept, replaced = (
                one if one is None else shifted(one, self.jitter, self.seed, step)
                for one in self.wide
            )
        if replaced is None:
            replaced = self._noise(step)
        return share * kept + (1 - share) * replaced

    def versions(self, masks: Tensor) -> Tensor:
        """Returns Φ of all inputs under each of several masks, `(masks, batch, ...)`, without jitter.

        Args:
            masks: `(masks, *grid)`, or `(masks, batch, *grid)` for others in each sample.
        """
        first = masks.shape.rank - len(self.matrices)
        share = along_axes(masks, self.matrices, first=first)
        share = share if first == 2 else share[:, None]
        if self.region is not None:
            share = tf.where(self.region, share, 1.0)
        share = over_channels(share, self.inputs)
        replaced = self._noise(0) if self.replaced is None else self.replaced
        return share * self.inputs + (1 - share) * replaced

    def _noise(self, step: Tensor) -> Tensor:
        """Normal noise with the mean and deviation of each sample and channel, in the region."""
        mean, variance = moments_within(self.inputs, self.region)
        shape, seed = self.inputs.shape[1:], (self.seed, 2 * step + 1)
        return mean + tf.sqrt(variance) * normal(shape, seed)


def moments_within(samples: Tensor, region: Tensor | None) -> tuple[Tensor, Tensor]:
    """Returns mean and variance of each sample and channel, over a region `(batch, *sizes)` or everything."""
    axes = list(range(1, samples.shape.rank - 1))
    if region is None:
        return tf.nn.moments(samples, axes, keepdims=True)
    weights = tf.cast(over_channels(region, samples), samples.dtype)
    count = tf.reduce_sum(weights, axis=axes, keepdims=True)
    mean = tf.math.divide_no_nan(tf.reduce_sum(weights * samples, axis=axes, keepdims=True), count)
    squares = tf.reduce_sum(weights * (samples - mean) ** 2, axis=axes, keepdims=True)
    return mean, tf.math.divide_no_nan(squares, count)


def widened(samples: Tensor, jitter: Sequence[int]) -> Tensor:
    """Continues the border of samples by what `shifted` may need beyond it.

    Args:
        samples: `(batch, *sizes, channels)`.
        jitter: By how many positions along each axis.
    """
    for axis, most in enumerate(jitter, start=1):
        size = samples.shape[axis]
        places = tf.clip_by_value(tf.range(-most, size + most), 0, size - 1)
        samples = tf.gather(samples, places, axis=axis)
    return samples


def shifted(wide: Tensor, jitter: Sequence[int], seed: int, step: Tensor) -> Tensor:
    """Shifts samples by the draw of a step, the same for all; what enters continues the border.

    Args:
        wide: What `widened` makes of samples.
        jitter: By how many positions, at most, in either direction along each axis.
        seed: Seed of the draws.
        step: Number of the step.
    """
    if not any(jitter):
        return wide
    draws = uniform((len(jitter),), (seed, 2 * step))
    starts = tf.cast(draws * tf.constant([2.0 * most + 1 for most in jitter]), tf.int32)
    sizes = [wide.shape[axis] - 2 * most for axis, most in enumerate(jitter, start=1)]
    begin = tf.concat([[0], starts, [0]], axis=0)
    return tf.slice(wide, begin, [tf.shape(wide)[0], *sizes, wide.shape[-1]])


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


def deleted_area(masks: Tensor, weights: Tensor | None = None) -> Tensor:
    """Returns the share of each mask that is deleted, the mean of 1 − m, `(batch,)`.

    Args:
        masks: `(batch, *grid)`.
        weights: What each cell counts for (see `Deletion.cell_weights`); None for all alike.
    """
    axes = list(range(1, masks.shape.rank))
    if weights is None:
        return tf.reduce_mean(1 - masks, axis=axes)
    return tf.reduce_sum(weights * (1 - masks), axis=axes)


def roughness(masks: Tensor, beta: float, cells: Tensor | None = None) -> Tensor:
    """Returns the total variation TV_β of each mask along its lines, `(batch,)`.

    The sum of |∂m|^β along a line of cells, averaged over the lines of a direction and summed over the
    directions: a straight edge across the whole mask costs the same on any grid.

    Args:
        masks: `(batch, *grid)`.
        beta: The exponent.
        cells: The cells that count, bool like the masks: differences between two of them, averaged over the
            lines on which there is one. None for all.
    """
    axes = list(range(1, masks.shape.rank))
    total = tf.zeros(tf.shape(masks)[:1])
    for axis in axes:
        before = [slice(None)] * axis
        upper, lower = (*before, slice(1, None)), (*before, slice(None, -1))
        steps = tf.abs(masks[upper] - masks[lower]) ** beta
        if cells is None:
            total += tf.reduce_mean(tf.reduce_sum(steps, axis=axis), axis=axes[:-1])
            continue
        counted = tf.where(cells[upper] & cells[lower], steps, 0.0)
        lines = tf.cast(tf.reduce_any(cells, axis=axis), tf.float32)
        total += tf.math.divide_no_nan(
            tf.reduce_sum(counted, axis=axes), tf.reduce_sum(lines, axis=axes[:-1])
        )
    return total


def circles(grid: Sequence[int], count: int) -> tf.Tensor:
    """Returns masks `(count, *grid)` that delete centred discs of growing radius, the last one everything."""
    along = [(np.arange(cells) + 0.5) * 2 / cells - 1 for cells in grid]
    radius = np.sqrt(sum(np.square(axis) for axis in np.meshgrid(*along, indexing="ij")))
    limits = np.linspace(0, np.sqrt(len(grid)), count + 1)[1:]
    return tf.constant(radius > limits.reshape(-1, *[1] * len(grid)), tf.float32)


def discs_within(weights: Tensor, count: int) -> Tensor:
    """Returns masks `(count, batch, *grid)` that delete growing discs about the middle of each region.

    They are as wide along each axis as the region, and the last one deletes everything.

    Args:
        weights: What the cells count for in each sample's region, `(batch, *grid)`.
        count: How many.
    """
    axes = list(range(1, weights.shape.rank))
    # Cells that only the smoothing of the mask makes reach into the region do not tell how wide it is.
    cells = weights > 0.1 * tf.reduce_max(weights, axis=axes, keepdims=True)
    squares = tf.zeros_like(weights)
    for axis in axes:
        size = weights.shape[axis]
        places = tf.reshape(tf.range(size, dtype=tf.float32), (-1, *[1] * (len(axes) - axis)))
        low = tf.reduce_min(tf.where(cells, places, float(size)), axis=axes, keepdims=True)
        high = tf.reduce_max(tf.where(cells, places, -1.0), axis=axes, keepdims=True)
        half = tf.maximum((high - low + 1) / 2, 0.5)
        squares += tf.square((places - (low + high) / 2) / half)
    limits = np.linspace(0, np.sqrt(len(axes)), count + 1)[1:]
    limits[-1] = np.inf
    limits = limits.reshape(-1, *[1] * weights.shape.rank)
    return tf.cast(tf.sqrt(squares) > tf.constant(limits, tf.float32), tf.float32)
