"""What images and regression targets go through before a generator or classifier is trained on them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .checks import finite_array, label_array, quoted
from .optional import imported

Array = NDArray[np.float32]
GENERATOR_RANGE = (-1.0, 1.0)  # of a tanh


def letterbox(
    images: ArrayLike, size: int | tuple[int, int], *, fill: float | None = None
) -> Array:
    """Resizes images and keeps their aspect ratio; bands fill what is left of the new size.

    Seah et al. (2018, section 2) bring radiographs to 128 × 128 pixels so. Sizes are made smaller with a
    filter against aliasing.

    Args:
        images: Shape `(samples, height, width)` or `(samples, height, width, channels)`.
        size: The new `(height, width)`, or one number for both.
        fill: Value of the bands, by default the smallest of all images, which is black.

    Returns:
        float32 array of shape `(samples, *size, channels)`, or without channels where there were none.

    Raises:
        ValueError: If the shape is another, a value is not finite, or a size is less than 1.
        ImportError: If scikit-image cannot be imported.

    Example:
        >>> letterbox(np.ones((1, 50, 100, 1)), 10, fill=0.0)[0, :, 0, 0]
        array([0., 0., 1., 1., 1., 1., 1., 0., 0., 0.], dtype=float32)
    """
    pictures = _pictures(images)
    height, width = (size, size) if isinstance(size, int | np.integer) else size
    if height < 1 or width < 1:
        raise ValueError(f"`size` must be at least 1. Received: {size!r}.")
    resize = imported("skimage.transform", "Resizing images").resize
    scale = min(height / pictures.shape[1], width / pictures.shape[2])
    inner = (
        min(height, max(1, round(pictures.shape[1] * scale))),
        min(width, max(1, round(pictures.shape[2] * scale))),
    )
    top, left = (height - inner[0]) // 2, (width - inner[1]) // 2
    fill = float(pictures.min()) if fill is None else fill
    boxed = np.full((len(pictures), height, width, *pictures.shape[3:]), fill, dtype=np.float32)
    for picture, box in zip(pictures, boxed, strict=True):
        # scikit-image takes every axis after the second for channels, and leaves it.
        small = resize(picture, inner, order=1, mode="edge", anti_aliasing=scale < 1)
        box[top : top + inner[0], left : left + inner[1]] = small
    return boxed


def random_translation(
    images: ArrayLike, most: int = 8, *, seed: int = 0, fill: float | None = None
) -> Array:
    """Moves each image by up to `most` pixels along both axes, each shift being as likely as any other.

    An augmentation of Seah et al. (2018, section 2).

    Args:
        images: Shape `(samples, height, width)` or `(samples, height, width, channels)`.
        most: The largest shift in pixels.
        seed: Seed of the shifts.
        fill: Value of what comes in at the border, by default the smallest of all images.

    Returns:
        float32 array like `images`.

    Raises:
        ValueError: If the shape is another, a value is not finite, or `most` is negative or not smaller than
            the images.

    Example:
        >>> moved = random_translation(np.eye(16)[np.newaxis], 2)
        >>> bool(14 <= moved.sum() <= 16)
        True
    """
    pictures = _pictures(images)
    if not 0 <= most < min(pictures.shape[1:3]):
        raise ValueError(
            f"`most` must lie in [0, {min(pictures.shape[1:3]) - 1}] for images of "
            f"{pictures.shape[1]} × {pictures.shape[2]} pixels. Received: {most}."
        )
    fill = float(pictures.min()) if fill is None else fill
    frame = [(0, 0), (most, most), (most, most), (0, 0)][: pictures.ndim]
    padded = np.pad(pictures, frame, constant_values=fill)
    starts = np.random.default_rng(seed).integers(0, 2 * most + 1, size=(len(pictures), 2))
    height, width = pictures.shape[1:3]
    return np.stack(
        [
            picture[y : y + height, x : x + width]
            for picture, (y, x) in zip(padded, starts, strict=True)
        ]
    )


def split_by_group(
    groups: ArrayLike, fractions: Mapping[str, float], *, seed: int = 0
) -> dict[str, NDArray[np.int64]]:
    """Splits samples so that no group, such as the images of one patient, is in two parts.

    Groups are dealt out in random order, each to the part that is furthest from its share of samples.
    Seah et al. (2018, section 2) split by patient: 15 to 1 for the autoencoder, 4 to 1 for the classifier,
    7 : 1 : 2 for ChestX-ray8.

    Args:
        groups: The group of each sample, `(samples,)`: numbers or texts.
        fractions: The share of samples of each part by its name; they are divided by their sum.
        seed: Seed of the order.

    Returns:
        For each part the indices of its samples, in increasing order.

    Raises:
        ValueError: If there are fewer groups than parts, or a share is not positive.

    Example:
        >>> patients = np.array([7, 7, 7, 8, 8, 9])
        >>> parts = split_by_group(patients, {"training": 2, "validation": 1})
        >>> set(patients[parts["training"]]) & set(patients[parts["validation"]])
        set()
    """
    group_of = label_array(groups, np.size(groups), "groups")
    if not fractions or not all(np.isfinite(part) and part > 0 for part in fractions.values()):
        raise ValueError(f"`fractions` must be positive numbers. Received: {dict(fractions)!r}.")
    names, members, sizes = np.unique(group_of, return_inverse=True, return_counts=True)
    if len(names) < len(fractions):
        raise ValueError(
            f"{len(names)} groups cannot be dealt out to {len(fractions)} parts: {quoted(fractions)}."
        )
    wanted = np.array(list(fractions.values()), dtype=float)
    wanted *= len(group_of) / wanted.sum()
    part_of = _dealt(np.random.default_rng(seed).permutation(len(names)), sizes, wanted)
    return {name: np.flatnonzero(part_of[members] == part) for part, name in enumerate(fractions)}


def scale_bnp(nanograms_per_litre: ArrayLike) -> Array:
    """Scales B-type natriuretic peptide readings for a regression: ln(v) / 10 (Seah et al. 2018, section 2).

    Readings up to 22,026 ng/L come to lie in [0, 1]; heart failure is assumed above 100 ng/L, or 0.46.

    Args:
        nanograms_per_litre: Readings, of at least 1.

    Returns:
        float32 array like the readings.

    Raises:
        ValueError: If a reading is not finite or less than 1, which would give a negative value.

    Example:
        >>> scale_bnp([1.0, 100.0]).round(2)
        array([0.  , 0.46], dtype=float32)
    """
    readings = np.asarray(nanograms_per_litre, dtype=np.float64)
    bad = np.flatnonzero(~(np.isfinite(readings) & (readings >= 1.0)))
    if len(bad):
        raise ValueError(
            "BNP readings must be finite and at least 1 ng/L. "
            f"Received: {quoted(readings.ravel()[bad])} at {quoted(bad)}."
        )
    return np.asarray(np.log(readings) / 10.0, dtype=np.float32)


def unscale_bnp(scaled: ArrayLike) -> Array:
    """Returns readings in ng/L from scaled ones: the inverse of `scale_bnp`.

    Example:
        >>> float(unscale_bnp(scale_bnp(100.0)).round(3))
        100.0
    """
    return np.asarray(np.exp(10.0 * np.asarray(scaled, dtype=np.float64)), dtype=np.float32)


def to_range(
    images: ArrayLike,
    value_range: tuple[float, float] = GENERATOR_RANGE,
    *,
    source: tuple[float, float] | None = None,
) -> Array:
    """Maps images linearly from one range of values to another, by default that of a tanh generator.

    Args:
        images: Array-like of shape `(samples, ...)`.
        value_range: The range to map to.
        source: The range that they are in; by default (0, 255) for unsigned bytes. Nothing is guessed from
            values, since a dark image would be guessed wrongly.

    Returns:
        float32 array of the same shape.

    Raises:
        ValueError: If a value lies outside `source`, `source` is missing, or a range is not increasing.

    Example:
        >>> to_range(np.array([[0, 255]], dtype="uint8"))
        array([[-1.,  1.]], dtype=float32)
    """
    if source is None:
        if np.asarray(images).dtype != np.uint8:
            raise ValueError(
                "Only of unsigned bytes is the range known. Say what the images are in, such as "
                f"source=(0.0, 1.0). Received dtype {np.asarray(images).dtype}."
            )
        source = (0.0, 255.0)
    array = check_range(images, source)
    (low, high), (start, stop) = increasing(value_range), source
    scaled = (array.astype(np.float64) - start) / (stop - start) * (high - low) + low
    return np.asarray(scaled, dtype=np.float32)


def check_range(
    images: ArrayLike,
    value_range: tuple[float, float] = GENERATOR_RANGE,
    *,
    name: str = "images",
    tolerance: float = 1e-5,
) -> Array:
    """Returns images as float32 if all values lie in a range; the error says which range was found.

    Args:
        images: Array-like of shape `(samples, ...)`.
        value_range: The smallest and the largest value allowed.
        name: What the caller calls the argument.
        tolerance: How far a value may lie outside, as a share of the range.

    Raises:
        ValueError: If a value is not finite or lies outside.

    Example:
        >>> check_range(np.full((2, 4), 0.5)).shape
        (2, 4)
    """
    low, high = increasing(value_range)
    array = finite_array(images, name)
    margin = tolerance * (high - low)
    least, most = float(array.min()), float(array.max())
    if least < low - margin or most > high + margin:
        raise ValueError(
            f"`{name}` must lie in [{low:g}, {high:g}]. Found values from {least:g} to {most:g}. "
            "`to_range` maps from one range to another."
        )
    return array


def _dealt(
    order: NDArray[np.int64], sizes: NDArray[np.int64], wanted: NDArray[np.float64]
) -> NDArray[np.int64]:
    """The part of each group. The first groups go round, so that no part stays empty."""
    part_of, missing = np.empty(len(order), dtype=np.int64), wanted.copy()
    for place, group in enumerate(order):
        part = place if place < len(wanted) else int(np.argmax(missing))
        part_of[group] = part
        missing[part] -= sizes[group]
    return part_of


def _pictures(images: ArrayLike) -> Array:
    array = finite_array(images, "images")
    if array.ndim not in (3, 4):
        raise ValueError(
            "`images` must have shape (samples, height, width) or (samples, height, width, channels). "
            f"Received shape {array.shape}."
        )
    return array


def increasing(value_range: tuple[Any, Any]) -> tuple[float, float]:
    """Returns a range of values as two floats; raises a `ValueError` if the second is not greater."""
    low, high = float(value_range[0]), float(value_range[1])
    if not low < high:
        raise ValueError(f"A range of values must be increasing. Received: {value_range!r}.")
    return low, high
