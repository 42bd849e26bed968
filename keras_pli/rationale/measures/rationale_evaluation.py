"""All measures of several methods' rationales in one table, with intervals and paired differences."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.stats import binomtest

from ...checks import quoted
from ...intervals import mean_interval
from ..search.rationale import Rationale
from .counterfactuals import (
    Predictor,
    im1,
    ink_scores,
    label_variation,
    normalised_cross_correlation,
    oracle_agreement,
    predicted,
    proximity,
    sparsity,
    validity,
)

Scores = NDArray[np.float64]


def evaluate_rationales(
    results: Mapping[str, Rationale],
    *,
    classifier: Predictor | None = None,
    oracle: Predictor | None = None,
    autoencoders: Mapping[int, keras.Model] | None = None,
    factors: Mapping[str, Predictor] | None = None,
    truths: ArrayLike | None = None,
    seconds: Mapping[str, float] | None = None,
    rows: ArrayLike | None = None,
    confidence: float = 0.95,
) -> pd.DataFrame:
    """Measures the rationales of several methods for the same images.

    Changes are measured from the reconstruction, as rationales are; `l2_from_original` has the
    reconstruction's error in it as well, and is what a method without a generator is compared by.

    Args:
        results: A `Rationale` for each method, ours first; see `pixel_search` and `nearest_images`.
        classifier: The explained classifier, of images, to be asked about the changed images as images. One
            of codes reads z* itself; stricter is whether it sees the target class in the code of the changed
            image, as of any other image: `flipped_as_image`.
        oracle: An independently trained classifier of images; see `oracle_agreement`.
        autoencoders: One for each class; see `im1`.
        factors: Classifiers of factors that must not change, by name; see `label_variation`.
        truths: What truly differs, in the rationales' shape and sign; see `normalised_cross_correlation`.
        seconds: What each method took for all images.
        rows: Which samples to measure, a mask or numbers; None for all. See `keeps_class`.
        confidence: Coverage of the intervals, in (0, 1).

    Returns:
        A row for each method and measure, with columns `method`, `measure`, `mean`, `low` and `high` (by
        Student's t over samples; of a yes-or-no measure Wilson's), `samples`, and `difference`,
        `difference_low` and `difference_high` from the first method, over the samples that both have.

    Raises:
        ValueError: If there is no result, or results are of other images, targets or regressions.

    Example:
        >>> from keras_pli.rationale.measures.baselines import pixel_search
        >>> classifier = keras.Sequential(
        ...     [keras.Input((4, 4, 1)), keras.layers.Flatten(), keras.layers.Dense(2, "softmax")]
        ... )
        >>> x = np.random.default_rng(0).uniform(-1, 1, (3, 4, 4, 1))
        >>> table = evaluate_rationales({"pixels": pixel_search(classifier)(x)}, classifier=classifier)
        >>> table.set_index("measure")["mean"]["flipped_as_image"].item()
        1.0
    """
    _check_results(results)
    methods = list(results)
    found: dict[str, dict[str, Scores]] = {}
    for name, why in results.items():
        part = why if rows is None else why[rows]
        wanted = None if truths is None else np.asarray(truths)
        scores = _sample_scores(part, classifier, oracle, autoencoders, factors)
        if wanted is not None:
            scores |= _truth_scores(part, wanted if rows is None else wanted[np.asarray(rows)])
        found[name] = scores
    lines = []
    for measure in found[methods[0]]:
        first = found[methods[0]][measure]
        for name in methods:
            lines.append(_line(name, measure, found[name][measure], first, confidence))
        if measure == "reached" and seconds:
            for name in seconds:
                took = seconds[name] / len(results[name])
                lines.append({"method": name, "measure": "seconds per image", "mean": took})
    return pd.DataFrame(lines)


def keeps_class(why: Rationale, classifier: Predictor | None = None) -> NDArray[np.bool_]:
    """Returns which reconstructions are decided as the images themselves.

    Of the others a rationale says little: it explains another decision.

    Args:
        why: What was found.
        classifier: A classifier of images, to be asked about the reconstructions as images. None takes what
            the search saw, which for a classifier of codes is no test: image and reconstruction have one
            code there, unless it was refined. For these give `through_encoder(encoder, classifier)`.

    Example:
        >>> from keras_pli.rationale.measures.baselines import pixel_search
        >>> classifier = keras.Sequential(
        ...     [keras.Input((4, 4, 1)), keras.layers.Flatten(), keras.layers.Dense(2, "softmax")]
        ... )
        >>> x = np.random.default_rng(0).uniform(-1, 1, (3, 4, 4, 1))
        >>> keeps_class(pixel_search(classifier)(x)).tolist()
        [True, True, True]
    """
    seen = why.path_probabilities[:, 0]
    if classifier is not None:
        seen = predicted(classifier, why.reconstructions)
    return np.asarray(seen.argmax(axis=1) == why.predicted)


def measure_table(table: pd.DataFrame) -> pd.DataFrame:
    """Returns the means of `evaluate_rationales` with a row for each method and a column for each measure.

    Example:
        >>> lines = [{"method": "ours", "measure": "valid", "mean": 1.0}]
        >>> measure_table(pd.DataFrame(lines)).loc["ours", "valid"].item()
        1.0
    """
    order = list(dict.fromkeys(table["measure"])), list(dict.fromkeys(table["method"]))
    wide = table.pivot(index="method", columns="measure", values="mean")
    return wide.reindex(index=order[1], columns=order[0])


def _sample_scores(
    why: Rationale,
    classifier: Predictor | None,
    oracle: Predictor | None,
    autoencoders: Mapping[int, keras.Model] | None,
    factors: Mapping[str, Predictor] | None,
) -> dict[str, Any]:
    low, high = why.about.get("image_range") or (why.originals.min(), why.originals.max())
    starts, images = why.reconstructions, why.images
    scores: dict[str, Any] = {"flipped": why.flipped, "reached": why.reached}
    if classifier is not None:
        chances = predicted(classifier, images)
        scores["flipped_as_image"] = validity(chances, why.target)
    if oracle is not None:
        scores["oracle"] = oracle_agreement(oracle, images, why.target)
    if autoencoders is not None:
        scores["im1"] = im1(images, why.target, why.predicted, autoencoders)
    for name, factor in (factors or {}).items():
        scores[f"variation of {name}"] = label_variation(factor, why.originals, images)
    return scores | {
        "l1": proximity(starts, images, order=1),
        "l2": proximity(starts, images),
        "l2_from_original": proximity(why.originals, images),
        "sparsity": sparsity(starts, images, threshold=float(high - low) / 10),
    }


def _truth_scores(why: Rationale, truths: NDArray[Any]) -> dict[str, Any]:
    ink = ink_scores(why.rationales, truths)
    return {
        "correlation": normalised_cross_correlation(why.rationales, truths),
        **{str(name): column.to_numpy() for name, column in ink.items()},
    }


def _line(
    method: str, measure: str, scores: NDArray[Any], first: NDArray[Any], confidence: float
) -> dict[str, Any]:
    known = scores[~np.isnan(scores.astype(np.float64))]
    line: dict[str, Any] = {"method": method, "measure": measure}
    if scores.dtype == bool:
        line |= _share(known, confidence)
    else:
        line |= dict(zip(("mean", "low", "high"), mean_interval(known, confidence), strict=True))
    line["samples"] = len(known)
    if scores is not first:
        apart = mean_interval(scores.astype(np.float64) - first.astype(np.float64), confidence)
        names = ("difference", "difference_low", "difference_high")
        line |= dict(zip(names, apart, strict=True))
    return line


def _share(hits: NDArray[np.bool_], confidence: float) -> dict[str, float]:
    interval = binomtest(int(hits.sum()), len(hits)).proportion_ci(confidence, "wilson")
    return {"mean": float(hits.mean()), "low": float(interval.low), "high": float(interval.high)}


def _check_results(results: Mapping[str, Rationale]) -> None:
    if not results:
        raise ValueError("`results` holds no method.")
    first, *others = results.values()
    for name, why in results.items():
        if why.is_regression:
            raise ValueError(f"{name!r} explains a regression; these measures are for classes.")
    for name, other in zip(list(results)[1:], others, strict=True):
        same = other.originals.shape == first.originals.shape and (
            np.array_equal(other.originals, first.originals)
            and np.array_equal(other.target, first.target)
        )
        if not same:
            raise ValueError(
                f"All methods must explain the same images and targets. {name!r} differs from "
                f"{quoted(results, most=1)}."
            )
