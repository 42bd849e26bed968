"""How alike two maps of the same sample are: by their ranks, their structure, and their highest places."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import rankdata

from ..checks import finite_array
from ..optional import imported

Maps = NDArray[np.float64]
MEASURES = ("spearman", "ssim", "top_k")


def spearman(first: ArrayLike, second: ArrayLike) -> NDArray[np.float64]:
    """Returns Spearman's rank correlation of each pair of maps.

    Args:
        first: Maps of shape `(samples, *positions)`.
        second: Maps to compare with, of the same shape.

    Returns:
        float64 array `(samples,)` in [−1, 1]. A constant map has no ranks: NaN where the first is constant,
        and 0 where only the second is, which has lost all that the first showed.

    Raises:
        ValueError: If shapes differ or a value is not finite.

    Example:
        >>> spearman([[1.0, 2.0, 3.0], [1.0, 2.0, 3.0]], [[1.0, 4.0, 9.0], [3.0, 2.0, 1.0]])
        array([ 1., -1.])
    """
    pair = _pair(first, second)
    ranks = [rankdata(maps.reshape(len(maps), -1), axis=1) for maps in pair]
    centred = [values - values.mean(axis=1, keepdims=True) for values in ranks]
    norms = [np.linalg.norm(values, axis=1) for values in centred]
    product = np.where(norms[0] > 0, np.where(norms[1] > 0, norms[0] * norms[1], 1.0), np.nan)
    return np.clip((centred[0] * centred[1]).sum(axis=1) / product, -1, 1)


def ssim(first: ArrayLike, second: ArrayLike) -> NDArray[np.float64]:
    """Returns the structural similarity of each pair of maps, by scikit-image (Wang et al. 2004).

    Each map is divided by its greatest absolute value, so that both lie in [0, 1], or in [−1, 1] where one is
    negative anywhere. The window is a cube of 7 positions along each axis, or the greatest odd number that
    fits; axes of length one are left out.

    Takes and raises what `spearman` does, and an ImportError where scikit-image cannot be imported.

    Returns:
        float64 array `(samples,)` in [−1, 1]; NaN where the first map is constant, or an axis has length two,
        so that no window fits.

    Example:
        >>> maps = np.random.default_rng(0).normal(size=(2, 8, 8))
        >>> np.round(ssim(maps, 3 * maps), 6)
        array([1., 1.])
    """
    pair = _pair(first, second)
    lengths = [length for length in pair[0].shape[1:] if length > 1]
    window = min(7, (min(lengths, default=1) - 1) // 2 * 2 + 1)
    scores = np.full(len(pair[0]), np.nan)
    if window < 3:
        return scores
    compare = imported("skimage.metrics", "Structural similarity").structural_similarity
    for index, (one, other) in enumerate(zip(*pair, strict=True)):
        if np.ptp(one) > 0:
            scaled = [_scaled(values).reshape(lengths) for values in (one, other)]
            negative = any(values.min() < 0 for values in scaled)
            scores[index] = compare(*scaled, win_size=window, data_range=2.0 if negative else 1.0)
    return scores


def top_k_overlap(
    first: ArrayLike, second: ArrayLike, *, share: float = 0.1
) -> NDArray[np.float64]:
    """Returns which part of the highest positions of one map are among the highest of the other.

    Positions tied for the last places share these evenly; two maps have in common what each position holds
    in both.

    Args:
        first: Maps of shape `(samples, *positions)`.
        second: Maps to compare with, of the same shape.
        share: Share of the positions that is taken, in (0, 1]; at least one is.

    Returns:
        float64 array `(samples,)` in [0, 1], where `share` is what unrelated maps have by chance; NaN where
        the first map is constant.

    Raises:
        ValueError: If shapes differ, a value is not finite, or the share lies outside (0, 1].

    Example:
        >>> top_k_overlap([[1.0, 2.0, 3.0, 4.0]], [[1.0, 4.0, 2.0, 3.0]], share=0.5)
        array([0.5])
    """
    if not 0 < share <= 1:
        raise ValueError(f"`share` must lie in (0, 1]. Received: {share!r}.")
    flat = [maps.reshape(len(maps), -1) for maps in _pair(first, second)]
    count = max(1, round(share * flat[0].shape[1]))
    held = [_held_places(values, count) for values in flat]
    overlap = np.minimum(*held).sum(axis=1) / count
    return np.where(np.ptp(flat[0], axis=1) > 0, overlap, np.nan)


def similarities(
    first: Maps, second: Maps, *, share: float, within: NDArray[np.bool_] | None = None
) -> Mapping[tuple[str, bool], NDArray[np.float64]]:
    """Returns all measures by `(measure, absolute)`: of the maps with their signs, and without.

    Args:
        first: Maps of shape `(samples, *positions)`.
        second: Maps to compare with, of the same shape.
        share: Share of the positions that the overlap takes.
        within: The positions that count, booleans like the maps; None for all. Structural similarity is that
            of the smallest box around them, with 0 elsewhere.
    """
    found = {}
    for absolute in (False, True):
        pair = (np.abs(first), np.abs(second)) if absolute else (first, second)
        box = pair if within is None else [_boxed(maps, within) for maps in pair]
        rows = [pair] if within is None else _inside(pair, within)
        found["spearman", absolute] = np.concatenate([spearman(*row) for row in rows])
        found["ssim", absolute] = ssim(*box)
        found["top_k", absolute] = np.concatenate(
            [top_k_overlap(*row, share=share) for row in rows]
        )
    return found


def _inside(pair: Sequence[Maps], within: NDArray[np.bool_]) -> list[tuple[Maps, Maps]]:
    """The values of each sample's two maps in its region, `(1, positions)` each."""
    return [
        (one[region][None], other[region][None])
        for one, other, region in zip(*pair, within, strict=True)
    ]


def _boxed(maps: Maps, within: NDArray[np.bool_]) -> Maps:
    """The smallest box around all regions, with 0 outside of them."""
    places = np.nonzero(within.any(axis=0))
    box = (slice(None), *[slice(axis.min(), axis.max() + 1) for axis in places])
    return np.where(within, maps, 0.0)[box]


def _pair(first: ArrayLike, second: ArrayLike) -> tuple[Maps, Maps]:
    one, other = (
        finite_array(maps, name).astype(np.float64)
        for maps, name in ((first, "first"), (second, "second"))
    )
    if one.shape != other.shape:
        raise ValueError(
            f"Both maps must have the same shape. Received: {one.shape} and {other.shape}."
        )
    return one, other


def _scaled(values: Maps) -> Maps:
    greatest = np.abs(values).max()
    return values / greatest if greatest > 0 else values


def _held_places(values: Maps, count: int) -> Maps:
    """The part of one of the `count` highest places that each position holds."""
    last = -np.partition(-values, count - 1, axis=1)[:, count - 1 : count]
    above, tied = values > last, values == last
    left = count - above.sum(axis=1, keepdims=True)
    return above + tied * left / tied.sum(axis=1, keepdims=True)
