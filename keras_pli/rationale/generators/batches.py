"""The images of a training run, checked and in batches."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from ...checks import finite_array
from ...images import check_range
from ...replicas import replica_count, total

Tensor = Any


def checked_images(
    images: Any, shape: tuple[int, ...], value_range: tuple[float, float] | None, name: str
) -> NDArray[np.float32]:
    """Returns images as a float32 array that fits a network.

    Raises:
        ValueError: If the shape differs, a value is not finite or outside the range.
    """
    array = finite_array(images, name, ndim=len(shape) + 1)
    if array.shape[1:] != shape:
        raise ValueError(
            f"`{name}` must have shape (samples, {', '.join(map(str, shape))}). "
            f"Received shape {array.shape}."
        )
    if value_range is not None:
        check_range(array, value_range, name=name)
    return array


def training_batches(
    images: Any,
    size: int,
    *,
    shape: tuple[int, ...],
    value_range: tuple[float, float] | None,
    epochs: int,
    steps_done: tf.Variable,
    seed: int,
    groups: int = 1,
    replicas: int = 1,
) -> tuple[tf.data.Dataset, int | None]:
    """Makes the batches of a run that begins or goes on.

    Args:
        images: An array, or a caller's data set of batches of any size, with or without labels.
        size: Images in a batch; what is left over in an epoch is left out.
        shape: Shape of an image.
        value_range: The range that values must be in, or None.
        epochs: How often to go through an array.
        steps_done: Batches that earlier runs had; they decide where among the orders this one begins. It is
            read when the first batch is asked for, since a callback may restore a run before.
        seed: Seed of the orders.
        groups: Parts of a batch that follow each other, each of which is spread over the replicas.
        replicas: Replicas that batches are spread over, each of which takes as many rows, one after another.

    Returns:
        The batches, and their number in an epoch, which is None for a data set.

    Raises:
        ValueError: If images do not fit (see `checked_images`) or are fewer than `size`.
    """
    if isinstance(images, tf.data.Dataset):
        data = _checked_batches(images, shape, value_range).rebatch(size, drop_remainder=True)
        return _spread(data, size, groups, replicas).prefetch(2), None
    array = checked_images(images, shape, value_range, "images")
    steps = len(array) // size
    if steps < 1:
        raise ValueError(f"A step takes {size} images. Received: {len(array)}. Lower `batch_size`.")

    def numbers(_: Any) -> tf.data.Dataset:
        first = steps_done // steps
        return tf.data.Dataset.range(first, first + max(epochs, 0))

    data = _shuffled_batches(array, size, tf.data.Dataset.range(1).flat_map(numbers), seed)
    return _spread(data, size, groups, replicas).prefetch(2), steps


def held_out_batches(
    images: Any,
    size: int,
    *,
    shape: tuple[int, ...],
    value_range: tuple[float, float] | None,
    replicas: int = 1,
) -> tf.data.Dataset:
    """Batches of held-out images in their own order, each as `(images, number of the batch)`.

    Under several replicas the number stands beside each of the images, so that it is spread as they are.

    Raises:
        ValueError: If images do not fit (see `checked_images`).
    """
    if isinstance(images, tf.data.Dataset):
        data = _checked_batches(images, shape, value_range)
    else:
        array = checked_images(images, shape, value_range, "validation_data")
        data = tf.data.Dataset.from_tensor_slices(array).batch(size)
    numbered = data.enumerate().map(lambda number, batch: (batch, number))
    if replicas > 1:
        numbered = numbered.map(
            lambda batch, number: (batch, tf.repeat(number, tf.shape(batch)[0]))
        )
    return numbered.prefetch(2)


def number_of_all(number: Tensor) -> Tensor:
    """Returns the number of a held-out batch, of which a replica may have no image."""
    if replica_count() == 1:
        return number
    beside = tf.size(number, out_type=number.dtype)
    return total(tf.reduce_sum(number)) // total(beside)


def _shuffled_batches(
    images: NDArray[np.float32], size: int, epochs: tf.data.Dataset, seed: int
) -> tf.data.Dataset:
    """Batches in an order that depends on the seed and the epoch alone, so that a run can be resumed."""
    steps, held = len(images) // size, tf.constant(images)

    def rows(epoch: Any) -> tf.data.Dataset:
        key = tf.stack([tf.constant(seed, tf.int64), epoch])
        order = tf.random.experimental.stateless_shuffle(tf.range(len(images)), seed=key)
        return tf.data.Dataset.from_tensor_slices(tf.reshape(order[: steps * size], (steps, size)))

    return epochs.flat_map(rows).map(lambda chosen: tf.gather(held, chosen))


def _spread(data: tf.data.Dataset, size: int, groups: int, replicas: int) -> tf.data.Dataset:
    """Batches in the order in which each replica finds its rows of every group."""
    if groups == 1 or replicas == 1:
        return data
    order = np.arange(size).reshape(groups, replicas, -1).swapaxes(0, 1).reshape(-1)
    return data.map(lambda batch: tf.gather(batch, order))


def _checked_batches(
    data: tf.data.Dataset, shape: tuple[int, ...], value_range: tuple[float, float] | None
) -> tf.data.Dataset:
    """The images of a caller's data set, of which the first batch is looked at."""
    data = data.map(_images_alone)
    first = next(iter(data), None)
    if first is None:
        raise ValueError("The data set of images is empty.")
    checked_images(first.numpy(), shape, value_range, "images")
    return data


def _images_alone(images: Any, *_: Any) -> Any:
    return tf.cast(images, tf.float32)
