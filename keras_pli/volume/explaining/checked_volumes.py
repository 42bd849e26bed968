"""What measures of maps take: one map for each volume, and regions of the volumes, met at the door."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...attribution import Attribution
from ...attribution.attribution import PositionAttribution
from ...checks import boolean_masks, quoted, real_array

Maps = NDArray[np.float64]
Masks = NDArray[np.bool_]


def volume_maps(maps: ArrayLike | Attribution, name: str = "maps") -> Maps:
    """Returns one map for each volume, float64 `(samples, X, Y, Z)`.

    Args:
        maps: `(samples, X, Y, Z)`, or with an axis of channels, which are summed; or what a method found. A
            single map `(X, Y, Z)` is one sample.
        name: What errors call them.

    Raises:
        ValueError: If the shape is another, or a value is not finite.
        TypeError: If they are not real numbers.

    Example:
        >>> volume_maps(np.ones((2, 4, 5, 6, 1))).shape
        (2, 4, 5, 6)
    """
    repeated = isinstance(maps, PositionAttribution)
    array = np.asarray(maps.attributions if isinstance(maps, Attribution) else maps)
    if array.ndim == 3:
        array = array[None]
    if array.ndim not in (4, 5) or not array.size:
        raise ValueError(
            f"`{name}` must have the shape (samples, X, Y, Z), perhaps with channels behind, or (X, Y, Z) "
            f"for a single map. Received shape {array.shape}."
        )
    array = real_array(array, name)
    if array.ndim == 5:
        # What hides whole positions has the same value in each channel.
        return array[..., 0].astype(np.float64) if repeated else array.sum(-1, dtype=np.float64)
    return array.astype(np.float64)


def volume_masks(masks: ArrayLike, shape: tuple[int, ...], name: str) -> Masks:
    """Returns booleans for each volume, `(samples, X, Y, Z)`; one mask holds for all.

    Args:
        masks: Booleans `(X, Y, Z)` or `(samples, X, Y, Z)`.
        shape: The shape that they must have or broadcast to.
        name: What errors call them.

    Raises:
        ValueError: If the shape is another, or a mask is empty.
        TypeError: If they are not boolean.
    """
    found = boolean_masks(masks, shape, name)
    empty = np.flatnonzero(~found.reshape(len(found), -1).any(axis=1))
    if len(empty):
        where = "" if np.ndim(masks) == 3 else f" for samples {quoted(empty)}"
        raise ValueError(f"`{name}` is empty{where}.")
    return found


def within_each(within: ArrayLike | None, shape: tuple[int, ...]) -> Masks:
    """Returns `within` as `volume_masks` does; None is everywhere."""
    if within is None:
        return np.ones(shape, dtype=bool)
    return volume_masks(within, shape, "within")


def checked_share(share: Any) -> float:
    """Returns a share of the voxels.

    Raises:
        ValueError: If it is not a number in (0, 1).
    """
    number = isinstance(share, int | float | np.integer | np.floating)
    if isinstance(share, bool) or not number or not 0 < share < 1:
        raise ValueError(f"`share` must be a number in (0, 1). Received: {share!r}.")
    return float(share)


def strongest(values: Maps, within: Masks, count: int, random: np.random.Generator) -> Masks:
    """Returns the `count` strongest voxels of one map inside a region; ties are settled by lot.

    Example:
        >>> random = np.random.default_rng(0)
        >>> strongest(np.array([3.0, 5.0, 4.0]), np.array([True, False, True]), 1, random)
        array([False, False,  True])
    """
    inside = np.flatnonzero(within)
    order = np.lexsort((random.random(len(inside)), -values.ravel()[inside]))
    found = np.zeros(values.size, dtype=bool)
    found[inside[order[:count]]] = True
    return found.reshape(values.shape)


def inside_of(within: Masks, *values: NDArray[Any]) -> Iterator[tuple[NDArray[Any], ...]]:
    """Yields what several arrays hold inside the region of each sample, `(voxels,)` each."""
    for region, *rows in zip(within, *values, strict=True):
        yield tuple(row[region] for row in rows)
