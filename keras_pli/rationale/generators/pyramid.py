"""Laplacian pyramids of image batches, and the distance between images that is measured on them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from keras import ops

Tensor = Any
_BINOMIAL = np.array([1.0, 4.0, 6.0, 4.0, 1.0]) / 16.0
_LEAST = 3  # pixels that a border of two can be reflected from


def most_levels(height: int, width: int) -> int:
    """The number of levels that a pyramid of such images has at the most, the remaining image included.

    Example:
        >>> most_levels(28, 28)
        5
    """
    levels = 1
    while min(height, width) >= _LEAST:
        height, width, levels = -(-height // 2), -(-width // 2), levels + 1
    return levels


def laplacian_pyramid(images: Any, levels: int = 3) -> list[Tensor]:
    """Takes images apart into details of one octave each and a small remaining image.

    Each level is the difference between an image and its own blurred, halved and expanded copy; the copy goes
    on to the next level (Burt & Adelson 1983). Borders are reflected, so that a constant image has no
    details anywhere.

    Args:
        images: Shape `(samples, height, width, channels)`; sizes may be odd.
        levels: Number of levels, the last of which is the remaining image.

    Returns:
        `levels` tensors; the sizes of each are half of those before, rounded up.

    Raises:
        ValueError: If the images are too small for so many levels, or the shape is another.

    Example:
        >>> [tuple(level.shape[1:3]) for level in laplacian_pyramid(np.zeros((1, 28, 28, 1)))]
        [(28, 28), (14, 14), (7, 7)]
    """
    shape = tuple(np.shape(images) if isinstance(images, np.ndarray) else images.shape)
    if len(shape) != 4:
        raise ValueError(
            f"`images` must have shape (samples, height, width, channels). Received shape {shape}."
        )
    if not 1 <= levels <= most_levels(*shape[1:3]):
        raise ValueError(
            f"Images of {shape[1]} × {shape[2]} pixels have 1 to {most_levels(*shape[1:3])} levels. "
            f"Received: levels={levels}."
        )
    rest, pyramid = ops.cast(images, "float32"), []
    for _ in range(levels - 1):
        smaller = _blurred(rest)[:, ::2, ::2]
        pyramid.append(rest - _expanded(smaller, *rest.shape[1:3]))
        rest = smaller
    return [*pyramid, rest]


def collapse(pyramid: Sequence[Any]) -> Tensor:
    """Puts images together again: the inverse of `laplacian_pyramid`.

    Args:
        pyramid: Levels as `laplacian_pyramid` returns them.

    Returns:
        The images, `(samples, height, width, channels)`.

    Example:
        >>> images = np.random.default_rng(0).normal(size=(2, 15, 20, 3)).astype("float32")
        >>> bool(np.allclose(collapse(laplacian_pyramid(images)), images, atol=1e-6))
        True
    """
    image = ops.convert_to_tensor(pyramid[-1])
    for details in pyramid[-2::-1]:
        image = details + _expanded(image, *details.shape[1:3])
    return image


def laplacian_loss(first: Any, second: Any, *, levels: int = 3) -> Tensor:
    """The distance of images on their Laplacian pyramids: Lap₁(x, x′) = Σⱼ 2⁻²ʲ ‖Lʲ(x) − Lʲ(x′)‖₁.

    Lʲ is level j, counted from 0, the finest, and the norm sums over its entries (Bojanowski et al. 2018,
    "Optimizing the Latent Space of Generative Networks", section 2). An edge that is out of place costs less
    than under a squared error, which would rather have it blurred.

    The weights decide what counts. Those taken here are the ones that Athar et al. print ("Latent
    Convolutional Models", 2019), who take the loss from there: fine levels count most, each coarser one 4
    times less an entry. Seah et al. (2018) name the loss and give no weights. Well-known programs sum the
    *means* of the levels instead, by which an entry counts 4 times more on each coarser level, as with 2²ʲ.

    Args:
        first: Images x, `(samples, height, width, channels)`.
        second: Images x′ of the same shape.
        levels: As for `laplacian_pyramid`.

    Returns:
        One distance for each sample, `(samples,)`.

    Raises:
        ValueError: As for `laplacian_pyramid`.

    Example:
        >>> laplacian_loss(np.zeros((2, 8, 8, 1)), np.ones((2, 8, 8, 1)), levels=2).numpy()
        array([4., 4.], dtype=float32)
    """
    # The pyramid is linear: one of the difference takes half as long as two.
    difference = ops.cast(first, "float32") - ops.cast(second, "float32")
    return sum(
        2.0 ** (-2 * level) * ops.sum(ops.abs(details), axis=(1, 2, 3))
        for level, details in enumerate(laplacian_pyramid(difference, levels))
    )


def _blurred(images: Tensor, scale: float = 1.0) -> Tensor:
    """Images smoothed along both axes with a binomial filter, each time multiplied by `scale`."""
    for axis in (1, 2):
        size = images.shape[axis]
        border = [(0, 0)] * 4
        border[axis] = (2, 2)
        padded = ops.pad(images, border, mode="reflect")
        images = sum(
            scale * weight * (padded[:, i : i + size] if axis == 1 else padded[:, :, i : i + size])
            for i, weight in enumerate(_BINOMIAL)
        )
    return images


def _expanded(images: Tensor, height: int, width: int) -> Tensor:
    """Images of twice the size: zeros in between, then smoothed with twice the weight along each axis."""
    rows, columns, channels = images.shape[1:]
    spaced = ops.pad(images[:, :, None, :, None], [(0, 0), (0, 0), (0, 1), (0, 0), (0, 1), (0, 0)])
    spaced = ops.reshape(spaced, (-1, 2 * rows, 2 * columns, channels))
    return _blurred(spaced[:, :height, :width], 2.0)
