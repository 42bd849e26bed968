"""Generator, critic and encoder in DCGAN form, without batch normalisation and with SELU activations."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from ...checks import checked_number

KERNEL = 4  # a multiple of the stride, so that every pixel is made of equally many others
SMALLEST, LARGEST = 16, 128
# A normal cut off at two standard deviations has this one.
_CUT_OFF = 0.87962566103423978


def dcgan_generator(
    image_shape: Sequence[int], *, latent_size: int = 100, width: int = 32, seed: int = 0
) -> keras.Model:
    """Builds a network from codes to images, with fresh weights.

    A dense layer and transposed convolutions of stride 2 up to the image size (Radford et al. 2016), as in
    Seah et al. (2018, section 2): no batch normalisation, SELU activations, and a tanh at the end, so that
    images lie in [−1, 1]. Weights start as LeCun's normal, which self-normalising networks ask for
    (Klambauer et al. 2017), with the number of inputs that a unit of a strided convolution really has.

    Args:
        image_shape: `(height, width, channels)`: sizes of 16 to 128 that are multiples of 4, 1 or 3 channels.
        latent_size: Length of a code.
        width: Channels of the last hidden layer; each layer before it has twice as many as the next.
        seed: Seed of the weights.

    Returns:
        A functional `keras.Model` in float32, from `(samples, latent_size)` to `(samples, *image_shape)`.

    Raises:
        ValueError: If a size or a number of channels is not among those above, or a width is less than 1.

    Example:
        >>> dcgan_generator((28, 28, 1), latent_size=10, width=8).output_shape
        (None, 28, 28, 1)
    """
    shape = _checked_shape(image_shape)
    check_sizes(latent_size=latent_size, width=width)
    *larger, smallest = _sizes(*shape[:2])
    filters = [shape[2], *(width << number for number in range(len(larger)))]
    base = (*smallest, filters.pop())
    codes = keras.Input((latent_size,), name="codes")
    start = _lecun_normal(latent_size, seed)
    hidden = keras.layers.Dense(math.prod(base), kernel_initializer=start, dtype="float32")(codes)
    hidden = keras.layers.Reshape(base, dtype="float32")(_activation("selu")(hidden))
    for number, size in enumerate(reversed(larger), start=1):
        inputs = hidden.shape[-1] * KERNEL**2 // 4  # a stride of 2 skips three of four of them
        hidden = keras.layers.Conv2DTranspose(
            filters.pop(),
            KERNEL,
            strides=2,
            padding="same",
            kernel_initializer=_lecun_normal(inputs, seed + number),
            dtype="float32",
        )(hidden)
        hidden = _activation("selu" if filters else "tanh")(_cropped(hidden, size))
    return keras.Model(codes, hidden, name="generator")


def dcgan_critic(image_shape: Sequence[int], *, width: int = 32, seed: int = 0) -> keras.Model:
    """Builds a network from images to one number each, with fresh weights.

    Convolutions of stride 2 with SELU activations and a linear unit at the end (see `dcgan_generator`).
    Without batch normalisation, the gradient penalty concerns each image by itself, as it must
    (Gulrajani et al. 2017, section 4).

    Args:
        image_shape: As for `dcgan_generator`.
        width: Channels of the first layer; each layer after it has twice as many.
        seed: Seed of the weights.

    Returns:
        A functional `keras.Model` in float32, from `(samples, *image_shape)` to `(samples, 1)`.

    Raises:
        ValueError: As for `dcgan_generator`.

    Example:
        >>> dcgan_critic((32, 32, 3), width=8).output_shape
        (None, 1)
    """
    return _convolutional(image_shape, 1, width, seed, "critic")


def dcgan_encoder(
    image_shape: Sequence[int], *, latent_size: int = 100, width: int = 32, seed: int = 0
) -> keras.Model:
    """Builds a network from images to codes, with fresh weights: the critic's form with a code at the end.

    Args:
        image_shape: As for `dcgan_generator`.
        latent_size: Length of a code.
        width: Channels of the first layer; each layer after it has twice as many.
        seed: Seed of the weights.

    Returns:
        A functional `keras.Model` in float32, from `(samples, *image_shape)` to `(samples, latent_size)`.

    Raises:
        ValueError: As for `dcgan_generator`.

    Example:
        >>> dcgan_encoder((28, 28, 1), latent_size=10, width=8).output_shape
        (None, 10)
    """
    check_sizes(latent_size=latent_size)
    return _convolutional(image_shape, latent_size, width, seed, "encoder")


def _convolutional(
    image_shape: Sequence[int], outputs: int, width: int, seed: int, name: str
) -> keras.Model:
    shape = _checked_shape(image_shape)
    check_sizes(width=width)
    images = keras.Input(shape, name="images")
    hidden = images
    for number in range(len(_sizes(*shape[:2])) - 1):
        hidden = keras.layers.Conv2D(
            width << number,
            KERNEL,
            strides=2,
            padding="same",
            kernel_initializer=_lecun_normal(hidden.shape[-1] * KERNEL**2, seed + number),
            dtype="float32",
        )(hidden)
        hidden = _activation("selu")(hidden)
    hidden = keras.layers.Flatten(dtype="float32")(hidden)
    start = _lecun_normal(hidden.shape[-1], seed + 100)
    outputs = keras.layers.Dense(outputs, kernel_initializer=start, dtype="float32")(hidden)
    return keras.Model(images, outputs, name=name)


def _sizes(height: int, width: int) -> list[tuple[int, int]]:
    """The sizes that strides of 2 lead through, from the image's down to 4 or 3 along the shorter side.

    Example:
        >>> _sizes(28, 28)
        [(28, 28), (14, 14), (7, 7), (4, 4)]
    """
    sizes = [(height, width)]
    while min(sizes[-1]) > 4:
        sizes.append((-(-sizes[-1][0] // 2), -(-sizes[-1][1] // 2)))
    return sizes


def _cropped(images: Any, size: tuple[int, int]) -> Any:
    """Leaves off the last row and column where an odd size was doubled one too far."""
    over = [(0, found - wanted) for found, wanted in zip(images.shape[1:3], size, strict=True)]
    if not any(end for _, end in over):
        return images
    return keras.layers.Cropping2D(over, dtype="float32")(images)


def _activation(name: str) -> keras.Layer:
    return keras.layers.Activation(name, dtype="float32")


def _lecun_normal(inputs: int, seed: int) -> keras.Initializer:
    """LeCun's normal for units with that many inputs.

    Keras takes the outputs of a transposed convolution for its inputs and is blind to the stride, which
    would saturate the tanh of a one-channel image from the start.
    """
    return keras.initializers.TruncatedNormal(stddev=1 / (_CUT_OFF * np.sqrt(inputs)), seed=seed)


def _checked_shape(image_shape: Sequence[int]) -> tuple[int, int, int]:
    shape = tuple(image_shape)
    if len(shape) != 3 or not all(isinstance(size, int | np.integer) for size in shape):
        raise ValueError(
            f"`image_shape` must be (height, width, channels). Received: {image_shape!r}."
        )
    wrong = [size for size in shape[:2] if size % 4 or not SMALLEST <= size <= LARGEST]
    if wrong:
        raise ValueError(
            f"Heights and widths must be multiples of 4 from {SMALLEST} to {LARGEST}. "
            f"Received: {shape}. Bring images to such a size with `letterbox`, or pass networks of your own."
        )
    if shape[2] not in (1, 3):
        raise ValueError(f"Images must have 1 or 3 channels. Received: {shape}.")
    return int(shape[0]), int(shape[1]), int(shape[2])


def check_sizes(**sizes: Any) -> None:
    """Raises a ValueError that names the first of the sizes that is not a whole number of at least 1."""
    for name, size in sizes.items():
        checked_number(size, name, least=1, whole=True)
