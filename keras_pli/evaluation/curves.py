"""Deletion and insertion: how the score follows as positions go or come in the order of their attribution."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import keras
import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.integrate import trapezoid

from ..attribution import Attribution, Method
from ..brief import counted
from ..checks import checked_number
from ..network.inputs import GivenTarget
from .removal import Fill, Removal
from .scoring import Array, Score, Scorer

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True, eq=False)
class FaithfulnessCurve:
    """The score of each sample as more and more of its positions are deleted or inserted.

    Args:
        fractions: Shares of the positions deleted or inserted, from 0 to 1, `(steps,)`.
        scores: The score at each of them, `(samples, steps)`.
        kind: `"deletion"`, where a small area is good, or `"insertion"`, where a large one is.
    """

    fractions: NDArray[np.float64]
    scores: NDArray[np.float64]
    kind: Literal["deletion", "insertion"] = "deletion"

    def __repr__(self) -> str:
        samples, steps = self.scores.shape
        return (
            f"FaithfulnessCurve of {counted(samples, 'sample')}, {self.kind} at {steps} shares; "
            f"mean area {self.area.mean():.3f}"
        )

    def _repr_html_(self) -> str:
        from ..plotting.notebook import notebook_html

        return notebook_html(repr(self), figure=self.plot())

    def plot(self) -> Figure:
        """Draws the mean over the samples.

        Returns:
            A new `plotting.faithfulness_curves`, which draws the curves of several methods, too.
        """
        from ..plotting import faithfulness_curves

        name = f"mean of {counted(len(self.scores), 'sample')}"
        return faithfulness_curves({name: self.scores.mean(axis=0)}, self.fractions, kind=self.kind)

    @property
    def area(self) -> NDArray[np.float64]:
        """The area under each sample's curve by the trapezoidal rule, `(samples,)`."""
        return np.asarray(trapezoid(self.scores, self.fractions, axis=1))


def deletion_curve(
    model: keras.Model | Method | Scorer,
    x: ArrayLike,
    attributions: ArrayLike | Attribution,
    target: GivenTarget = None,
    *,
    baseline: Fill = 0.0,
    score: Score = "probabilities",
    steps: int = 20,
    seed: int = 0,
    verbose: int = 0,
) -> FaithfulnessCurve:
    """Removes positions from the highest attribution to the lowest (Petsiuk et al. 2018, section 4.1).

    The earlier the score falls, and so the smaller the area, the better the map found what the model
    relies on.

    Args:
        model: A built Keras model with one input, an attribution method, or a `Scorer` of either.
        x: Inputs `(samples, *positions, channels)` with any number of axes, or `(samples, features)`.
        attributions: An `Attribution` or its array, shaped like `x` or without the channels. Channels are
            summed; a position is removed with all of them.
        target: A class, one for each sample, a callable, or None for the class predicted for `x`, which is
            then held while positions are removed.
        baseline: What removed positions show: a number, an array shaped like one sample or like `x`, or
            `"blur"`.
        score: `"probabilities"`, or `"logits"` for what a final softmax or sigmoid receives. A callable
            target receives what is named here.
        steps: Number of removals, each of as many positions; at most one for each position is made.
        seed: Seed of the order of tied positions, the same for every sample.
        verbose: 1 draws a progress bar.

    Returns:
        A `FaithfulnessCurve`.

    Raises:
        ValueError: If a shape does not fit, a value is not finite, a class does not exist, or there is no
            such score or baseline.

    Example:
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2, "softmax")])
        >>> curve = deletion_curve(model, np.ones((5, 4)), np.ones((5, 4)), target=1)
        >>> curve.fractions, curve.area.shape
        (array([0.  , 0.25, 0.5 , 0.75, 1.  ]), (5,))
    """
    removal = Removal.of(model, x, attributions, target, baseline)
    ranks = removal_ranks(removal.flat_maps, seed=seed)
    return _curve(removal, ranks, score, steps, verbose, "deletion")


def insertion_curve(
    model: keras.Model | Method | Scorer,
    x: ArrayLike,
    attributions: ArrayLike | Attribution,
    target: GivenTarget = None,
    *,
    baseline: Fill = 0.0,
    score: Score = "probabilities",
    steps: int = 20,
    seed: int = 0,
    verbose: int = 0,
) -> FaithfulnessCurve:
    """Starts from the baseline and puts positions back, the highest attribution first (Petsiuk et al. 2018).

    The earlier the score rises, and so the larger the area, the better. Takes, returns and raises what
    `deletion_curve` does.

    Example:
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2, "softmax")])
        >>> insertion_curve(model, np.ones((5, 4)), np.ones((5, 4)), target=1).scores.shape
        (5, 5)
    """
    removal = Removal.of(model, x, attributions, target, baseline)
    ranks = removal_ranks(removal.flat_maps, seed=seed)
    turned = replace(removal, x=removal.fill, fill=removal.x)
    return _curve(turned, ranks, score, steps, verbose, "insertion")


def _curve(
    removal: Removal,
    ranks: NDArray[np.int64],
    score: Score,
    steps: int,
    verbose: int,
    kind: Literal["deletion", "insertion"],
) -> FaithfulnessCurve:
    samples, positions = ranks.shape
    steps = checked_number(steps, "steps", least=1, whole=True)
    counts = np.unique(np.round(np.linspace(0, positions, steps + 1)).astype(int))

    def changed(rows: Array, columns: Array) -> Array:
        return removal.removed(rows, ranks[rows] < counts[columns, None])

    found = removal.scorer.variants(
        changed, (samples, len(counts)), removal.aim, score, verbose=verbose
    )
    return FaithfulnessCurve(counts / positions, found, kind)


def removal_ranks(maps: NDArray[np.float64], *, seed: int) -> NDArray[np.int64]:
    """Returns the place of each position from the highest attribution down, `(samples, positions)`.

    Tied positions come in a random order that is the same for every sample.
    """
    shuffled = np.random.default_rng(seed).permutation(maps.shape[1])
    order = shuffled[np.argsort(-maps[:, shuffled], axis=1, kind="stable")]
    ranks = np.empty_like(order)
    np.put_along_axis(ranks, order, np.arange(maps.shape[1])[None, :], axis=1)
    return ranks
