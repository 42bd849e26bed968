"""How an image is written down while it is optimised: in pixels, in frequencies, or as a generator's code."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import scipy.fft
import tensorflow as tf
from numpy.typing import NDArray

from ..attribution.deletion import along_axes, blurred

Tensor = Any

START = 0.1  # standard deviation of the numbers at the start, so that all starts are nearly the same grey


@dataclass(frozen=True)
class Layout:
    """What the axes of an input are.

    Args:
        shape: Of one input.
        sizes: Of its axes of positions, which come first; none for a vector.
    """

    shape: tuple[int, ...]
    sizes: tuple[int, ...]

    @property
    def with_channels(self) -> tuple[int, ...]:
        """`(*sizes, channels)`, where an input without an axis of channels has one channel."""
        return (*self.sizes, int(np.prod(self.shape[len(self.sizes) :], dtype=int)))


class Canvas(ABC):
    """The numbers that an optimisation changes, and the images that they stand for."""

    models: Sequence[keras.Model] = ()

    @abstractmethod
    def start(self, random: np.random.Generator) -> NDArray[np.float32]:
        """Draws the numbers of one image to start from."""

    @abstractmethod
    def images(self, values: Tensor) -> Tensor:
        """The images `(batch, *sizes, channels)` that numbers `(batch, ...)` stand for."""

    def kept_small(self, values: Tensor, images: Tensor) -> Tensor:
        """What ‖X‖² is taken of: the images, or what they are made of."""
        return images


@dataclass(frozen=True, eq=False)
class PixelCanvas(Canvas):
    """Each pixel by itself, within a range.

    Args:
        shape: Of an image, `(*sizes, channels)`.
        value_range: The least and the largest value of a pixel, which a sigmoid keeps; None for any value.
        blur: Standard deviation, in pixels, of the Gaussian that is laid over the numbers; 0 for none.
    """

    shape: tuple[int, ...]
    value_range: tuple[float, float] | None
    blur: float

    def start(self, random: np.random.Generator) -> NDArray[np.float32]:
        """Draws small noise."""
        return (START * random.standard_normal(self.shape)).astype(np.float32)

    def images(self, values: Tensor) -> Tensor:
        """The numbers, blurred and brought into the range."""
        if self.blur:
            values = blurred(values, [self.blur] * (len(self.shape) - 1))
        if self.value_range is None:
            return values
        low, high = self.value_range
        return low + (high - low) * tf.sigmoid(values)


class FrequencyCanvas(PixelCanvas):
    """The coefficients of a cosine transform, those of fine waves scaled down.

    A number moves pixels by 1 / f, where f is the frequency of its wave, as the spectra of natural images
    fall off. Adam moves all numbers alike, and so the image from coarse to fine. Olah, Mordvintsev & Schubert
    ("Feature Visualization", 2017) take Fourier's transform, which joins opposite borders.
    """

    def images(self, values: Tensor) -> Tensor:
        """The sum of the waves, blurred and brought into the range."""
        sizes, axes = self.shape[:-1], range(1, len(self.shape))
        waves = values * tf.constant(wave_scales(sizes)[..., None], tf.float32)
        channels_first = tf.transpose(waves, (0, len(self.shape), *axes))
        matrices = [tf.constant(cosines(size), tf.float32) for size in sizes]
        summed = along_axes(channels_first, matrices, first=2)
        return super().images(tf.transpose(summed, (0, *[axis + 1 for axis in axes], 1)))


@dataclass(frozen=True, eq=False)
class GeneratorCanvas(Canvas):
    """The codes of a generator.

    Args:
        generator: From codes `(batch, latent)` to images.
        latent: Entries of a code.
        shape: Of an image, `(*sizes, channels)`.
    """

    generator: keras.Model
    latent: int
    shape: tuple[int, ...]

    @property
    def models(self) -> Sequence[keras.Model]:  # type: ignore[override]
        """The generator."""
        return [self.generator]

    def start(self, random: np.random.Generator) -> NDArray[np.float32]:
        """Draws a code from the standard normal distribution."""
        return random.standard_normal(self.latent).astype(np.float32)

    def images(self, values: Tensor) -> Tensor:
        """What the generator makes of the codes, in inference mode."""
        made = tf.cast(self.generator(values, training=False), tf.float32)
        return tf.reshape(made, (-1, *self.shape))

    def kept_small(self, values: Tensor, images: Tensor) -> Tensor:
        """The codes: a generator was trained on codes near the origin."""
        return values


def cosines(size: int) -> NDArray[np.float64]:
    """The matrix, `(waves, pixels)`, whose rows are the waves of the orthonormal cosine transform.

    Example:
        >>> bool(np.allclose(cosines(5) @ cosines(5).T, np.eye(5)))
        True
    """
    found: NDArray[np.float64] = scipy.fft.idct(np.eye(size), norm="ortho", axis=1)
    return found


def wave_scales(sizes: Sequence[int]) -> NDArray[np.float64]:
    """By how much the coefficient of each wave counts, in the shape of the sizes.

    It is 1 / f, f counted in half-waves and at least 1, times a factor with which coefficients of variance 1
    make pixels of variance 1.

    Example:
        >>> wave_scales([4]).round(2).tolist()
        [1.3, 1.3, 0.65, 0.43]
    """
    squares = [np.square(np.arange(size)) for size in sizes]
    scales = 1 / np.sqrt(np.maximum(sum(np.meshgrid(*squares, indexing="ij")), 1))
    found: NDArray[np.float64] = scales / np.sqrt(np.mean(np.square(scales)))
    return found


def total_variation(images: Tensor) -> Tensor:
    """Σ |∂X|, the absolute differences of neighbouring pixels along all axes of positions, `(batch,)`."""
    every = list(range(1, images.shape.rank))
    total = tf.zeros(tf.shape(images)[:1])
    for axis in every[:-1]:
        before = [slice(None)] * axis
        upper, lower = (*before, slice(1, None)), (*before, slice(None, -1))
        total += tf.reduce_sum(tf.abs(images[upper] - images[lower]), axis=every)
    return total
