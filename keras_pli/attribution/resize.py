"""Linear interpolation of maps with any number of axes; TensorFlow resizes only images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from ..network.field_places import FieldPlaces

Tensor = Any


def resize_linear(
    maps: Tensor,
    shape: Sequence[int],
    stretches: Sequence[tuple[float, float]] | None = None,
    *,
    fields: Sequence[FieldPlaces] | None = None,
) -> Tensor:
    """Resizes maps by linear interpolation along each axis in turn.

    Pixel centres lie at half-integers and the border is continued, as in `tf.image.resize` with
    `method="bilinear"`, which this equals in 2-D. Nothing is smoothed where a map is made smaller.

    Args:
        maps: Floating-point tensor `(batch, *positions)`.
        shape: The new size of each axis after the first.
        stretches: From where to where each of these axes of the result the maps lie, in its entries; outside
            is 0. None lays them over all of it.
        fields: Along each of these axes, where the receptive fields of the maps' entries lie, whose middles
            then are where the values belong; outside of all fields is 0. In place of `stretches`.

    Raises:
        ValueError: If there is not one size for each axis after the first.

    Example:
        >>> resize_linear(tf.constant([[0.0, 1.0]]), (4,)).numpy().tolist()
        [[0.0, 0.25, 0.75, 1.0]]
        >>> resize_linear(tf.constant([[3.0, 5.0]]), (4,), [(1, 3)]).numpy().tolist()
        [[0.0, 3.0, 5.0, 0.0]]
        >>> places = FieldPlaces(first=1.0, step=2.0, width=3.0)
        >>> resize_linear(tf.constant([[3.0, 5.0]]), (6,), fields=[places]).numpy().tolist()
        [[3.0, 3.0, 4.0, 5.0, 5.0, 0.0]]
    """
    maps = tf.convert_to_tensor(maps)
    if len(shape) != maps.shape.rank - 1:
        raise ValueError(
            f"`shape` must have one size for each axis after the first of {tuple(maps.shape)}. "
            f"Received: {tuple(shape)}."
        )
    # The last axis goes first, while there is little to copy. A product with a matrix of weights would be
    # rounded to TensorFloat-32 on a GPU.
    for axis in range(len(shape), 0, -1):
        size = shape[axis - 1]
        if fields:
            maps = _placed_axis(maps, axis, size, fields[axis - 1])
        else:
            maps = _resize_axis(maps, axis, size, stretches[axis - 1] if stretches else (0, size))
    return maps


def _resize_axis(maps: Tensor, axis: int, size: int, stretch: tuple[float, float]) -> Tensor:
    given = tf.shape(maps)[axis]
    # In double precision: a place's rounding error grows with the axis, and its fraction is what counts.
    centers = tf.range(size, dtype=tf.float64) + 0.5
    start, stop = stretch
    inside = (centers > start) & (centers < stop)
    places = (centers - start) * tf.cast(given, tf.float64) / (stop - start) - 0.5
    found = _between(maps, axis, places)
    return found if start <= 0 and stop >= size else _cut(found, axis, inside)


def _placed_axis(maps: Tensor, axis: int, size: int, fields: FieldPlaces) -> Tensor:
    entries = tf.range(size, dtype=tf.float64)
    last = fields.first + fields.step * tf.cast(tf.shape(maps)[axis] - 1, tf.float64)
    reach = fields.width / 2
    inside = (entries > fields.first - reach) & (entries < last + reach)
    return _cut(_between(maps, axis, (entries - fields.first) / fields.step), axis, inside)


def _between(maps: Tensor, axis: int, places: Tensor) -> Tensor:
    """Interpolates at places along an axis, counted in its entries; the border is continued."""
    most = tf.shape(maps)[axis] - 1
    places = tf.clip_by_value(places, 0.0, tf.cast(most, tf.float64))
    lower = tf.cast(places, tf.int32)
    share = tf.cast(places - tf.cast(lower, tf.float64), maps.dtype)
    share = tf.reshape(share, (-1, *[1] * (maps.shape.rank - 1 - axis)))
    below = tf.gather(maps, lower, axis=axis)
    above = tf.gather(maps, tf.minimum(lower + 1, most), axis=axis)
    return below + share * (above - below)


def _cut(maps: Tensor, axis: int, inside: Tensor) -> Tensor:
    """Sets the entries of an axis to 0 that are not inside."""
    inside = tf.reshape(inside, (-1, *[1] * (maps.shape.rank - 1 - axis)))
    return tf.where(inside, maps, tf.zeros_like(maps))
