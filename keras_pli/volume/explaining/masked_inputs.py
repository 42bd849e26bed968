"""How well a classifier does that sees only what a map highlights, beside what it does on other parts."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import Any, Literal

import keras
import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.ndimage import gaussian_filter
from scipy.stats import binomtest

from ...attribution import Attribution, Method
from ...checks import checked_number, label_array, one_of
from ...evaluation import Scorer
from ...evaluation.scoring import as_scorer
from .checked_volumes import Maps, Masks, checked_share, strongest, volume_maps, within_each

Volumes = NDArray[np.float32]


def masked_input_accuracy(
    model: keras.Model | Method | Scorer,
    x: ArrayLike,
    y: ArrayLike,
    maps: ArrayLike | Attribution,
    *,
    share: float = 0.1,
    within: ArrayLike | None = None,
    fill: float | Literal["mean", "blur"] = 0.0,
    absolute: bool = False,
    draws: int = 5,
    seed: int = 0,
) -> pd.DataFrame:
    """Measures a classifier that sees only the strongest voxels of a map (Kan et al. 2020, table 3).

    Each volume is filled but for the voxels that a row of the table names, and classified anew; the model is
    not trained again. The map tells where the classes differ only if its row stands out from that of random
    regions of the same volume, and if the complement does worse than the whole.

    A map of each volume's own true class can give the label away by its shape. To measure what the classifier
    finds *in* the voxels, pass one map for all volumes, such as the mean map of the training volumes. An
    input that is filled elsewhere is also unlike what the model was trained on, which costs accuracy by
    itself: that is what the random regions are for.

    Args:
        model: A built Keras classifier of one input, a method, or a `Scorer` of one.
        x: Volumes `(samples, X, Y, Z, channels)`.
        y: Their classes, `(samples,)`, whole numbers from 0.
        maps: `(samples, X, Y, Z)`, perhaps with channels, which are summed; what a method found; or one map
            `(X, Y, Z)` for all.
        share: Share of the region's voxels that is seen; ties are settled by lot.
        within: The region, such as the brain: booleans `(X, Y, Z)` or `(samples, X, Y, Z)`. None is
            everywhere, and then the background competes as well.
        fill: What the other voxels show: a number; `"mean"`, the mean of each channel in the region of the
            volume; or `"blur"`, the volume convolved with a Gaussian of an eighth of each axis.
        absolute: Whether the strongest voxels are those of the largest absolute values.
        draws: Random regions for each volume.
        seed: Seed of the regions and lots.

    Returns:
        A data frame with the rows `"everything"`, the volumes as they are; `"whole region"`; `"map"`, the
        strongest voxels; `"complement"`, the rest of the region; `"random region"`, the highest voxels of
        smooth random fields, in patches, as many as of the map, where `accuracy` is the mean over draws; and
        `"nothing"`, all filled. Columns: `accuracy`; `low` and `high`, its 95 % interval by Wilson's score
        for the number of volumes; `balanced`, the mean over classes of their accuracies; and `seen`, the
        mean share of all voxels that are not filled.

    Raises:
        ValueError: If shapes do not fit, labels are no classes of the model, a value is not finite, a region
            is empty, or a number is not in its range.
        TypeError: If the region is not boolean.

    Example:
        >>> flat, head = keras.layers.Flatten(), keras.layers.Dense(2)
        >>> model = keras.Sequential([keras.Input((4, 4, 4, 1)), flat, head])
        >>> x, y = np.random.default_rng(0).normal(size=(6, 4, 4, 4, 1)), np.arange(6) % 2
        >>> masked_input_accuracy(model, x, y, x[..., 0]).index.tolist()
        ['everything', 'whole region', 'map', 'complement', 'random region', 'nothing']
    """
    part = checked_share(share)
    count = checked_number(draws, "draws", least=1, whole=True)
    seed = checked_number(seed, "seed", least=0, whole=True)
    scorer = as_scorer(model)
    volumes = _checked_volumes(scorer.inputs(x))
    labels = _checked_labels(y, scorer, volumes)
    region = within_each(within, volumes.shape[:-1])
    values = volume_maps(maps)
    if values.shape not in (region.shape, (1, *region.shape[1:])):
        raise ValueError(
            f"`maps` must have the shape {region.shape}, or {region.shape[1:]} for one map of all volumes. "
            f"Received shape {values.shape}."
        )
    values = np.broadcast_to(np.abs(values) if absolute else values, region.shape)
    highlighted = np.stack(
        [
            _strongest_share(*pair, part, [seed, i])
            for i, pair in enumerate(zip(values, region, strict=True))
        ]
    )
    filled = _filled(volumes, region, fill)
    right = partial(_right, scorer, volumes, filled, labels)
    everything = np.ones_like(region)
    rows = {
        "everything": right([everything]),
        "whole region": right([region]),
        "map": right([highlighted]),
        "complement": right([region & ~highlighted]),
        "random region": right(_random_regions(region, part, draw, seed) for draw in range(count)),
        "nothing": right([~everything]),
    }
    table = {name: _figures(*found, labels) for name, found in rows.items()}
    return pd.DataFrame.from_dict(table, orient="index").rename_axis(index="seen part")


def _checked_volumes(x: Volumes) -> Volumes:
    if x.ndim != 5:
        raise ValueError(
            f"`x` must be volumes (samples, X, Y, Z, channels). Received shape {x.shape}."
        )
    return x


def _checked_labels(y: ArrayLike, scorer: Scorer, x: Volumes) -> NDArray[np.int64]:
    labels, classes = label_array(y, len(x), "y"), scorer.method.classes(x)
    if labels.dtype.kind not in "iu" or labels.min() < 0 or labels.max() >= classes:
        raise ValueError(
            f"`y` must hold classes of the model, whole numbers from 0 to {classes - 1}. Received: dtype "
            f"{labels.dtype}, from {labels.min()} to {labels.max()}."
        )
    return labels.astype(np.int64)


def _filled(x: Volumes, region: Masks, fill: Any) -> Volumes:
    """What each volume shows where it is filled."""
    if isinstance(fill, str):
        one_of(fill, ("mean", "blur"), "fill")
        if fill == "blur":
            sigmas = (0, *[size / 8 for size in x.shape[1:-1]], 0)
            return np.asarray(gaussian_filter(x, sigmas, mode="nearest"), np.float32)
        means = [one[inside].mean(axis=0) for one, inside in zip(x, region, strict=True)]
        return np.broadcast_to(np.reshape(means, (len(x), 1, 1, 1, -1)), x.shape)
    return np.full(x.shape, checked_number(fill, "fill"), np.float32)


def _strongest_share(values: Maps, region: Masks, share: float, seed: Any) -> Masks:
    count = max(1, round(share * region.sum()))
    return strongest(values, region, count, np.random.default_rng(seed))


def _random_regions(region: Masks, share: float, draw: int, seed: int) -> Masks:
    """Patches in each region: the highest voxels of noise, smoothed by an eighth of each axis."""
    sigmas = [size / 8 for size in region.shape[1:]]
    found = []
    for number, inside in enumerate(region):
        # Apart from the lots of the maps, which are drawn from two numbers.
        random = np.random.default_rng([seed, number, draw])
        field = gaussian_filter(random.normal(size=inside.shape), sigmas, mode="nearest")
        found.append(_strongest_share(field, inside, share, [seed, number, draw]))
    return np.stack(found)


def _right(
    scorer: Scorer, x: Volumes, filled: Volumes, labels: NDArray[np.int64], choices: Iterable[Masks]
) -> tuple[NDArray[np.float64], float]:
    """How often each volume is classified right over several choices of what is seen, and the share seen."""
    hits, seen = [], []
    for choice in choices:
        shown = np.where(choice[..., None], x, filled)
        hits.append(scorer.predicted(shown) == labels)
        seen.append(choice.mean())
    return np.mean(hits, axis=0), float(np.mean(seen))


def _figures(
    right: NDArray[np.float64], seen: float, labels: NDArray[np.int64]
) -> dict[str, float]:
    interval = binomtest(round(right.sum()), len(right)).proportion_ci(method="wilson")
    each = [right[labels == label].mean() for label in np.unique(labels)]
    return {
        "accuracy": right.mean(),
        "low": interval.low,
        "high": interval.high,
        "balanced": float(np.mean(each)),
        "seen": seen,
    }
