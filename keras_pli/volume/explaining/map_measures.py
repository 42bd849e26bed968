"""Measures of maps of volumes: overlap inside the brain, and how alike the maps of several networks are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from ...attribution import Attribution
from ...evaluation.similarity import spearman, top_k_overlap
from .checked_volumes import (
    Masks,
    checked_share,
    inside_of,
    volume_maps,
    volume_masks,
    within_each,
)

Array = NDArray[np.float64]


def dice(
    maps: ArrayLike | Attribution,
    truths: ArrayLike,
    *,
    share: float | None = None,
    within: ArrayLike | None = None,
    absolute: bool = False,
) -> Array:
    """Returns the Dice coefficient of what a map marks with the truth, 2 |A ∩ B| / (|A| + |B|).

    Only voxels inside the region count. An agreement that counts the background as well says nothing: two
    disjoint sets that fill 2.7 % of a volume each agree in 94.6 % of its voxels, and their Dice is 0. Maps
    that prefer no voxel get on average `2 share · t / (share + t)`, for a truth that fills the share t.

    Args:
        maps: `(samples, X, Y, Z)`, perhaps with channels, which are summed; what a method found; or booleans,
            which are compared as they are.
        truths: Booleans `(X, Y, Z)` or `(samples, X, Y, Z)`.
        share: Share of the region's voxels that a map marks, its strongest; None marks as many as the truth
            has there.
        within: The region, such as the brain: booleans `(X, Y, Z)` or `(samples, X, Y, Z)`; None is
            everywhere.
        absolute: Whether the strongest voxels are those of the largest absolute values.

    Returns:
        float64 array `(samples,)` in [0, 1]; where the last places are tied, the expected value.

    Raises:
        ValueError: If shapes do not fit, a value is not finite, a region is empty or holds nothing of the
            truth, the share lies outside (0, 1), or one is given for boolean maps.
        TypeError: If truths or the region are not boolean.

    Example:
        >>> maps, truth = np.zeros((1, 4, 4, 4)), np.zeros((4, 4, 4), bool)
        >>> maps[0, 0], truth[0, :2] = 1.0, True
        >>> dice(maps, truth), dice(maps, truth, share=0.25)
        (array([0.5]), array([0.66666667]))
    """
    marks = np.asarray(maps) if not isinstance(maps, Attribution) else np.empty(0)
    is_marked = marks.dtype == bool
    if is_marked and share is not None:
        raise ValueError(f"Boolean maps are compared as they are. Received: share={share!r}.")
    values = volume_maps(marks.astype(np.float32) if is_marked else maps)
    values = np.abs(values) if absolute else values
    objects = volume_masks(truths, values.shape, "truths")
    region = within_each(within, values.shape)
    volume_masks(objects & region, values.shape, "truths inside the region")
    part = None if share is None else checked_share(share)
    found = []
    for row, truth in inside_of(region, values, objects):
        size = int(truth.sum())
        count = size if part is None else max(1, round(part * row.size))
        count = int(row.sum()) if is_marked else count
        found.append(2 * _expected_hits(row, truth, count) / (count + size))
    return np.array(found)


def fold_stability(
    maps_by_fold: Mapping[object, ArrayLike] | Sequence[ArrayLike],
    within: ArrayLike | None = None,
    *,
    share: float = 0.1,
    absolute: bool = False,
) -> pd.DataFrame:
    """Compares the maps that the networks of several folds give for the same volumes, two by two.

    Networks that were trained on other parts of a cohort, and are as accurate, should point to the same
    places. Where they do not, no one of their maps tells what sets the classes apart. Explain samples that
    none of the networks was trained on, or the mean map of each network's own held-out fold.

    Args:
        maps_by_fold: For each fold, by name or in order, maps `(samples, X, Y, Z)` of the same samples, or a
            single one `(X, Y, Z)`.
        within: The region, such as the brain: booleans `(X, Y, Z)` or `(samples, X, Y, Z)`. Outside, maps are
            often 0 alike, which would count as agreement. None is everywhere.
        share: Share of the region's voxels that count as a map's strongest.
        absolute: Whether maps are compared without their signs.

    Returns:
        A data frame with a row for each pair of folds, in columns `first` and `second`; the means over
        samples of `spearman`, the rank correlation, and of `dice`, that of the strongest voxels; and the
        `samples` that these are means of, without those in which a map is constant. Unrelated maps have a
        rank correlation of 0 and a Dice of `share` on average.

    Raises:
        ValueError: If there are fewer than two folds, shapes differ, a value is not finite, a region is
            empty, or the share lies outside (0, 1).
        TypeError: If the region is not boolean.

    Example:
        >>> random = np.random.default_rng(0)
        >>> truth = random.normal(size=(4, 6, 6, 6))
        >>> folds = {name: truth + 0.1 * random.normal(size=truth.shape) for name in "ab"}
        >>> fold_stability(folds)[["first", "second", "samples"]]
          first second  samples
        0     a      b        4
    """
    folds = dict(
        maps_by_fold.items() if isinstance(maps_by_fold, Mapping) else enumerate(maps_by_fold)
    )
    if len(folds) < 2:
        raise ValueError(f"`maps_by_fold` must hold at least two folds. Received: {len(folds)}.")
    maps = {fold: volume_maps(found, f"maps of fold {fold!r}") for fold, found in folds.items()}
    shapes = {fold: found.shape for fold, found in maps.items()}
    if len(set(shapes.values())) > 1:
        raise ValueError(
            f"All folds must have maps of the same samples. Received shapes: {shapes}."
        )
    part = checked_share(share)
    region = within_each(within, next(iter(shapes.values())))
    if absolute:
        maps = {fold: np.abs(found) for fold, found in maps.items()}
    rows = []
    for first, second in combinations(maps, 2):
        pairs = [
            (
                spearman(one[None], other[None])[0],
                top_k_overlap(one[None], other[None], share=part)[0],
            )
            for one, other in inside_of(region, maps[first], maps[second])
            if np.ptp(one) and np.ptp(other)
        ]
        means = np.mean(pairs, axis=0) if pairs else (np.nan, np.nan)
        rows.append((first, second, *means, len(pairs)))
    return pd.DataFrame(rows, columns=["first", "second", "spearman", "dice", "samples"])


def _expected_hits(values: Array, truth: Masks, count: int) -> float:
    """How many of the `count` highest values lie on the truth, on average over the orders of tied ones."""
    if not count:
        return 0.0
    last = np.partition(values, len(values) - count)[len(values) - count]
    above, tied = values > last, values == last
    left = count - above.sum()
    return float((above & truth).sum() + left * (tied & truth).sum() / tied.sum())
