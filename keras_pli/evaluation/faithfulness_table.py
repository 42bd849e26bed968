"""Is a map faithful to the model: all measures side by side, with a random map as the chance level."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from ..attribution import Attribution, Method
from ..checks import checked_by_name, quoted
from ..intervals import mean_interval
from ..network.inputs import GivenBaseline, GivenTarget, checked_baseline
from .curves import deletion_curve, insertion_curve
from .fidelity import infidelity, mu_fidelity
from .removal import Fill
from .scoring import Score, Scorer, as_scorer, position_maps

RANDOM = "random"


def completeness(
    model: keras.Model | Method | Scorer,
    x: ArrayLike,
    attributions: ArrayLike | Attribution,
    target: GivenTarget = None,
    *,
    baseline: GivenBaseline = 0.0,
    relative: bool = False,
    score: Score = "logits",
) -> NDArray[np.float64]:
    """Returns how far attributions miss the difference in score that they should add up to.

    ∑ φ − (S(x) − S(baseline)), which the axiom of completeness wants to be zero (Sundararajan et al. 2017,
    section 3).

    Args:
        model: A built Keras model with one input, an attribution method, or a `Scorer` of either.
        x: Inputs `(samples, ...)`.
        attributions: An `Attribution` or its array, shaped like `x` or without the channels.
        target: A class, one for each sample, a callable, or None for the class predicted for `x`.
        baseline: The baseline that the method started from: a number, or an array shaped like one sample or
            like `x`.
        relative: Whether the error is divided by |S(x) − S(baseline)|.
        score: `"logits"` or `"probabilities"`.

    Returns:
        float64 array `(samples,)`.

    Raises:
        ValueError: If a shape does not fit, a value is not finite, or a class does not exist.

    Example:
        >>> from keras_pli.attribution import GradientTimesInput
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
        >>> maps = GradientTimesInput(model)(np.ones((3, 4)), target=1)
        >>> bool(np.all(np.abs(completeness(model, np.ones((3, 4)), maps, target=1)) < 1e-5))
        True
    """
    scorer = as_scorer(model)
    images = scorer.inputs(x)
    aim = scorer.aim(images, target)
    start = checked_baseline(baseline, images)
    total = position_maps(attributions, images).reshape(len(images), -1).sum(axis=1)
    scores = [scorer.scores(inputs, aim, score).astype(np.float64) for inputs in (images, start)]
    promised = scores[0] - scores[1]
    with np.errstate(divide="ignore", invalid="ignore"):
        return (total - promised) / (np.abs(promised) if relative else 1.0)


def faithfulness(
    model: keras.Model | Method | Scorer,
    x: ArrayLike,
    attributions: Mapping[str, ArrayLike | Attribution],
    target: GivenTarget = None,
    *,
    baseline: Fill = 0.0,
    score: Score = "probabilities",
    steps: int = 20,
    draws: int = 100,
    seed: int = 0,
    verbose: int = 0,
) -> pd.DataFrame:
    """Compares methods by the measures of faithfulness, beside maps of random values.

    Areas under `deletion_curve` (small is good) and `insertion_curve` (large is good), `mu_fidelity` (large
    is good), and `infidelity` by windows and with the best scale (small is good). The last row, `"random"`,
    is what maps of independent normal values score: a method that does not beat it has shown nothing.

    Args:
        model: A built Keras model with one input, an attribution method, or a `Scorer` of either.
        x: Inputs `(samples, *positions, channels)`, or `(samples, features)`.
        attributions: An `Attribution` or its array for each method.
        target: As in `deletion_curve`.
        baseline: What removed positions show, as in `deletion_curve`.
        score: The score of the curves. The two other measures are of the logit, which methods explain.
        steps: As in `deletion_curve`.
        draws: Number of subsets and of perturbations.
        seed: Seed of all draws.
        verbose: 1 draws a progress bar for each measure.

    Returns:
        A data frame with a row for each method and columns `(measure, statistic)`: for `"deletion"`,
        `"insertion"`, `"mu_fidelity"` and `"infidelity"` the `"mean"` over samples and the ends `"low"` and
        `"high"` of its 95 % interval, by Student's t. Undefined values are left out.

    Raises:
        ValueError: If there is not a method, one is named `"random"`, or as in the measures.

    Example:
        >>> from keras_pli.attribution import GradientTimesInput, Saliency
        >>> model = keras.Sequential([keras.Input((9,)), keras.layers.Dense(2, "softmax")])
        >>> x = np.random.default_rng(0).normal(size=(8, 9))
        >>> methods = {"saliency": Saliency(model), "gxi": GradientTimesInput(model)}
        >>> maps = {name: method(x) for name, method in methods.items()}
        >>> table = faithfulness(model, x, maps, score="logits")
        >>> table["deletion"]["mean"].idxmin()
        'gxi'
    """
    if RANDOM in checked_by_name(attributions):
        raise ValueError(
            f"`attributions` must hold maps by the methods' names, and {RANDOM!r} stands beside them. "
            f"Received: {quoted(attributions)}."
        )
    scorer = as_scorer(model)
    images = scorer.inputs(x)
    aim = scorer.aim(images, target)
    maps = {
        name: position_maps(found, images, f"attributions[{name!r}]")
        for name, found in attributions.items()
    }
    random = np.random.default_rng(seed)
    maps[RANDOM] = random.standard_normal(next(iter(maps.values())).shape)
    shared: dict[str, Any] = {"baseline": baseline, "seed": seed, "verbose": verbose}
    rows = {}
    for name, found in maps.items():
        given = scorer, images, found, aim
        measures = {
            "deletion": deletion_curve(*given, steps=steps, score=score, **shared).area,
            "insertion": insertion_curve(*given, steps=steps, score=score, **shared).area,
            "mu_fidelity": mu_fidelity(*given, subsets=draws, **shared),
            "infidelity": infidelity(*given, draws=draws, scaled=True, **shared),
        }
        rows[name] = {
            (measure, statistic): value
            for measure, values in measures.items()
            for statistic, value in zip(("mean", "low", "high"), mean_interval(values), strict=True)
        }
    table = pd.DataFrame.from_dict(rows, orient="index").rename_axis(index="method")
    return table.rename_axis(columns=["measure", "statistic"])
