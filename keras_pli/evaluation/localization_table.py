"""Localisation: do attribution maps point to the place that is known to decide?

Every measure settles ties by its expectation over all orders of the tied positions. A map that prefers no
position then scores the chance level, and not what the order of memory happens to give it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage
from scipy.stats import hypergeom
from sklearn.metrics import average_precision_score

from ..checks import checked_by_name, finite_array, quoted
from ..intervals import mean_interval

Scores = NDArray[np.float64]
Maps = NDArray[np.float64]
Masks = NDArray[np.bool_]
CHANCE, EDGES, BLOB = "chance", "edge map", "centred blob"
BLOB_WIDTH = 0.25  # standard deviation of the blob, in lengths of the axis


def pointing_game(attributions: ArrayLike, masks: ArrayLike, *, tolerance: float = 0.0) -> Scores:
    """Measures whether a map's maximum lies on the object (Zhang et al. 2018).

    Args:
        attributions: Maps of shape `(samples, *spatial)`, or `(samples, *spatial, channels)`, whose
            channels are summed.
        masks: Booleans of shape `(samples, *spatial)`, True on the object.
        tolerance: Distance in pixels (Euclidean) from the object that still counts as a hit. The paper
            takes 15 on photographs.

    Returns:
        float64 array `(samples,)`: 1 for a hit and 0 for a miss; for a maximum reached at several
        positions, the share of them that hit.

    Raises:
        ValueError: If shapes do not fit, a map is not finite, a mask is empty or full, or the tolerance
            is negative.
        TypeError: If `masks` is not boolean.

    Example:
        >>> pointing_game([[0.0, 3.0, 1.0, 0.0]], [[False, False, True, False]])
        array([0.])
        >>> pointing_game([[0.0, 3.0, 1.0, 0.0]], [[False, False, True, False]], tolerance=1)
        array([1.])
    """
    found, objects = _pair(attributions, masks)
    if not tolerance >= 0:
        raise ValueError(f"`tolerance` must not be negative. Received: {tolerance}.")
    if tolerance:
        objects = np.stack([ndimage.distance_transform_edt(~one) <= tolerance for one in objects])
    values, inside = _flat(found), _flat(objects)
    highest = values == values.max(axis=1, keepdims=True)
    return (highest & inside).sum(axis=1) / highest.sum(axis=1)


def relevance_mass_accuracy(attributions: ArrayLike, masks: ArrayLike) -> Scores:
    """Returns the share of a map's positive relevance that lies on the object (Arras et al. 2022).

    Takes and raises what `pointing_game` does.

    Returns:
        float64 array `(samples,)` in [0, 1]. A map without positive relevance prefers no position and
        gets what a constant map gets: the share of positions that the object fills.

    Example:
        >>> relevance_mass_accuracy([[-5.0, 1.0, 3.0, 0.0]], [[False, False, True, False]])
        array([0.75])
    """
    values, inside = map(_flat, _pair(attributions, masks))
    positive = np.maximum(values, 0)
    positive[~positive.any(axis=1)] = 1
    return (positive * inside).sum(axis=1) / positive.sum(axis=1)


def relevance_rank_accuracy(attributions: ArrayLike, masks: ArrayLike) -> Scores:
    """Returns the share of a map's highest positions that lie on the object (Arras et al. 2022).

    As many positions are taken as the object fills. Takes and raises what `pointing_game` does.

    Returns:
        float64 array `(samples,)` in [0, 1]; where the last places are tied, the expected share.

    Example:
        >>> relevance_rank_accuracy([[9.0, 1.0, 3.0, 0.0]], [[False, True, True, False]])
        array([0.5])
    """
    values, inside = map(_flat, _pair(attributions, masks))
    above, tied = _top(values, inside.sum(axis=1))
    open_places = inside.sum(axis=1) - above.sum(axis=1)
    hits = (above & inside).sum(axis=1)
    hits = hits + open_places * (tied & inside).sum(axis=1) / tied.sum(axis=1)
    return hits / inside.sum(axis=1)


def iou(attributions: ArrayLike, masks: ArrayLike, *, threshold: float | None = None) -> Scores:
    """Returns the intersection over union of the positions that a map marks with the object's.

    Takes and raises what `pointing_game` does.

    Args:
        attributions: As in `pointing_game`.
        masks: As in `pointing_game`.
        threshold: None marks the highest positions, as many as the object fills. A number in (0, 1] marks
            the positive ones that reach this share of the map's maximum, 0.2 as in Zhou et al. 2016.

    Returns:
        float64 array `(samples,)` in [0, 1]; where the last places are tied, the expected value.

    Raises:
        ValueError: Also if the threshold lies outside (0, 1].

    Example:
        >>> iou([[9.0, 1.0, 3.0, 0.0]], [[False, True, True, False]])
        array([0.33333333])
        >>> iou([[9.0, 1.0, 3.0, 0.0]], [[False, True, True, False]], threshold=0.1)
        array([0.66666667])
    """
    values, inside = map(_flat, _pair(attributions, masks))
    if threshold is None:
        return _expected_iou(values, inside)
    if not 0 < threshold <= 1:
        raise ValueError(f"`threshold` must lie in (0, 1]. Received: {threshold}.")
    marked = (values > 0) & (values >= threshold * values.max(axis=1, keepdims=True))
    return (marked & inside).sum(axis=1) / (marked | inside).sum(axis=1)


def average_precision(attributions: ArrayLike, masks: ArrayLike) -> Scores:
    """Returns the average precision of a map as a detector of the object's positions, by scikit-learn.

    Takes and raises what `pointing_game` does.

    Returns:
        float64 array `(samples,)` in (0, 1]; tied positions share one threshold.

    Example:
        >>> average_precision([[9.0, 1.0, 3.0, 0.0]], [[False, True, True, False]])
        array([0.58333333])
    """
    values, inside = map(_flat, _pair(attributions, masks))
    return np.array([average_precision_score(*one) for one in zip(inside, values, strict=True)])


def localization(
    attributions: Mapping[str, ArrayLike],
    masks: ArrayLike,
    *,
    images: ArrayLike | None = None,
    absolute: bool = False,
    tolerance: float = 0.0,
) -> pd.DataFrame:
    """Compares methods by how well their maps find the object, beside what no method is needed for.

    Three rows stand beside the methods. "chance" is what a map of independent random values scores on
    average, in closed form. "edge map" is the Sobel magnitude of the images, "centred blob" a Gaussian in
    the middle: both see no model, and a method that does not beat them has shown nothing.

    Args:
        attributions: Maps for each method, as in `pointing_game`.
        masks: Booleans of shape `(samples, *spatial)`, True on the object.
        images: The explained inputs, `(samples, *spatial)` or `(samples, *spatial, channels)`; without
            them there is no edge map.
        absolute: Whether the sign of the methods' maps is dropped, after summing channels ("sum,abs" in
            Arras et al. 2022).
        tolerance: As in `pointing_game`.

    Returns:
        A data frame with a row for each method and columns `(measure, statistic)`: for
        `"pointing_game"`, `"relevance_mass_accuracy"`, `"relevance_rank_accuracy"`, `"iou"` and
        `"average_precision"` the `"mean"` over samples and the ends `"low"` and `"high"` of its 95 %
        interval, by Student's t.

    Raises:
        ValueError: If there is not a method, one has the name of a row beside, or as in `pointing_game`;
            the method is named.
        TypeError: If `masks` is not boolean.

    Example:
        >>> masks = np.zeros((4, 8, 8), dtype=bool)
        >>> masks[:, 1:3, 1:3] = True
        >>> table = localization({"perfect": masks.astype(float)}, masks)
        >>> table["relevance_rank_accuracy"]["mean"]
        method
        perfect         1.0000
        chance          0.0625
        centred blob    0.0000
        Name: mean, dtype: float64
    """
    objects = _checked_masks(masks)
    taken = [name for name in checked_by_name(attributions) if name in (CHANCE, EDGES, BLOB)]
    if taken:
        raise ValueError(
            f"`attributions` must hold maps by the methods' names, but {quoted(taken)} stand beside them."
        )
    maps = {
        name: _checked_maps(found, objects, f"attributions[{name!r}]")
        for name, found in attributions.items()
    }
    if absolute:
        maps = {name: np.abs(found) for name, found in maps.items()}
    maps[CHANCE] = np.zeros(objects.shape)  # all tied: the expectation over random orders
    if images is not None:
        maps[EDGES] = _edge_maps(images, objects)
    maps[BLOB] = np.broadcast_to(_centred_blob(objects.shape[1:]), objects.shape)
    scores = {name: _scores(found, objects, tolerance) for name, found in maps.items()}
    scores[CHANCE]["average_precision"] = _chance_precision(objects)
    rows = {
        name: {
            (measure, statistic): value
            for measure, values in found.items()
            for statistic, value in zip(("mean", "low", "high"), mean_interval(values), strict=True)
        }
        for name, found in scores.items()
    }
    table = pd.DataFrame.from_dict(rows, orient="index").rename_axis(index="method")
    return table.rename_axis(columns=["measure", "statistic"])


def _scores(maps: Maps, masks: Masks, tolerance: float) -> dict[str, Scores]:
    return {
        "pointing_game": pointing_game(maps, masks, tolerance=tolerance),
        "relevance_mass_accuracy": relevance_mass_accuracy(maps, masks),
        "relevance_rank_accuracy": relevance_rank_accuracy(maps, masks),
        "iou": iou(maps, masks),
        "average_precision": average_precision(maps, masks),
    }


def _top(values: Maps, counts: NDArray[np.int64]) -> tuple[Masks, Masks]:
    """The positions surely among each map's `counts` highest, and those tied for the last places."""
    descending = -np.sort(-values, axis=1)
    last = np.take_along_axis(descending, counts[:, None] - 1, axis=1)
    return values > last, values == last


def _expected_iou(values: Maps, inside: Masks) -> Scores:
    sizes = inside.sum(axis=1)
    above, tied = _top(values, sizes)
    scores = np.empty(len(values))
    for i, size in enumerate(sizes):
        open_places = size - above[i].sum()
        drawn = np.arange(open_places + 1)
        chances = hypergeom.pmf(drawn, tied[i].sum(), (tied[i] & inside[i]).sum(), open_places)
        hits = (above[i] & inside[i]).sum() + drawn
        scores[i] = chances @ (hits / (2 * size - hits))
    return scores


def _chance_precision(masks: Masks) -> Scores:
    """Expected average precision of a random order without ties (Bestgen 2015).

    The i-th place is taken by the object with chance m/n, and then 1 + (i − 1)(m − 1)/(n − 1) of the first
    i places are on average.
    """
    inside = _flat(masks)
    n, m = inside.shape[1], inside.sum(axis=1)
    harmonic = (1 / np.arange(1, n + 1)).sum()
    return (harmonic + (m - 1) / (n - 1) * (n - harmonic)) / n


def _edge_maps(images: ArrayLike, masks: Masks) -> Maps:
    pixels = finite_array(images, "images")
    _check_fit(pixels.shape, masks.shape, "images")
    channels = np.moveaxis(pixels.reshape(*masks.shape, -1), -1, 0)
    return sum(  # type: ignore[return-value]
        np.stack([ndimage.generic_gradient_magnitude(image, ndimage.sobel) for image in channel])
        for channel in channels
    )


def _centred_blob(spatial: tuple[int, ...]) -> Maps:
    axes = [(np.arange(length) - (length - 1) / 2) / (BLOB_WIDTH * length) for length in spatial]
    return np.exp(-sum(axis**2 for axis in np.meshgrid(*axes, indexing="ij")) / 2)


def _pair(attributions: ArrayLike, masks: ArrayLike) -> tuple[Maps, Masks]:
    objects = _checked_masks(masks)
    return _checked_maps(attributions, objects, "attributions"), objects


def _checked_masks(masks: ArrayLike) -> Masks:
    objects = np.asarray(masks)
    if objects.dtype != bool:
        raise TypeError(f"`masks` must be boolean. Received dtype {objects.dtype}.")
    if objects.ndim < 2 or not len(objects):
        raise ValueError(
            f"`masks` must have the axes (samples, *spatial). Received shape {objects.shape}."
        )
    inside = _flat(objects)
    for kind, rows in (("empty", ~inside.any(axis=1)), ("full", inside.all(axis=1))):
        if rows.any():
            raise ValueError(
                f"No map can be told from another by a mask that is {kind}: `masks` "
                f"{quoted(np.flatnonzero(rows))}."
            )
    return objects


def _checked_maps(attributions: ArrayLike, masks: Masks, name: str) -> Maps:
    maps = finite_array(getattr(attributions, "attributions", attributions), name)
    _check_fit(maps.shape, masks.shape, name)
    return maps.reshape(*masks.shape, -1).sum(axis=-1, dtype=np.float64)


def _check_fit(shape: tuple[int, ...], wanted: tuple[int, ...], name: str) -> None:
    if shape != wanted and not (shape[:-1] == wanted and shape[-1]):
        raise ValueError(
            f"`{name}` must have the shape of `masks`, {wanted}, or that with a trailing channels axis. "
            f"Received shape {shape}."
        )


def _flat(array: NDArray[Any]) -> NDArray[Any]:
    return array.reshape(len(array), -1)
