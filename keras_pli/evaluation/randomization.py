"""A sanity check: do maps change when the model's weights are randomised?"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Literal

import keras
import pandas as pd
from numpy.typing import ArrayLike

from ..network.inputs import GivenTarget
from .explainers import Factory
from .randomization_result import (
    RandomizationResult,
    Rows,
    SensitivityVerdict,
    check_ranges,
    checked_seeds,
    similarity_table,
    verdict,
)
from .randomization_rounds import Rounds
from .reinitialization import restored_weights


def model_randomization_test(
    methods: Factory | Mapping[str, Factory],
    model: keras.Model,
    x: ArrayLike,
    target: GivenTarget = None,
    *,
    mode: Literal["cascading", "independent"] = "cascading",
    layers: Sequence[str | keras.Layer] | None = None,
    seeds: int | Iterable[int] = 5,
    threshold: float = 0.5,
    share: float = 0.1,
    within: ArrayLike | None = None,
    verbose: int = 0,
) -> RandomizationResult:
    """Compares maps of a trained model with those after its layers got random weights (Adebayo et al. 2018).

    A map that explains what a model has learned cannot stay the same when that is destroyed. Layers are
    randomised from the top down, each drawn anew from its own initialisers, and batch normalisation back to
    its initial statistics; a kernel whose initialiser is not random or not to be found is permuted. The maps
    of the classes that the trained model predicts are compared by Spearman's rank correlation, SSIM and the
    overlap of their highest positions, with and without signs. The `reference` beside is how similar the maps
    of two networks are whose layers are all random, by different seeds: what the input alone makes of a map.

    The verdict rests on the rank correlation after the upper half of the layers, rounded up, is random. Such
    a network decides at random, so a map that still correlates by 0.5, sharing a quarter of the variance of
    its ranks, is mostly made of something else. SSIM does not decide: it is high between maps that are
    empty for the most part. In independent mode the mean over the layers of the upper half decides.

    The model's weights are changed in place, and given back whatever ends the test; nothing else may use
    the model meanwhile.

    Args:
        methods: A method's class, a function from a model to a method (or to any function of `(x, target)`
            that gives attributions), or several of these by name. Each is built once; it must read the
            model's weights whenever it is called, as methods do.
        model: The trained model, with one input.
        x: Samples to explain, `(samples, ...)`; a few dozen suffice.
        target: A class, one for each sample, a callable, or None for the predicted class, which is then
            held while weights change.
        mode: `"cascading"` randomises one layer after the other and leaves them random; `"independent"` one
            at a time, with all others as trained.
        layers: Layers or their paths, in the order to randomise them; a nested model stands for all its
            layers. None takes all that have weights, from the top down.
        seeds: Number of randomisations, counted from 0, or their seeds.
        threshold: Rank correlation from which on maps count as the same.
        share: Share of the positions whose overlap is measured.
        within: The positions that are compared, as the brain of a volume: booleans `(*positions)` or
            `(samples, *positions)`. Maps that are 0 outside of the brain, as gradient times input of stripped
            volumes, are alike by its outline alone, whatever the model has learned. None takes all.
        verbose: 1 draws a progress bar.

    Returns:
        A `RandomizationResult`; `keras_pli.plotting.randomization_curves` draws its table.

    Raises:
        ValueError: If a shape does not fit, a class or layer does not exist, a layer has no weights, or a
            number lies outside its range.
        TypeError: If `methods` makes no methods, or `within` is not boolean.

    Example:
        >>> import numpy as np
        >>> from keras_pli.attribution import Saliency
        >>> keras.utils.set_random_seed(0)
        >>> hidden, head = keras.layers.Dense(32, "relu"), keras.layers.Dense(2)
        >>> model = keras.Sequential([keras.Input((6,)), hidden, head])
        >>> x = np.random.default_rng(0).normal(size=(10, 6))
        >>> result = model_randomization_test({"saliency": Saliency}, model, x, target=0)
        >>> result.verdicts["saliency"].conclusion
        'sensitive'
        >>> from keras_pli.plotting import randomization_curves
        >>> figure = randomization_curves(result.table, threshold={"spearman": result.threshold})
    """
    check_ranges(threshold=threshold)
    numbers = checked_seeds(seeds)
    rounds = Rounds.of(
        methods, model, x, target, mode=mode, layers=layers, share=share, within=within
    )
    progress = keras.utils.Progbar(
        len(numbers) * (len(rounds.layers) + 1), verbose=verbose, unit_name="randomisation"
    )
    rows: Rows = []
    references: Rows = []
    with restored_weights(model):  # also where an interruption leaves a round unfinished
        for seed in numbers:
            for step in rounds.steps(seed):
                rows += step
                progress.add(1)
        # One seed more, so that the last has another to be compared with.
        for one, other in pairwise(map(rounds.random_maps, [*numbers, max(numbers) + 1])):
            references += rounds.alike(one, other)
            progress.add(1)
    return model_result(rows, references, threshold)


def model_result(rows: Rows, references: Rows, threshold: float) -> RandomizationResult:
    """Returns the result of a model's randomisations from the rows of their similarities (see `Rounds`)."""
    table = similarity_table(rows, references)
    return RandomizationResult(table, _model_verdicts(table, threshold), threshold)


def _model_verdicts(table: pd.DataFrame, threshold: float) -> dict[str, SensitivityVerdict]:
    steps = int(table["step"].max())
    half = (steps + 1) // 2
    cascading = table["mode"].iloc[0] == "cascading"
    decisive = table[table["step"] == half] if cascading else table[table["step"] <= half]
    layers = f"the upper {half} of {steps} layers" if half > 1 else f"the top layer of {steps}"
    change = f"With {layers} random{'' if cascading or half == 1 else ', one at a time'}"
    return {
        str(method): verdict(
            rows, threshold, change=change, pair="Two networks of random weights alone"
        )
        for method, rows in decisive.groupby("method", sort=False)
    }
